#!/usr/bin/python3
"""with_store.py swift|radosgw COMMAND…: runs a command whose instances (tests/lib/instance.py) keep their objects in such a store."""
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

from object_servers import SERVERS  # noqa: E402


def main(name, *command):
    with SERVERS[name]() as server:
        return subprocess.run(command, env={**os.environ, "TIDEGATE_TEST_STORE": json.dumps(server.options())}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
