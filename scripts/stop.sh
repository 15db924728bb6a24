#!/usr/bin/env bash
# stop.sh RUN_DIR: ends the instance of that folder from outside, also when the make run that started it is gone.
set -euo pipefail
# shellcheck source=instance.sh
. "$(dirname "${BASH_SOURCE[0]}")/instance.sh"

use_run_dir "$1"
[ -d "$RUN_DIR" ] || fail "There is no instance in $RUN_DIR."

lock_is_free() { flock -n 9; }

if [ -e "$RUN_DIR/lock" ]; then
	exec 9<>"$RUN_DIR/lock"
	if ! lock_is_free; then
		# Whoever holds the lock is run.sh, and this is its number.
		kill -TERM "$(<"$RUN_DIR/run.pid")"
		wait_until 100 lock_is_free || fail "$RUN_DIR does not stop."
		say "stopped $RUN_DIR"
		exit 0
	fi
fi
if any_running; then
	stop_all
	say "stopped $RUN_DIR"
else
	say "$RUN_DIR is not running"
fi
