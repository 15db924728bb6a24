#!/bin/sh
# Speed of the CSV reader and of what it is measured against, on one generated file (200 000 rows x 13 columns, 31 MB).
# Usage: bench/csv_reader.sh [BUILD_DIR]     (after `make`; BUILD_DIR is "build" unless given)
# Prints MB/s, best of several runs: newline scan, our CSV machine, our whole reader child with frames into a pipe,
# libcsv (if libcsv-dev is installed), python3's csv module.
set -eu
cd "$(dirname "$0")/.."
build=${1:-build}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
file=$work/rows.csv

python3 - "$file" <<'PY'
import sys
with open(sys.argv[1], "w", newline="", encoding="utf-8") as f:
    f.write("external_id,first_name,last_name,email,phone,company,job_title,address,city,postal_code,country,status,notes\r\n")
    for i in range(200000):
        f.write(f'EXT{i:07d},Jean{i%97},Dupont{i%1013},jean.dupont{i}@exemple{i%31}.fr,+3361{i:07d},"Société {i%211}, SA",'
                f'Directeur,{i%200} rue de la Paix,Ville{i%501},{10000+i%80000},France,new,note courte {i%7}\r\n')
PY

cc="${CC:-gcc} -std=c17 -D_GNU_SOURCE -O2 -I. -include core/base/banned.h"
$cc -o "$work/csv_reader" bench/csv_reader.c "$build/libtidegate.a" -ljansson -lsodium -lm
"$work/csv_reader" "$file"

python3 - "$file" "$build/tests/misreader" <<'PY'
import csv, os, subprocess, sys, time
path, reader = sys.argv[1], sys.argv[2]
size = os.path.getsize(path)

def show(name, run, turns):
    best = min(timed(run) for _ in range(turns))
    print(f"{name:<22} {size / best / 1e6:8.0f} MB/s")

def timed(run):
    begin = time.monotonic()
    run()
    return time.monotonic() - begin

def child():
    with open(path, "rb") as f:
        process = subprocess.Popen([reader, "read", "csv", "--mode", "rows"], stdin=f, stdout=subprocess.PIPE)
        while process.stdout.read1(1 << 20):
            pass
        process.wait()

def python_csv():
    with open(path, newline="", encoding="utf-8") as f:
        for _ in csv.reader(f):
            pass

if os.access(reader, os.X_OK):
    show("tidegate reader child", child, 5)
show("python csv", python_csv, 2)
PY

if [ -e /usr/include/csv.h ]; then
	cat >"$work/libcsv.c" <<'C'
#include <csv.h>
#include <stdio.h>
#include <time.h>
static unsigned long cells;
static void cell(void *s, size_t n, void *data) { (void)s; (void)n; (void)data; cells++; }
int main(int argc, char **argv)
{
	static char block[256 << 10];
	struct csv_parser parser;
	struct timespec a, b;
	size_t n = 0, total = 0;
	FILE *file = argc == 2 ? fopen(argv[1], "rb") : NULL;
	if (!file || csv_init(&parser, 0))
		return 1;
	clock_gettime(CLOCK_MONOTONIC, &a);
	while ((n = fread(block, 1, sizeof(block), file)) > 0) {
		csv_parse(&parser, block, n, cell, NULL, NULL);
		total += n;
	}
	csv_fini(&parser, cell, NULL, NULL);
	clock_gettime(CLOCK_MONOTONIC, &b);
	printf("%-22s %8.0f MB/s  %lu cells\n", "libcsv", total / 1e6 / ((b.tv_sec - a.tv_sec) + (b.tv_nsec - a.tv_nsec) / 1e9), cells);
	return 0;
}
C
	${CC:-gcc} -O2 -o "$work/libcsv" "$work/libcsv.c" -lcsv
	"$work/libcsv" "$file"
else
	echo "libcsv                 not installed"
fi
