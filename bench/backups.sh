#!/bin/sh
# Dump and restore against the sqlite3 shell, on one mixed database. Called by bench.sh, or by hand after `make`:
# bench/backups.sh BUILD_DIR ROWS TURNS
# Prints one line per figure: name, our seconds, the shell's seconds (best of TURNS), then `memory`, MB of our dump, and `size`, MB of the database; with sqldiff (package
# sqlite3-tools) also `differ`, seconds, and `differ_size`, bytes after zstd -3, of what 500 updates, 2000 inserts and 1000 deletes make.
# zstd_alone is the floor of what goes through one thread of zstd.
set -eu
cd "$(dirname "$0")/.."
build=$1 rows=$2 turns=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# shellcheck disable=SC2086 # several words
${CC:-gcc} -std=c17 -D_GNU_SOURCE -O2 -I. -I"$build/gen" -I/usr/include/postgresql -include core/base/banned.h -o "$work/dump" bench/dump.c "$build/libtidegate.a" \
	-lcrypto -ljansson -lsodium -lsqlite3 -lzstd -lz -lpq -lm
# shellcheck disable=SC2086 # several words
${CC:-gcc} -std=c17 -D_GNU_SOURCE -O2 -I. -I"$build/gen" -I/usr/include/postgresql -include core/base/banned.h -o "$work/differ" bench/differ.c "$build/libtidegate.a" \
	-lcrypto -ljansson -lsodium -lsqlite3 -lzstd -lz -lpq -lm
age-keygen -o "$work/key" 2>/dev/null
/usr/bin/python3 - "$build" "$work" "$rows" "$turns" "$(age-keygen -y "$work/key")" <<'PY'
import os
import random
import resource
import sqlite3
import subprocess
import sys
import time

build, work, rows, turns, recipient = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]
source, numbers = f"{work}/mixed.db", random.Random(1)
words = ["".join(numbers.choices("abcdefghijklmnopqrstuvwxyz", k=numbers.randrange(3, 10))) for _ in range(5000)]
db = sqlite3.connect(source)
db.execute("PRAGMA synchronous = OFF")
db.execute("CREATE TABLE person(id INTEGER PRIMARY KEY, name TEXT, mail TEXT, score REAL, born INT, note TEXT)")
db.execute("CREATE TABLE event(at REAL, kind TEXT, person INT, amount REAL, payload BLOB)")
db.execute("CREATE TABLE setting(k TEXT PRIMARY KEY, v TEXT) WITHOUT ROWID")
db.executemany("INSERT INTO person VALUES(?, ?, ?, ?, ?, ?)", ((i, " ".join(numbers.choices(words, k=2)), numbers.choice(words) + "@example.org", numbers.random() * 100,
               numbers.randrange(10**9), " ".join(numbers.choices(words, k=40))) for i in range(rows)))
db.executemany("INSERT INTO event VALUES(?, ?, ?, ?, ?)", ((1.6e9 + i * 0.731, numbers.choice(words), numbers.randrange(rows), round(numbers.random() * 1000, 2), numbers.randbytes(100)) for i in range(rows)))
db.executemany("INSERT INTO setting VALUES(?, ?)", ((f"key{i:07}", " ".join(numbers.choices(words, k=60))) for i in range(rows // 2)))
db.execute("CREATE INDEX event_person ON event(person)")
db.commit()
db.close()


def timed(command):
    best = None
    for _ in range(turns):
        for name in ("ours", "theirs", "out"):
            if os.path.exists(f"{work}/{name}"):
                os.remove(f"{work}/{name}")
        begin = time.monotonic()
        subprocess.run(["bash", "-o", "pipefail", "-c", command], check=True, stdout=subprocess.DEVNULL)
        best = min(best or 1e9, time.monotonic() - begin)
    return best


subprocess.run(["cat", source], stdout=subprocess.DEVNULL, check=True)
def tell(name, ours, theirs):
    print(f"{name} {ours:.2f} {theirs:.2f}")


tell("dump", timed(f"{work}/dump {source} {work}/ours 0"), timed(f"sqlite3 {source} .dump > {work}/theirs"))
os.rename(f"{work}/theirs", f"{work}/stock.sql")
tell("dump_zstd", timed(f"{work}/dump {source} {work}/ours 3"), timed(f"sqlite3 {source} .dump | zstd -3 -q -o {work}/out"))
tell("zstd_alone", timed(f"zstd -3 -q -o {work}/out {work}/stock.sql"), 0)
ours = timed(f"{build}/tidegate backup dump {source} --to {work}/ours --recipients {recipient}")
memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
os.rename(f"{work}/ours", f"{work}/kept.age")
restored = timed(f"{build}/tidegate restore {work}/kept.age --identity {work}/key --to {work}/out")
tell("whole", ours + restored, os.path.getsize(source) / 1e6 / 40)
tell("restore", restored, timed(f"sqlite3 {work}/out < {work}/stock.sql"))
if subprocess.run(["which", "sqldiff"], stdout=subprocess.DEVNULL).returncode == 0:
    changed = f"{work}/changed.db"
    subprocess.run(["cp", source, changed], check=True)
    db = sqlite3.connect(changed)
    chosen = numbers.sample(range(1, rows), 1500)
    db.executemany("UPDATE person SET score = ? WHERE id = ?", ((numbers.random(), i) for i in chosen[:500]))
    db.executemany("DELETE FROM event WHERE rowid = ?", ((i,) for i in chosen[500:]))
    db.executemany("INSERT INTO person SELECT ?, name, mail, score, born, note FROM person WHERE id = ?", ((rows + i, i) for i in range(1000)))
    db.executemany("INSERT INTO event VALUES(?, ?, ?, ?, ?)", ((2e9 + i, numbers.choice(words), i, i / 3, numbers.randbytes(100)) for i in range(1000)))
    db.commit()
    db.close()
    tell("differ", timed(f"{work}/differ {source} {changed} {work}/ours"), timed(f"sqldiff --primarykey {source} {changed} > {work}/theirs"))
    subprocess.run(["bash", "-c", f"{work}/differ {source} {changed} {work}/ours && sqldiff --primarykey {source} {changed} > {work}/theirs && zstd -3 -qf {work}/ours {work}/theirs"], check=True)
    print("differ_size", os.path.getsize(f"{work}/ours.zst"), os.path.getsize(f"{work}/theirs.zst"))
print("memory", memory // 1024)
print("size", os.path.getsize(source) // 1000000)
PY
