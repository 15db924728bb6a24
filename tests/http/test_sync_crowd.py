"""Promise 5 as a whole: crowds of devices over a bad network agree at the end. TIDEGATE_SYNC_SECONDS makes it longer (make test-sync)."""
import os
import random
import time

import pytest

from instance import unique
from sync_crowd import Crowd

SECONDS = int(os.environ.get("TIDEGATE_SYNC_SECONDS", "0"))
SEED = int(os.environ.get("TIDEGATE_SYNC_SEED", "0")) or random.SystemRandom().randrange(1, 10**9)


def make_crowd(gate, devices, seed, folder=None):
    sub = unique("crowd")
    return Crowd(gate, lambda: gate.token("member", sub, space=sub), sub, devices, seed, folder)


@pytest.mark.parametrize("number", range(3))
def test_devices_over_a_bad_network_agree_at_the_end(gate, tmp_path, number):
    crowd = make_crowd(gate, 4, SEED + number, str(tmp_path))
    end = time.monotonic() + SECONDS / 3
    steps = 0
    while steps < 150 or time.monotonic() < end:
        crowd.step()
        steps += 1
    crowd.settle()
    crowd.verify()
    crowd.close()


def test_devices_agree_although_servers_are_killed(make_gate):
    """kill -9 of the request processes and of PostgreSQL while everybody syncs."""
    gate = make_gate(fsync="on")
    crowd = make_crowd(gate, 4, SEED)
    rounds = max(3, SECONDS // 6)
    for number in range(rounds):
        for step in range(40):
            crowd.step()
            if step % 13 == 5:
                gate.kill("serve")
        if number % 3 == 1:
            gate.restart_postgres()
    crowd.settle()
    crowd.verify()
    crowd.close()
