#!/bin/sh
# Speed of the SQLite reader and of what it is measured against, on one database. Called by bench.sh, or by hand after `make`:
# bench/sqlite_reader.sh BUILD_DIR FILE TURNS
# Prints one line per reader: name, seconds (best of TURNS; of one turn for the shell, which takes longest), and one of our child's memory: MB.
set -eu
cd "$(dirname "$0")/.."
build=$1 file=$2 turns=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# shellcheck disable=SC2086 # several words
${CC:-gcc} -std=c17 -D_GNU_SOURCE -O2 -I. -include core/base/banned.h -o "$work/reader" bench/reader.c "$build/libtidegate.a" \
	-ljansson -lsodium -lseccomp -lzip -lisal -lsqlite3 -lm
cat "$file" >/dev/null
"$work/reader" "$build/tidegate" sqlite "$file" "$turns" | awk '/^tidegate/ { print "tidegate", $4, $9, $11; next } { print "memory", $(NF - 1) }'
/usr/bin/python3 - "$file" "$turns" <<'PY'
import sqlite3
import subprocess
import sys
import time

path, turns = sys.argv[1], int(sys.argv[2])


def timed(run):
    begin = time.monotonic()
    run()
    return time.monotonic() - begin


def shell(sql):
    with open("/dev/null", "wb") as null:
        subprocess.run(["sqlite3", path, sql], stdout=null, check=True)


def python():
    for _ in sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True).execute("SELECT * FROM frame"):
        pass


print("sqlite3-select", f"{timed(lambda: shell('SELECT * FROM frame')):.3f}")
print("sqlite3-quick_check", f"{min(timed(lambda: shell('PRAGMA quick_check')) for _ in range(turns)):.3f}")
print("python-sqlite3", f"{timed(python):.3f}")
PY
