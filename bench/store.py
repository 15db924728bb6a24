#!/usr/bin/python3
"""
PUT and GET of a large object: `tidegate store` beside curl with a presigned URL, against the same Swift in the same run.
Usage: bench/store.py MIB TURNS      prints: put|get, our seconds, curl's seconds, our peak memory in MB (best of TURNS each)
"""
import os
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tests", "lib"))

from bucket import Bucket  # noqa: E402
from object_servers import Swift  # noqa: E402


def run(command):
    """Seconds and peak memory (MB) of a command that must succeed. The memory is looked at while it runs: what wait4 says includes ours."""
    begun, memory = time.monotonic(), 0
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while process.poll() is None:
        with open(f"/proc/{process.pid}/status", encoding="ascii", errors="replace") as file:
            found = [line for line in file if line.startswith("VmHWM")]
        memory = int(found[0].split()[1]) / 1024 if found else memory
        time.sleep(0.01)
    assert process.returncode == 0, f"{command[0]} ended with {process.returncode}"
    return time.monotonic() - begun, memory


def main(mib, turns):
    with Swift() as server, Bucket(server, deadline_s=600, part_bytes=64 << 20) as bucket:
        big, out = bucket.path("big"), bucket.path("out")
        subprocess.run(["dd", "if=/dev/urandom", f"of={big}", "bs=1M", f"count={mib}"], check=True, stderr=subprocess.DEVNULL)
        store = [os.path.join(ROOT, os.environ.get("TIDEGATE_BUILD", "build"), "tidegate"), "--config", bucket.path("ini"), "store"]
        best = {}

        def measure(name, command):
            if os.path.exists(out):
                os.remove(out)
            seconds, memory = run(command)
            before = best.get(name, (seconds, 0))
            best[name] = (min(seconds, before[0]), max(memory, before[1]))
        for _ in range(turns):
            measure("put curl", ["curl", "-sf", "-o", "/dev/null", "-T", big, server.sign("PUT", f"/{bucket.name}/theirs")])
            measure("put", [*store, "put", big, "ours"])
            measure("get curl", ["curl", "-sf", "-o", out, server.sign("GET", f"/{bucket.name}/theirs")])
            measure("get", [*store, "get", "theirs", out])
            bucket.run("delete", "ours", "theirs")
        for what in ("put", "get"):
            print(what, f"{best[what][0]:.2f} {best[what + ' curl'][0]:.2f} {best[what][1]:.0f}")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
