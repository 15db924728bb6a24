"""SQLite backups from the upload to refined history."""
import pytest

import pinpal
from phone import BATCHES, Phone, backup, database


@pytest.fixture
def phone(gate):
    return Phone(gate)


def test_a_backup_becomes_history(phone, tmp_path):
    state = phone.imported(backup(str(tmp_path / "a.db"), games=30, seed=3))
    print(state)
    games = phone.data(state["batchId"], "game")
    print(games[:2])
    assert 0
