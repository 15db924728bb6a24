# shellcheck shell=bash disable=SC2034 # what is set here is used by those who source it
# One private instance in a folder: where things stand, which processes are its own, how they are stopped.
# Sourced by run.sh, stop.sh and demo.sh, which set RUN_DIR with use_run_dir first.
#
# RUN_DIR/tokens, tls, url   what the person at the keyboard needs
# RUN_DIR/state              everything the servers need; a link to a folder elsewhere when they cannot enter RUN_DIR
# RUN_DIR/lock               held by run.sh as long as it lives; run.pid names its process
RUN_DIR=
STATE=

say() { printf '%s\n' "$*"; }
fail() {
	printf '%s\n' "$*" >&2
	exit 1
}

# As root, PostgreSQL runs as postgres, nginx's workers and tidegate as www-data; otherwise everything as ourselves.
# The prefixes are arrays, not functions, so that $! is the server itself.
if [ "$(id -u)" -eq 0 ]; then
	DATABASE_USER=postgres SERVICE_USER=www-data ELSEWHERE=/var/lib/tidegate-run
	AS_DATABASE=(setpriv --reuid=postgres --regid=postgres --init-groups --)
	AS_SERVICE=(setpriv --reuid=www-data --regid=www-data --init-groups --)
else
	DATABASE_USER=$(id -un) SERVICE_USER=$(id -un) ELSEWHERE=/var/tmp/tidegate-run-$(id -u)
	AS_DATABASE=() AS_SERVICE=()
fi

use_run_dir() {
	RUN_DIR=$(realpath -m -- "$1")
	find_state || true
}

# STATE, once it exists: the real folder.
find_state() {
	[ -d "$RUN_DIR/state" ] && STATE=$(cd "$RUN_DIR/state" && pwd -P)
}

# Our servers are what bears one of these names and works in a folder below STATE: that survives lost pid files and
# orphaned children, and never fits a stranger that got an old number, nor a shell that somebody left in there.
is_ours() {
	local name='' folder
	{ read -r name <"/proc/$1/comm"; } 2>/dev/null || return 1
	case $name in nginx | tidegate | postgres) ;; *) return 1 ;; esac
	folder=$(readlink "/proc/$1/cwd" 2>/dev/null) || return 1
	[[ $folder/ == "$STATE"/* ]]
}

# strays NAME: every process of ours of that program.
strays() {
	local comm pid name
	[ -n "$STATE" ] || return 0
	for comm in /proc/[0-9]*/comm; do
		pid=${comm#/proc/} pid=${pid%/comm} name=''
		{ read -r name <"$comm"; } 2>/dev/null || continue
		if [ "$name" = "$1" ] && is_ours "$pid"; then
			echo "$pid"
		fi
	done
}
no_strays() { [ -z "$(strays "$1")" ]; }

# pid_of NAME: the main process, from its pid file.
pid_of() {
	local pid=''
	{ read -r pid <"$STATE/run/$1.pid"; } 2>/dev/null || return 1
	[[ $pid =~ ^[0-9]+$ ]] && is_ours "$pid" && echo "$pid"
}
is_gone() { ! pid_of "$1" >/dev/null; }

# wait_until SECONDS COMMAND…: polls.
wait_until() {
	local end=$((SECONDS + $1))
	shift
	until "$@"; do
		[ "$SECONDS" -lt "$end" ] || return 1
		sleep 0.05
	done
}

# stop_one NAME PROGRAM SIGNAL SECONDS: asks the main process, waits, and ends by pid what is left of it.
stop_one() {
	local pid
	if pid=$(pid_of "$1"); then
		kill "-$3" "$pid" 2>/dev/null || true
		wait_until "$4" is_gone "$1" || say "$1 does not end by itself and is killed."
	fi
	if [ -n "$STATE" ]; then
		# Children of a main process that was killed end by themselves in a moment, or never.
		wait_until 2 no_strays "$2" || for pid in $(strays "$2"); do kill -KILL "$pid" 2>/dev/null || true; done
		wait_until 5 no_strays "$2" || say "Some processes of $2 could not be ended."
		rm -f "$STATE/run/$1.pid"
	fi
}

# In reverse order of the start. SIGINT is PostgreSQL's fast shutdown.
stop_all() {
	stop_one nginx nginx QUIT 10
	stop_one pool tidegate TERM 40
	stop_one postgres postgres INT 40
	# Sockets that had to stand outside (see run.sh).
	local sockets
	sockets=$(readlink "$STATE/sockets" || true)
	if [[ $sockets =~ ^/tmp/tidegate\.[A-Za-z0-9]{6}$ ]] && [ -O "$sockets" ]; then
		rm -rf "$sockets" "$STATE/sockets"
	fi
}

any_running() {
	[ -n "$STATE" ] && ! { no_strays nginx && no_strays tidegate && no_strays postgres; }
}
