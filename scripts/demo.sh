#!/usr/bin/env bash
# demo.sh RUN_DIR FILE: imports a file into the running instance of RUN_DIR, through its public API, as its administrator.
set -euo pipefail
# shellcheck source=instance.sh
. "$(dirname "${BASH_SOURCE[0]}")/instance.sh"

use_run_dir "$1"
[ -n "$2" ] || fail "Which file? make demo FILE=leads.csv"
[ -r "$2" ] || fail "The file $2 cannot be read."
[ -r "$RUN_DIR/url" ] || fail "There is no instance in $RUN_DIR; start it with make run."
any_running || fail "The instance in $RUN_DIR is not running; start it with make run."
export NO_PROXY=localhost no_proxy=localhost
status=0
"$STATE/bin/tidegate" import "$2" --url "$(<"$RUN_DIR/url")" --token-file "$RUN_DIR/tokens/admin" --cacert "$RUN_DIR/tls/cert.pem" || status=$?
# 3: completed, some rows were left out, as the summary says.
[ "$status" -eq 3 ] || exit "$status"
