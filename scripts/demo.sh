#!/usr/bin/env bash
# demo.sh RUN_DIR FILE [PROFILE]: imports a spreadsheet, or with a profile an SQLite database (made when there is no FILE), into the running instance of RUN_DIR, through its public API, as its administrator.
set -euo pipefail
# shellcheck source=instance.sh
. "$(dirname "${BASH_SOURCE[0]}")/instance.sh"

use_run_dir "$1"
file=$2
if [ -z "$file" ] && [ -n "${3-}" ]; then
	folder=$(mktemp -d)
	trap 'rm -rf "$folder"' EXIT
	file=$folder/Backup.db
	python3 tests/lib/pinpal.py "$file" --games 1400 --seed "$RANDOM"
fi
[ -n "$file" ] || fail "Which file? make demo FILE=leads.csv"
[ -r "$file" ] || fail "The file $file cannot be read."
[ -r "$RUN_DIR/url" ] || fail "There is no instance in $RUN_DIR; start it with make run."
any_running || fail "The instance in $RUN_DIR is not running; start it with make run."
export NO_PROXY=localhost no_proxy=localhost
status=0
what=("$file")
[ -z "${3-}" ] || what=(--sqlite "$file" --profile "$3")
"$STATE/bin/tidegate" import "${what[@]}" --url "$(<"$RUN_DIR/url")" --token-file "$RUN_DIR/tokens/admin" --cacert "$RUN_DIR/tls/cert.pem" || status=$?
# 3: completed, some rows were left out, as the summary says.
[ "$status" -eq 3 ] || exit "$status"
