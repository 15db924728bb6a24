"""Backups with something broken in them: each ends, completed or refused for a reason, and nobody dies of one. `make fuzz-sqlite` looks for longer."""
import collections
import itertools

import mutate


def test_mutants(gate):
    search = mutate.Search(gate, "test").run(at_once=4, count=60)
    assert not search.wrong, "\n".join(search.wrong)
    assert sum(search.outcomes.values()) == 60 and search.outcomes["sqlite_damaged"] and search.outcomes["completed"], f"expected some of each kind, got {search.outcomes}"


def test_the_same_seed_makes_the_same_mutants(tmp_path):
    first, again, other = (list(itertools.islice(mutate.mutants(seed, str(tmp_path)), 200)) for seed in ("1", "1", "2"))
    assert first == again and first != other
    ways = collections.Counter(way for name, _, _ in first for way in name.split("-")[3:])
    assert set(ways) == {way.__name__ for way in mutate.WAYS}, f"expected every way of breaking a file, got {ways}"
    assert {name.split("-")[2] for name, _, _ in first} == {"android", "ios", "mixed", "wide"}


def test_what_is_wrong_is_noticed(gate, tmp_path, monkeypatch):
    """A search that finds nothing must be able to find something."""
    monkeypatch.setattr(mutate, "BUILD", str(tmp_path))
    monkeypatch.setattr(mutate, "FAULTS", {"not_a_sqlite_file"})
    search = mutate.Search(gate, "test")
    search.safe(("mine", "mirror", b"no database " * 100))
    assert len(search.wrong) == 1 and (tmp_path / "crashes" / "sqlite-mine.db").read_bytes() == b"no database " * 100
