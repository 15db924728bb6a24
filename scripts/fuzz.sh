#!/usr/bin/env bash
# fuzz.sh replay BUILD: every fuzz target on its seeds, as TAP. fuzz.sh search BUILD SECONDS: every target looks for inputs
# that break it, for so long each; what it finds stays in BUILD/corpus, what breaks it in BUILD/crashes. Called by make.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
mode=$1 build=$2 seconds=${3:-60}
[[ $seconds =~ ^[1-9][0-9]*$ ]] || { echo "fuzz.sh: FUZZ_SECONDS must be a number from 1" >&2; exit 2; }
# Freed blocks are kept from reuse for 16 MB only: with the usual 256 MB every input would work on fresh pages.
export UBSAN_OPTIONS=print_stacktrace=1 ASAN_OPTIONS=detect_leaks=1:quarantine_size_mb=16
log=$(mktemp -d)
trap 'rm -rf "$log"' EXIT

# A target without seeds is a failure: nothing would be run.
replay() {
	local program name number=0 failed=0 seeds
	for program in "$build"/fuzz/fuzz_*; do
		name=${program##*/fuzz_} number=$((number + 1))
		if "$program" "tests/fuzz/seeds/$name" >"$log/names" 2>"$log/errors" && seeds=$(wc -l <"$log/names") && [ "$seeds" -gt 0 ]; then
			echo "ok $number - fuzz_$name, $seeds seeds"
		else
			echo "not ok $number - fuzz_$name, at $(tail -n 1 "$log/names")"
			head -n 60 "$log/errors" | sed 's/^/# /'
			failed=1
		fi
	done
	echo "1..$number"
	return $failed
}

# The first folder takes what is new, the seeds are only read.
search_one() {
	local name=$1 status=0
	mkdir -p "$build/corpus/$name" "$build/crashes"
	"$build/fuzz/fuzz_$name" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 -verbosity=1 \
		-artifact_prefix="$build/crashes/$name-" "$build/corpus/$name" "tests/fuzz/seeds/$name" >"$log/$name" 2>&1 || status=$?
	if [ "$status" -eq 0 ]; then
		echo "ok   fuzz_$name: $(sed -n 's/^stat::number_of_executed_units: *//p' "$log/$name") inputs in $seconds s, none breaks it"
	else
		echo "FAIL fuzz_$name"
		grep -vE '^#[0-9]+[[:space:]]+(NEW|REDUCE|pulse|RELOAD|INITED|READ)|^INFO' "$log/$name" | head -n 60 | sed 's/^/     /'
	fi
	return $status
}

if [ "$mode" = replay ]; then
	replay
else
	export -f search_one
	export build seconds log
	for program in "$build"/fuzz/fuzz_*; do
		echo "${program##*/fuzz_}"
	done | xargs -P "$(nproc)" -I '{}' bash -c 'search_one {}'
fi
