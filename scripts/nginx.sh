#!/usr/bin/env bash
# Writes nginx's configuration into a folder: nginx.sh FOLDER NAME=VALUE… puts nginx.conf, tidegate.conf and snippets/
# there with every @NAME@ replaced. One renderer for `make run`, the tests and production, so that all of them run the
# same files. The names that have no default must be given: LISTEN, SOCKET, STORAGE, CERTIFICATE, KEY. For nginx.conf
# (private instances only, where no nginx.conf exists) also STATE.
set -euo pipefail

folder=$1
shift
source=$(cd "$(dirname "${BASH_SOURCE[0]}")/../nginx" && pwd)

declare -A values=(
	[SNIPPETS]=$folder/snippets # included files
	[SERVER_NAME]=_
	[UPLOAD_MAX]=2049m # storage.upload_max_bytes and a little, so that the application gives the reason
	[BODY_MAX]=1m      # server.body_max
	[SYNC_MAX]=4m      # sync.max_bytes
	[RATE]=200r/s      # per address
	[BURST]=400
	[CONNECTIONS]=1024 # requests that wait or run at once
	[PEER_CONNECTIONS]=64 # of these, from one address
	[EVENTS]="" # events.publisher: the socket for hints; empty: none, also where nginx has no nchan
	[REDIS]=""         # redis://HOST:PORT that hints go through, so that the nginx of every host tells them; empty: of this one alone
	[STREAMS]=5000     # of GET /api/events, at once
	[PEER_STREAMS]=64  # of these, from one address
	[ACCESS_LOG]=/var/log/nginx/tidegate.log
	[PAGES]=""         # folder of static pages of an app, at /app/; empty: none
	[USER]="" # "user www-data;" when the master runs as root
	[STATE]=""
	# Made of the others:
	[MODULES]="" [EVENTS_PUBLISHER]="" [EVENTS_STREAMS]="" [EVENTS_REDIS]="" [PAGES_LOCATION]=""
)
for pair; do
	values[${pair%%=*}]=${pair#*=}
done

if [ -n "${values[EVENTS]}" ]; then
	values[EVENTS_PUBLISHER]="include $folder/snippets/events_publisher.conf;"
	values[EVENTS_STREAMS]="include $folder/snippets/events.conf;"
	# Hints are worth nothing a moment later: Redis hands them on and keeps none.
	[ -z "${values[REDIS]}" ] || values[EVENTS_REDIS]="nchan_use_redis on; nchan_redis_url \"${values[REDIS]}\"; nchan_redis_storage_mode nostore;"
	values[MODULES]="load_module /usr/lib/nginx/modules/ngx_nchan_module.so;"
fi

[ -z "${values[PAGES]}" ] || values[PAGES_LOCATION]="include $folder/snippets/pages.conf;"

render() {
	local text name
	text=$(<"$1")
	for name in "${!values[@]}"; do
		# Quoted, so that & in a value stays an &.
		text=${text//"@$name@"/"${values[$name]}"}
	done
	if [[ $text =~ @[A-Z_]+@ ]]; then
		echo "nginx.sh: $1 needs a value for ${BASH_REMATCH[0]}" >&2
		return 1
	fi
	printf '%s\n' "$text" >"$2"
}

mkdir -p "$folder/snippets"
for file in "$source"/snippets/*.conf; do
	render "$file" "$folder/snippets/${file##*/}"
done
render "$source/tidegate.conf.in" "$folder/tidegate.conf"
if [ -n "${values[STATE]}" ]; then
	render "$source/nginx.conf.in" "$folder/nginx.conf"
fi
