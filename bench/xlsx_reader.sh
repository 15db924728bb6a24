#!/bin/sh
# Speed of the XLSX reader and of what it is measured against, on one workbook. Called by bench.sh, or by hand after `make`:
# bench/xlsx_reader.sh BUILD_DIR FILE PEER_DIR TURNS     (PEER_DIR: bench/peer with its packages installed)
# Prints one line per reader: name, seconds, cells (and one of our child's memory: MB). Best of TURNS for C, one turn for the others, which take long enough.
set -eu
cd "$(dirname "$0")/.."
build=$1 file=$2 peer=$3 turns=$4
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cc="${CC:-gcc} -std=c17 -D_GNU_SOURCE -O2 -I. -include core/base/banned.h"
libraries="$build/libtidegate.a -ljansson -lsodium -lseccomp -lzip -lisal -lm"
# shellcheck disable=SC2086 # several words each
$cc -o "$work/floor" bench/xlsx_floor.c $libraries
# shellcheck disable=SC2086
$cc -o "$work/reader" bench/reader.c $libraries -lsqlite3

"$work/reader" "$build/tidegate" xlsx "$file" "$turns" | awk '/^tidegate/ { print "tidegate", $4, $11; next } { print "memory", $(NF - 1) }'
"$work/floor" "$file" "$turns" | awk '{ print "unpack-and-find-tags", $0 }'
(cd "$peer" && node xlsx.js "$file") | awk '{ print "ExcelJS-stream", $1, $3 }'
/usr/bin/python3 -W ignore - "$file" <<'PY'
import sys, time
try:
    import openpyxl
except ImportError:
    sys.exit(0)
begin = time.monotonic()
cells = sum(len(row) for row in openpyxl.load_workbook(sys.argv[1], read_only=True).worksheets[0].iter_rows(values_only=True))
print("openpyxl-read-only", f"{time.monotonic() - begin:.3f}", cells)
PY
