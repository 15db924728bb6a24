#!/usr/bin/env bash
# Numbers against floors and peers measured in the same run, on this machine: `make bench`, or `make bench WHAT="import requests"`.
#   reader    the CSV reader alone: MB/s beside a newline scan, libcsv and Python
#   import    200 000 rows, upload URL to completed, beside psql \copy into text columns, and pgloader; then 1 000 000 rows
#   requests  health and a one-row authenticated GET, 64 connections over TLS, beside Node, Fastify and pg behind the same nginx
#   upload    one PUT of 1 GiB beside dd conv=fsync to the same disk, and the memory it takes
# Absolute figures belong to the machine and its load; the ratios are what counts. Starts its own instance and stops it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export LC_ALL=C.UTF-8 TIDEGATE_BUILD=${TIDEGATE_BUILD:-build}
what=${*:-reader import requests upload}
port=9743 peer_port=9753
dir=$(mktemp -d /tmp/tidegate-bench.XXXXXX)
chmod 755 "$dir"
peer=

stop() {
	[ -z "$peer" ] || kill "$peer" 2>/dev/null || true
	[ ! -d "$dir/run" ] || scripts/stop.sh "$dir/run" >/dev/null 2>&1 || true
	rm -rf "$dir"
}
trap stop EXIT

start() {
	[ ! -e "$dir/run/tokens/admin" ] || return 0
	: >"$dir/run.log"
	RATE=1000000r/s BURST=1000000 scripts/run.sh "$port" "$dir/run" 0 >>"$dir/run.log" 2>&1 </dev/null &
	for _ in $(seq 300); do
		! grep -q '^ready' "$dir/run.log" || break
		sleep 0.2
	done
	grep -q '^ready' "$dir/run.log" || { tail -n 5 "$dir/run.log"; exit 1; }
	sockets=$(readlink -f "$dir/run/state")/run/pg
	PGPASSWORD=$(cat "$dir/run/state/secrets/superuser")
	export PGPASSWORD PGHOST=$sockets PGUSER=postgres PGDATABASE=tidegate
}

now() { date +%s.%N; }
since() { awk -v a="$1" -v b="$(now)" 'BEGIN { printf "%.2f", b - a }'; }
ratio() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.2f", a / b }'; }
tidegate() { "$TIDEGATE_BUILD/tidegate" "$@"; }

# Highest resident set of any process of the instance whose command line matches, in MB.
peak_memory() {
	local pid high=0 kb
	for pid in $(pgrep -f "$1" || true); do
		kb=$(awk '/VmHWM/ { print $2 }' "/proc/$pid/status" 2>/dev/null || echo 0)
		[ "${kb:-0}" -le "$high" ] || high=$kb
	done
	echo $((high / 1024))
}

floor_copy() {
	psql -qX -c 'DROP TABLE IF EXISTS bench_floor' -c "CREATE TABLE bench_floor ($(printf 'c%s text,' {1..13} | sed 's/,$//'))"
	local t
	t=$(now)
	psql -qX -c "\\copy bench_floor FROM '$1' WITH (FORMAT csv, DELIMITER ';', HEADER)"
	since "$t"
	psql -qX -c 'DROP TABLE bench_floor'
}

best_of() { # COUNT COMMAND…: the smallest of several measurements
	local n=$1
	shift
	for _ in $(seq "$n"); do "$@"; done | sort -n | head -n 1
}

import_once() {
	psql -qX -c 'TRUNCATE crm.lead, crm.lead_history' -c 'CHECKPOINT'
	local t
	t=$(now)
	tidegate import "$1" --url "https://localhost:$port" --token-file "$dir/run/tokens/admin" --cacert "$dir/run/tls/cert.pem" --allow-duplicate >"$dir/import.out"
	since "$t"
}

pgloader_once() {
	command -v pgloader >/dev/null || return 0
	psql -qX -c 'DROP TABLE IF EXISTS bench_loader' -c "CREATE TABLE bench_loader ($(printf 'c%s text,' {1..13} | sed 's/,$//'))"
	cat >"$dir/load" <<-SCRIPT
		LOAD CSV FROM '$1' INTO postgresql://postgres:$PGPASSWORD@unix:$PGHOST:5432/tidegate TARGET TABLE bench_loader
		WITH skip header = 1, fields terminated by ';', fields optionally enclosed by '"', fields escaped by double-quote;
	SCRIPT
	local t
	t=$(now)
	pgloader "$dir/load" >"$dir/pgloader.log" 2>&1 || true
	since "$t"
	psql -qX -c 'DROP TABLE bench_loader'
}

bench_import() {
	start
	"$TIDEGATE_BUILD/sample" 200000 1 >"$dir/200k.csv"
	chmod 644 "$dir/200k.csv"
	local floor ours loader
	floor=$(best_of 3 floor_copy "$dir/200k.csv")
	ours=$(best_of 3 import_once "$dir/200k.csv")
	echo "import 200 000 rows, upload URL to completed: $ours s; psql \\copy into text: $floor s; ratio $(ratio "$ours" "$floor") (wanted: at most 8)"
	sed -n 2p "$dir/import.out"
	if command -v pgloader >/dev/null; then
		loader=$(pgloader_once "$dir/200k.csv")
		echo "pgloader merely loads it: $loader s; ratio $(ratio "$ours" "$loader") (wanted: below 1)"
	fi
	"$TIDEGATE_BUILD/sample" 1000000 2 >"$dir/1m.csv"
	chmod 644 "$dir/1m.csv"
	local floor_million million
	floor_million=$(floor_copy "$dir/1m.csv")
	(while sleep 0.5; do echo "$(peak_memory 'tidegate.* work$') $(peak_memory 'tidegate.* serve$') $(peak_memory 'read csv')"; done >"$dir/memory") &
	local sampler=$!
	million=$(import_once "$dir/1m.csv")
	kill "$sampler" 2>/dev/null || true
	echo "import 1 000 000 rows: $million s; \\copy $floor_million s; ratio $(ratio "$million" "$floor_million"); $(ratio "$million" "$ours") times the time of 200 000 rows"
	awk '{ for (i = 1; i <= 3; i++) if ($i > m[i]) m[i] = $i } END { printf "peak memory at 1 000 000 rows: work %d MB, serve %d MB, read %d MB (wanted: below 48)\n", m[1], m[2], m[3] }' "$dir/memory"
}

rate() { # URL: requests per second, 64 connections; wrk verifies no certificate
	wrk -t2 -c64 -d"${SECONDS_EACH:-6}s" -H "Authorization: Bearer $(cat "$dir/run/tokens/admin")" "$1" | awk '/Requests\/sec/ { r = $2 } /Non-2xx/ { bad = $0 } END { if (bad) print bad > "/dev/stderr"; print r }'
}

peer_nginx() { # the same nginx, one more server block: kept connections, which a plain FastCGI pool does not have
	local state
	state=$(readlink -f "$dir/run/state")
	cat >"$dir/peer.conf" <<-CONF
		pid $dir/peer-nginx.pid; worker_processes 2; error_log $dir/peer-error.log; daemon on;
		events { worker_connections 4096; }
		http {
			access_log off; client_body_temp_path $dir/p1; proxy_temp_path $dir/p2; fastcgi_temp_path $dir/p3; uwsgi_temp_path $dir/p4; scgi_temp_path $dir/p5;
			upstream peer { server 127.0.0.1:$peer_port; keepalive 64; }
			server {
				listen 127.0.0.1:$((port + 1)) ssl; ssl_certificate $dir/run/tls/cert.pem; ssl_certificate_key $dir/run/tls/key.pem; ssl_protocols TLSv1.2 TLSv1.3;
				location / { proxy_pass http://peer; proxy_http_version 1.1; proxy_set_header Connection ""; }
			}
		}
	CONF
	nginx -c "$dir/peer.conf" -p "$dir" 2>"$dir/peer-nginx.log"
	: "$state"
}

bench_requests() {
	start
	local job health row peer_health peer_row
	cp -r bench/peer "$dir/peer"
	(cd "$dir/peer" && npm install --no-package-lock --no-audit --no-fund --silent)
	"$TIDEGATE_BUILD/sample" 100 3 >"$dir/100.csv"
	import_once "$dir/100.csv" >/dev/null
	job=$(psql -qXAtc 'SELECT id FROM tidegate.import_job ORDER BY created_at DESC LIMIT 1')
	PEER_SECRET=$(cat "$dir/run/state/secrets/jwt_secret" 2>/dev/null || sed -n 's/^jwt_secret = //p' "$dir/run/state/tidegate.ini") \
		PEER_DATABASE="postgresql://postgres:$PGPASSWORD@localhost/tidegate?host=$PGHOST" node "$dir/peer/server.js" "$peer_port" 2 >"$dir/peer.log" 2>&1 &
	peer=$!
	peer_nginx
	sleep 2
	curl -ksf "https://127.0.0.1:$((port + 1))/api/import/jobs/$job" -H "Authorization: Bearer $(cat "$dir/run/tokens/admin")" >/dev/null || { cat "$dir/peer.log"; return 1; }
	health=$(rate "https://localhost:$port/api/health?probe=live")
	peer_health=$(rate "https://localhost:$((port + 1))/api/health")
	row=$(rate "https://localhost:$port/api/import/jobs/$job")
	peer_row=$(rate "https://localhost:$((port + 1))/api/import/jobs/$job")
	kill "$(cat "$dir/peer-nginx.pid")" "$peer"
	peer=
	echo "GET /api/health, no database: $health requests/s; Fastify: $peer_health; ratio $(ratio "$health" "$peer_health") (wanted: at least 0.6)"
	echo "GET one row, authenticated:   $row requests/s; Fastify and pg: $peer_row; ratio $(ratio "$row" "$peer_row") (wanted: at least 1.3)"
}

put_once() {
	local answer url t
	answer=$(curl -sf --cacert "$dir/run/tls/cert.pem" -H "Authorization: Bearer $(cat "$dir/run/tokens/admin")" -H 'Content-Type: application/json' \
		-d "{\"fileName\":\"big-$RANDOM.csv\",\"fileSize\":1073741824}" "https://localhost:$port/api/import/upload-url")
	url=$(printf %s "$answer" | sed -E 's/.*"uploadUrl":"([^"]+)".*/\1/')
	t=$(now)
	curl -sf --cacert "$dir/run/tls/cert.pem" -T "$dir/big" -o /dev/null "$url"
	since "$t"
}

dd_once() {
	local t
	t=$(now)
	dd if="$dir/big" of="$dir/copy" bs=1M conv=fsync status=none
	since "$t"
	rm -f "$dir/copy"
}

bench_upload() {
	start
	head -c 1073741824 /dev/zero | openssl enc -aes-128-ctr -K 00 -iv 00 2>/dev/null >"$dir/big"
	local floor ours
	floor=$(best_of 3 dd_once)
	ours=$(best_of 3 put_once)
	echo "PUT of 1 GiB, durable: $ours s; dd conv=fsync: $floor s; $(ratio "$floor" "$ours") of its speed (wanted: at least 0.6)"
	echo "peak memory: serve $(peak_memory 'tidegate.* serve$') MB, nginx $(peak_memory 'nginx: worker') MB"
}

bench_reader() {
	bench/csv_reader.sh "$TIDEGATE_BUILD"
}

echo "$(nproc) cores, $(grep -m1 'model name' /proc/cpuinfo | cut -d: -f2 | xargs), load $(cut -d' ' -f1 /proc/loadavg)"
for one in $what; do
	"bench_$one"
done
