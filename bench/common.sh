# shellcheck shell=bash disable=SC2034 # what is set here is used by those who source it
# What the steps of bench.sh have in common: an instance of their own, clocks, floors, the lines of the table.
# Sourced by bench.sh, which has set TIDEGATE_BUILD. Everything stands in one folder below /tmp and goes with it.
port=${PORT:-9743}
second_port=$((port + 1)) peer_port=$((port + 10))
dir=$(mktemp -d /tmp/tidegate-bench.XXXXXX)
chmod 755 "$dir"
children=()

stop() {
	local pid
	for pid in "${children[@]}"; do kill "$pid" 2>/dev/null || true; done
	[ ! -d "$dir/run" ] || scripts/stop.sh "$dir/run" >/dev/null 2>&1 || true
	rm -rf "$dir"
}
trap stop EXIT

# A complete instance, as `make run` makes it. The first call starts it; psql then works without arguments.
start() {
	[ ! -e "$dir/run/tokens/admin" ] || return 0
	: >"$dir/run.log"
	RATE=1000000r/s BURST=1000000 scripts/run.sh "$port" "$dir/run" 0 >>"$dir/run.log" 2>&1 </dev/null &
	for _ in $(seq 300); do
		! grep -q '^ready' "$dir/run.log" || break
		sleep 0.2
	done
	grep -q '^ready' "$dir/run.log" || { tail -n 5 "$dir/run.log"; exit 1; }
	state=$(readlink -f "$dir/run/state")
	PGPASSWORD=$(cat "$state/secrets/superuser")
	export PGPASSWORD PGHOST=$state/run/pg PGUSER=postgres PGDATABASE=tidegate PGOPTIONS='-c client_min_messages=warning'
	peer_database="postgresql://postgres:$PGPASSWORD@localhost/tidegate?host=$PGHOST"
}

# The Node packages of the peers, once, outside of the repository.
install_peer() {
	[ ! -d "$dir/peer" ] || return 0
	cp -r bench/peer "$dir/peer"
	(cd "$dir/peer" && npm install --no-package-lock --no-audit --no-fund --silent)
}

now() { date +%s.%N; }
since() { awk -v a="$1" -v b="$(now)" 'BEGIN { printf "%.2f", b - a }'; }
ratio() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.2f", a / (b > 0 ? b : 0.01) }'; }
tidegate() { "$TIDEGATE_BUILD/tidegate" "$@"; }
connection() { printf '%s\n' --url "https://localhost:$port" --token-file "$dir/run/tokens/admin" --cacert "$dir/run/tls/cert.pem"; }

api() { # METHOD PATH [BODY]: the answer, and its status on the last line
	curl -s --cacert "$dir/run/tls/cert.pem" -X "$1" -H "Authorization: Bearer $(cat "$dir/run/tokens/admin")" -H 'Content-Type: application/json' \
		${3:+-d "$3"} -w '\n%{http_code}\n' "https://localhost:$port$2"
}

best_of() { # COUNT COMMAND…: the smallest of several measurements
	local n=$1
	shift
	for _ in $(seq "$n"); do printf '%s\n' "$("$@")"; done | sort -n | head -n 1
}

# ------------------------------------------------------------------------------------------------------------- the table

table_head() { printf '%-62s %16s   %-40s %16s   %7s   %s\n' figure seen 'floor or peer' 'its figure' ratio wanted; }

figure() { # WHAT SEEN AGAINST ITS_FIGURE RATIO [WANTED]
	printf '%-62s %16s   %-40s %16s   %7s   %s\n' "$1" "$2" "$3" "$4" "$5" "${6:-}"
}

note() { printf '    %s\n' "$*"; }

# ---------------------------------------------------------------------------------------------------- imports and floors

sample() { # ROWS SEED: the path of that file, readable for PostgreSQL
	local file=$dir/leads-$1-$2.csv
	if [ ! -e "$file" ]; then
		"$TIDEGATE_BUILD/sample" "$1" "$2" >"$file"
		chmod 644 "$file"
	fi
	echo "$file"
}

empty_leads() { psql -qX -c 'TRUNCATE crm.lead, crm.lead_history' -c 'CHECKPOINT'; }

# Leads that no sample has, as if they had come in before.
leads_already_there() {
	psql -qX -c "INSERT INTO crm.lead (space, external_id, first_name, last_name, email, phone, company)
		SELECT 'demo', 'OLD-' || n, 'Ana', 'Durand', 'old' || n || '@example.net', '+339' || lpad(n::text, 8, '0'), 'SNCF' FROM generate_series(1, $1) AS n" \
		-c 'ANALYZE crm.lead' -c 'CHECKPOINT'
}

floor_copy() { # FILE: seconds of psql \copy into text columns
	psql -qX -c 'DROP TABLE IF EXISTS bench_floor' -c "CREATE TABLE bench_floor ($(printf 'c%s text,' {1..13} | sed 's/,$//'))"
	local t
	t=$(now)
	psql -qX -c "\\copy bench_floor FROM '$1' WITH (FORMAT csv, DELIMITER ';', HEADER)"
	since "$t"
	psql -qX -c 'DROP TABLE bench_floor'
}

# FILE: seconds from the upload URL to completed; $dir/import.json is the summary.
import_file() {
	local t seconds options status=0
	mapfile -t options < <(connection)
	t=$(now)
	tidegate import "$1" "${options[@]}" --allow-duplicate --json >"$dir/import.out" || status=$?
	seconds=$(since "$t")
	tail -n 1 "$dir/import.out" >"$dir/import.json"
	# 3: samples have rows that cannot be imported
	[ "$status" -eq 0 ] || [ "$status" -eq 3 ] || { cat "$dir/import.json" >&2; return 1; }
	echo "$seconds"
}

import_empty() { empty_leads && import_file "$1"; }

json_number() { sed -E "s/.*\"$2\":([0-9.]+).*/\1/" "$1"; } # FILE NAME

# ------------------------------------------------------------------------------------------------------------------ memory

peak_of() { awk '/VmHWM/ { print $2 }' "/proc/$1/status" 2>/dev/null || true; } # PID: highest resident set so far, kB

# Processes of this instance of one kind (serve, work, read). The program's path tells whose they are.
processes_of() {
	local pid
	for pid in $(pgrep -f "tidegate.* $1( |\$)" || true); do
		[ "$(readlink "/proc/$pid/exe" 2>/dev/null)" != "$state/bin/tidegate" ] || echo "$pid"
	done
}

# KIND: the highest of them, MB. Servers and workers live long enough to be asked afterwards.
peak_memory() {
	local pid
	for pid in $(processes_of "$1"); do peak_of "$pid"; done | awk '$1 > m { m = $1 } END { printf "%d", m / 1024 }'
}

# Readers live as long as a file is read: looks twice a second, until it is killed, and keeps what it saw in $dir/readers.
watch_readers() {
	while sleep 0.5; do peak_memory read; echo; done >"$dir/readers"
}
