"""Fixtures of the tests against real object stores: one of each per test process, started when first asked for."""
import os
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

from object_servers import SERVERS, Radosgw, Swift  # noqa: E402


@pytest.fixture(scope="session")
def shared_swift():
    with Swift() as server:
        yield server


@pytest.fixture(scope="session")
def shared_radosgw():
    with Radosgw() as server:
        yield server


@pytest.fixture(params=SERVERS)
def store(request):
    """Each store in turn, shared by the tests of this process: leave it running and use buckets of your own."""
    return request.getfixturevalue(f"shared_{request.param}")
