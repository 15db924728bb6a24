#!/usr/bin/env bash
# Numbers against floors and peers measured in the same run, on this machine: `make bench`, or `make bench WHAT="import xlsx" ROWS=20000`.
#   reader    the CSV reader alone: MB/s beside a newline scan, libcsv and Python
#   xlsx      the XLSX reader alone: cells/s beside unpack-and-scan, ExcelJS and openpyxl; then a workbook of ROWS rows end to end
#   sqlite    the SQLite reader alone on SQLITE_ROWS rows (3000000, half a gigabyte): seconds beside the sqlite3 shell and Python, memory
#   backup    a phone's backup of 1400 games, upload URL to completed; the big database of `sqlite` mirrored beside pgloader and a CSV pipe into \copy
#   import    a CSV of ROWS rows, upload URL to completed, beside psql \copy into text columns and pgloader
#   node      the same file through a well-tuned Node pipeline into the same table
#   existing  the same with half as many leads already in the table
#   million   MANY rows: time, and the peak memory of every kind of process
#   undo      MANY rows taken back
#   requests  health and a one-row authenticated GET, 64 connections over TLS, beside Node, Fastify and pg behind the same nginx
#   sync      POST /api/sync of 16 users: nothing to push, 20 and 100 rows, beside Hono and pg behind the same nginx; the first sync of a device
#   presign   presigned URLs a second on one core, and POST /api/import/upload-url at 500 requests a second, for new files and for one file
#   store     one object of UPLOAD_MB to and from a Swift, beside curl
#   upload    one PUT of UPLOAD_MB beside dd conv=fsync to the same disk, and the memory it takes
# ROWS is 200000, MANY five times that, UPLOAD_MB 1024, TURNS (of which the best counts) 3, PORT 9743. Absolute figures belong to
# the machine and its load; the ratios are what counts. Starts its own instance and stops it.
set -euo pipefail
shopt -s inherit_errexit
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export LC_ALL=C.UTF-8 TIDEGATE_BUILD=${TIDEGATE_BUILD:-build}
what=${*:-reader xlsx sqlite backup import node existing million undo requests sync presign store upload backups}
ROWS=${ROWS:-200000} MANY=${MANY:-$((${ROWS:-200000} * 5))} UPLOAD_MB=${UPLOAD_MB:-1024} TURNS=${TURNS:-3}
# shellcheck source=common.sh
. bench/common.sh

# ----------------------------------------------------------------------------------------------------------------- readers

bench_reader() {
	local name speed
	bench/csv_reader.sh "$TIDEGATE_BUILD" >"$dir/reader"
	speed_of() { awk -v name="$1" 'index($0, name) == 1 { sub(name, ""); print $1 }' "$dir/reader"; }
	for name in 'memchr newline' libcsv 'python csv'; do
		speed=$(speed_of "$name")
		[ "${speed:-not}" != not ] || continue
		figure 'CSV machine alone' "$(speed_of 'tidegate csv') MB/s" "$name" "$speed MB/s" "$(ratio "$(speed_of 'tidegate csv')" "$speed")"
	done
	speed=$(speed_of 'tidegate reader child')
	[ -z "$speed" ] || figure 'CSV reader child: sandbox, frames through a pipe' "$speed MB/s" 'memchr newline' "$(speed_of 'memchr newline') MB/s" \
		"$(ratio "$speed" "$(speed_of 'memchr newline')")"
}

bench_xlsx() {
	local name seconds cells floor ours csv
	start
	install_peer
	/usr/bin/python3 bench/xlsx_rows.py "$dir/mixed.xlsx" "$ROWS" 1
	bench/xlsx_reader.sh "$TIDEGATE_BUILD" "$dir/mixed.xlsx" "$dir/peer" "$TURNS" >"$dir/xlsx"
	read -r _ ours cells < <(grep '^tidegate ' "$dir/xlsx")
	while read -r name seconds _; do
		case $name in
		tidegate) continue ;;
		memory)
			figure "peak memory of one XLSX reader, $cells mixed cells" "$seconds MB" 'allowed' '48 MB' "$(ratio "$seconds" 48)" 'below 1'
			continue
			;;
		esac
		figure "XLSX reader, $cells mixed cells, $(awk -v c="$cells" -v s="$ours" 'BEGIN { printf "%.1f", c / s / 1e6 }') M cells/s" "$ours s" "$name" "$seconds s" \
			"$(ratio "$ours" "$seconds")"
	done <"$dir/xlsx"
	csv=$(sample "$ROWS" 1)
	/usr/bin/python3 bench/xlsx_rows.py "$dir/leads.xlsx" --csv "$csv"
	floor=$(best_of "$TURNS" floor_copy "$csv")
	ours=$(best_of "$TURNS" import_empty "$dir/leads.xlsx")
	figure "XLSX import of $ROWS rows, upload URL to completed" "$ours s" 'psql \copy of the same rows as CSV' "$floor s" "$(ratio "$ours" "$floor")"
}

bench_sqlite() {
	local name seconds ours cells
	/usr/bin/python3 bench/sqlite_rows.py "$dir/rows.db" "${SQLITE_ROWS:-3000000}" 1
	bench/sqlite_reader.sh "$TIDEGATE_BUILD" "$dir/rows.db" "$TURNS" >"$dir/sqlite"
	read -r _ ours _ cells < <(grep '^tidegate ' "$dir/sqlite")
	while read -r name seconds _; do
		case $name in
		tidegate) ;;
		memory) figure "peak memory of one SQLite reader, $(stat -c %s "$dir/rows.db" | awk '{ printf "%d", $1 / 1e6 }') MB" "$seconds MB" 'allowed' '64 MB' "$(ratio "$seconds" 64)" 'below 1' ;;
		sqlite3-select) figure "SQLite reader, $cells cells, checked and typed: speed" "$ours s" 'sqlite3 FILE "select *"' "$seconds s" "$(ratio "$seconds" "$ours")" 'at least 0.7' ;;
		*) figure "SQLite reader, $cells cells, checked and typed: speed" "$ours s" "$name" "$seconds s" "$(ratio "$seconds" "$ours")" ;;
		esac
	done <"$dir/sqlite"
	rm -f "$dir/rows.db"
}

# FILE ROWS: seconds of the import itself, from its start to completed; what it is compared with uploads nothing.
mirror_once() {
	import_database mirror "$1" >/dev/null
	tail -n 1 "$dir/backup.json" >"$dir/mirror.json"
	awk -v r="$2" -v s="$(json_number "$dir/mirror.json" rowsPerSecond)" 'BEGIN { printf "%.2f", r / s }'
}

# PROFILE FILE: seconds from the upload URL to completed.
import_database() {
	local t options
	mapfile -t options < <(connection)
	t=$(now)
	tidegate import --sqlite "$2" --profile "$1" "${options[@]}" --json >"$dir/backup.json"
	since "$t"
}

mirror_by_pgloader() {
	local t
	psql -qX -c 'DROP TABLE IF EXISTS public.frame'
	cat >"$dir/load" <<-SCRIPT
		LOAD DATABASE FROM sqlite://$1 INTO postgresql://postgres:$PGPASSWORD@unix:$PGHOST:5432/tidegate WITH include drop, create tables, no foreign keys;
	SCRIPT
	t=$(now)
	pgloader "$dir/load" >"$dir/pgloader.log" 2>&1 || true
	since "$t"
	[ "$(psql -qtAX -c 'SELECT count(*) FROM public.frame')" = "$2" ] || note "pgloader lost rows: $(tail -n 3 "$dir/pgloader.log")" >&2
	psql -qX -c 'DROP TABLE public.frame'
}

mirror_by_pipe() {
	local t
	psql -qX -c 'CREATE TABLE public.bench_pipe (a bigint, b bigint, c bigint, d bigint, e bigint, f bigint, g bigint, h bigint, i bigint, j bigint, k float8, l text, m text)'
	t=$(now)
	sqlite3 -csv "$1" 'SELECT _id, gameFk, weekFk, leagueFk, ballFk, frameNum, pins, scores, score, flags, date, notes, hex(raw) FROM frame' |
		psql -qX -c '\copy public.bench_pipe FROM STDIN WITH (FORMAT csv)'
	since "$t"
	psql -qX -c 'DROP TABLE public.bench_pipe'
}

bench_backup() {
	local rows=${SQLITE_ROWS:-3000000} ours peer watcher
	start
	/usr/bin/python3 tests/lib/pinpal.py "$dir/Backup.db" --games 1400 --seed 1
	ours=$(best_of "$TURNS" import_database bowling "$dir/Backup.db")
	figure 'backup of 1400 games, upload URL to completed' "$ours s" 'allowed' '1.5 s' "$(ratio "$ours" 1.5)" 'below 1'
	/usr/bin/python3 bench/sqlite_rows.py "$dir/rows.db" "$rows" 1
	chmod 644 "$dir/rows.db"
	watch_readers &
	watcher=$!
	children+=("$watcher")
	ours=$(best_of "$TURNS" mirror_once "$dir/rows.db" "$rows")
	kill "$watcher"
	figure "database of $rows rows mirrored, $(awk -v r="$rows" -v s="$ours" 'BEGIN { printf "%d", r / s / 1000 }') k rows/s" "$ours s" 'allowed' \
		"$(awk -v r="$rows" 'BEGIN { printf "%.1f", r / 200000 }') s" "$(ratio "$ours" "$(awk -v r="$rows" 'BEGIN { print r / 200000 }')")" 'below 1'
	figure "peak memory of one worker" "$(peak_memory work) MB" 'allowed' '64 MB' "$(ratio "$(peak_memory work)" 64)" 'below 1'
	figure "peak memory of one reader" "$(sort -n "$dir/readers" | tail -n 1) MB" 'allowed' '64 MB' "$(ratio "$(sort -n "$dir/readers" | tail -n 1)" 64)" 'below 1'
	peer=$(best_of "$TURNS" mirror_by_pipe "$dir/rows.db")
	figure "database of $rows rows mirrored" "$ours s" 'sqlite3 -csv | psql \copy, typed columns' "$peer s" "$(ratio "$ours" "$peer")"
	if command -v pgloader >/dev/null; then
		peer=$(mirror_by_pgloader "$dir/rows.db" "$rows")
		figure "database of $rows rows mirrored: speed" "$ours s" 'pgloader' "$peer s" "$(ratio "$peer" "$ours")" 'at least 1.7'
	fi
	rm -f "$dir/rows.db" "$dir/Backup.db"
}

# ----------------------------------------------------------------------------------------------------------------- imports

pgloader_once() {
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

# Measured once; later steps compare with the same figure.
measure_import() {
	start
	[ -z "${import_seconds:-}" ] || return 0
	copy_seconds=$(best_of "$TURNS" floor_copy "$(sample "$ROWS" 1)")
	import_seconds=$(best_of "$TURNS" import_empty "$(sample "$ROWS" 1)")
	import_inserted=$(json_number "$dir/import.json" inserted)
}

bench_import() {
	local loader
	measure_import
	figure "CSV import of $ROWS rows, upload URL to completed" "$import_seconds s" 'psql \copy into text columns' "$copy_seconds s" \
		"$(ratio "$import_seconds" "$copy_seconds")" 'at most 8'
	command -v pgloader >/dev/null || { note 'pgloader is not installed'; return 0; }
	loader=$(pgloader_once "$(sample "$ROWS" 1)")
	figure "CSV import of $ROWS rows, upload URL to completed" "$import_seconds s" 'pgloader, loading only' "$loader s" "$(ratio "$import_seconds" "$loader")" 'below 1'
}

node_once() {
	empty_leads
	PEER_DATABASE=$peer_database node "$dir/peer/import.js" "$(sample "$ROWS" 1)" >"$dir/node.json"
	json_number "$dir/node.json" seconds
}

bench_node() {
	local peer
	measure_import
	install_peer
	peer=$(best_of "$TURNS" node_once)
	figure "CSV import of $ROWS rows, $import_inserted leads" "$import_seconds s" "Node, PapaParse and pg, $(json_number "$dir/node.json" inserted) leads" "$peer s" \
		"$(ratio "$import_seconds" "$peer")" 'below 1'
	note "Node: $(cat "$dir/node.json")"
}

import_beside_others() { empty_leads && leads_already_there $((ROWS / 2)) && import_file "$1"; }

bench_existing() {
	local ours
	measure_import
	ours=$(best_of "$TURNS" import_beside_others "$(sample "$ROWS" 1)")
	figure "CSV import of $ROWS rows beside $((ROWS / 2)) other leads" "$ours s" 'the same into an empty table' "$import_seconds s" "$(ratio "$ours" "$import_seconds")"
	figure "CSV import of $ROWS rows beside $((ROWS / 2)) other leads" "$ours s" 'psql \copy into text columns' "$copy_seconds s" "$(ratio "$ours" "$copy_seconds")"
}

measure_many() {
	local watcher
	start
	[ -z "${many_seconds:-}" ] || return 0
	many_copy=$(floor_copy "$(sample "$MANY" 2)")
	watch_readers &
	watcher=$!
	children+=("$watcher")
	many_seconds=$(import_empty "$(sample "$MANY" 2)")
	kill "$watcher" 2>/dev/null || true
	many_id=$(sed -E 's/.*"id":"([^"]+)".*/\1/' "$dir/import.json")
	many_inserted=$(json_number "$dir/import.json" inserted)
}

bench_million() {
	local kind peak
	measure_import
	measure_many
	figure "CSV import of $MANY rows" "$many_seconds s" 'psql \copy into text columns' "$many_copy s" "$(ratio "$many_seconds" "$many_copy")" 'at most 8'
	figure "CSV import of $MANY rows, per row" "$(awk -v s="$many_seconds" -v n="$MANY" 'BEGIN { printf "%.1f us", s / n * 1e6 }')" "per row of $ROWS" \
		"$(awk -v s="$import_seconds" -v n="$ROWS" 'BEGIN { printf "%.1f us", s / n * 1e6 }')" \
		"$(awk -v a="$many_seconds" -v b="$import_seconds" -v n="$MANY" -v m="$ROWS" 'BEGIN { printf "%.2f", a / n / (b / m) }')" 'at most 1.2'
	for kind in serve work read; do
		peak=$(peak_memory "$kind")
		[ "$kind" != read ] || peak=$(sort -n "$dir/readers" | tail -n 1)
		figure "peak memory of one $kind process, $MANY rows" "$peak MB" 'allowed' '48 MB' "$(ratio "$peak" 48)" 'below 1'
	done
}

# What PostgreSQL needs to delete as many leads by their import; taken back, so that there is something to undo.
floor_delete() {
	local t
	t=$(now)
	psql -qX -c 'BEGIN' -c "DELETE FROM crm.lead WHERE import_job_id = '$many_id'" -c 'ROLLBACK'
	since "$t"
	psql -qX -c 'VACUUM ANALYZE crm.lead' -c 'CHECKPOINT'
}

bench_undo() {
	local floor t seconds answer status
	measure_many
	floor=$(floor_delete)
	t=$(now)
	answer=$(api POST "/api/import/jobs/$many_id/undo" '{}')
	case ${answer##*$'\n'} in
	404 | 405) note 'no undo in this build'; return 0 ;;
	2*) ;;
	*) note "undo was refused: $answer"; return 1 ;;
	esac
	for _ in $(seq 6000); do
		status=$(psql -qXAtc "SELECT status FROM tidegate.import_job WHERE id = '$many_id'")
		case $status in undone | failed) break ;; esac
		sleep 0.1
	done
	seconds=$(since "$t")
	figure "undo of $many_inserted leads, $status" "$seconds s" 'DELETE of the same leads by import' "$floor s" "$(ratio "$seconds" "$floor")"
	[ "$status" = undone ]
}

# ---------------------------------------------------------------------------------------------------- requests and uploads

rate() { # URL: requests per second, 64 connections; wrk verifies no certificate
	wrk -t2 -c64 -d"${SECONDS_EACH:-6}s" -H "Authorization: Bearer $(cat "$dir/run/tokens/admin")" "$1" | awk '/Requests\/sec/ { r = $2 } /Non-2xx/ { bad = $0 } END { if (bad) print bad > "/dev/stderr"; print r }'
}

peer_nginx() { # the same nginx, one more server block: kept connections, which a plain FastCGI pool does not have
	cat >"$dir/peer.conf" <<-CONF
		pid $dir/peer-nginx.pid; worker_processes 2; error_log $dir/peer-error.log; daemon on;
		events { worker_connections 4096; }
		http {
			access_log off; client_body_temp_path $dir/p1; proxy_temp_path $dir/p2; fastcgi_temp_path $dir/p3; uwsgi_temp_path $dir/p4; scgi_temp_path $dir/p5;
			upstream peer { server 127.0.0.1:$peer_port; keepalive 64; }
			server {
				listen 127.0.0.1:$second_port ssl; ssl_certificate $dir/run/tls/cert.pem; ssl_certificate_key $dir/run/tls/key.pem; ssl_protocols TLSv1.2 TLSv1.3;
				location / { proxy_pass http://peer; proxy_http_version 1.1; proxy_set_header Connection ""; }
			}
		}
	CONF
	nginx -c "$dir/peer.conf" -p "$dir" 2>"$dir/peer-nginx.log"
}

bench_requests() {
	local job health row peer_health peer_row
	start
	install_peer
	import_empty "$(sample 100 3)" >/dev/null
	job=$(psql -qXAtc 'SELECT id FROM tidegate.import_job ORDER BY created_at DESC LIMIT 1')
	PEER_SECRET=$(cat "$state/secrets/jwt_secret" 2>/dev/null || sed -n 's/^jwt_secret = //p' "$state/tidegate.ini") \
		PEER_DATABASE=$peer_database node "$dir/peer/server.js" "$peer_port" 2 >"$dir/peer.log" 2>&1 &
	children+=($!)
	peer_nginx
	children+=("$(cat "$dir/peer-nginx.pid")")
	sleep 2
	curl -ksf "https://127.0.0.1:$second_port/api/import/jobs/$job" -H "Authorization: Bearer $(cat "$dir/run/tokens/admin")" >/dev/null || { cat "$dir/peer.log"; return 1; }
	health=$(rate "https://localhost:$port/api/health?probe=live")
	peer_health=$(rate "https://localhost:$second_port/api/health")
	row=$(rate "https://localhost:$port/api/import/jobs/$job")
	peer_row=$(rate "https://localhost:$second_port/api/import/jobs/$job")
	figure 'GET /api/health?probe=live, no database' "$health /s" 'Fastify' "$peer_health /s" "$(ratio "$health" "$peer_health")" 'at least 0.6'
	figure 'GET of one import, authenticated' "$row /s" 'Fastify and pg' "$peer_row /s" "$(ratio "$row" "$peer_row")" 'at least 1.3'
}

# Every measurement has users of its own, who have nothing yet: nobody is sent pages of what was pushed before.
sync_rate() { # PORT ROWS PAUSE: syncs per second, median, 95th percentile in ms, errors; of ours, every row must have been taken
	local i tokens=() per_second p50 p95 errors requests taken
	for i in $(seq 16); do tokens+=("$(tidegate --config "$state/tidegate.ini" token --role member --sub "bench-$1-$2-$3-$i" --hours 2)"); done
	read -r per_second p50 p95 errors requests < <(wrk -t16 -c16 -d"${SECONDS_EACH:-10}s" -s bench/sync.lua "https://localhost:$1/api/sync?app=tunes" -- "$2" "$3" "${tokens[@]}" | sed -n 's/^result //p')
	taken=$(psql -qXAtc "SELECT count(*) FROM tunes.tune WHERE sync_scope LIKE 'bench-$1-$2-$3-%'")
	[ "$1" != "$port" ] || [ "$taken" -ge $((requests * $2)) ] || { echo "$taken of $((requests * $2)) rows were taken" >&2; return 1; }
	echo "$per_second $p50 $p95 $errors"
}

# Pages of a device that has nothing yet: rows per second, and the memory of the process that serves it.
first_sync() {
	local token
	token=$(tidegate --config "$state/tidegate.ini" token --role member --sub bench-first --hours 2)
	psql -qX -c "INSERT INTO tidegate.sync_scope (app, scope, version) VALUES ('tunes', 'bench-first', (extract(epoch FROM now()) * 1000000)::bigint)" -c "INSERT INTO tunes.tune (id, sync_scope, title, last_modified_at, device_id, server_seq)
		SELECT gen_random_uuid(), 'bench-first', 'Tune ' || n, (extract(epoch FROM now()) * 1000000)::bigint, 'seed', (SELECT version FROM tidegate.sync_scope WHERE app = 'tunes' AND scope = 'bench-first')
		FROM generate_series(1, $1) AS n" -c 'ANALYZE tunes.tune'
	/usr/bin/python3 bench/first_sync.py "$port" "$token" "$dir/run/tls/cert.pem"
}

bench_sync() {
	local what per_second p50 p95 errors peer rows speed
	start
	install_peer
	psql -qX -c "INSERT INTO tunes.tune_type (id, name) VALUES ('reel', 'Reel')"
	psql -qX -c 'CREATE SCHEMA bench_sync' -c 'CREATE TABLE bench_sync.tune (user_id text, id uuid, title text, id_foreign text, primary_origin text, type text REFERENCES tunes.tune_type,
		structure text, mode text, incipit text, genre text, composer text, artist text, release_year int, deleted boolean, last_modified_at timestamptz, updated_at timestamptz, PRIMARY KEY (user_id, id))' -c 'CREATE INDEX ON bench_sync.tune (user_id, updated_at)'
	PEER_SECRET=$(cat "$state/secrets/jwt_secret" 2>/dev/null || sed -n 's/^jwt_secret = //p' "$state/tidegate.ini") \
		PEER_DATABASE=$peer_database node "$dir/peer/sync.js" "$peer_port" 2 >"$dir/peer.log" 2>&1 &
	children+=($!)
	peer_nginx
	children+=("$(cat "$dir/peer-nginx.pid")")
	sleep 2
	for what in 0 20 100; do
		read -r per_second p50 p95 errors < <(sync_rate "$port" "$what" 0)
		read -r peer _ _ _ < <(sync_rate "$second_port" "$what" 0)
		figure "sync of $what rows, 16 users, $errors errors, median $p50 ms" "$per_second /s" 'Hono and pg, a row at a time' "$peer /s" "$(ratio "$per_second" "$peer")" 'at least 3'
		case $what in
		0) figure 'sync of nothing' "$per_second /s" 'wanted' '4000 /s' "$(ratio "$per_second" 4000)" 'at least 1' ;;
		20)
			figure 'push of 20 rows' "$per_second /s" 'wanted' '900 /s' "$(ratio "$per_second" 900)" 'at least 1'
			read -r per_second p50 p95 errors < <(sync_rate "$port" 20 "$(awk -v r="$per_second" 'BEGIN { printf "%.4f", 32 / r }')")
			figure "push of 20 rows at half that load ($per_second /s, $errors errors)" "p95 $p95 ms" 'median' "$p50 ms" "$(ratio "$p95" 25)" 'p95 below 25 ms'
			;;
		100) figure 'push of 100 rows' "$((per_second * 100)) rows/s" 'wanted' '35000 rows/s' "$(ratio $((per_second * 100)) 35000)" 'at least 1' ;;
		esac
	done
	read -r rows speed < <(first_sync 60000)
	figure "first sync of $rows rows, one stream" "$speed rows/s" 'wanted' '60000 rows/s' "$(ratio "$speed" 60000)" 'at least 1'
	figure 'peak memory of one serve process' "$(peak_memory serve) MB" 'allowed' '32 MB' "$(ratio "$(peak_memory serve)" 32)" 'below 1'
	bench_hints
}

bench_hints() {
	local p50 p95 megabytes open token
	token=$(tidegate --config "$state/tidegate.ini" token --role member --sub bench-hints --hours 2)
	read -r p50 p95 < <(/usr/bin/python3 bench/events.py visible "$port" "$token" "$dir/run/tls/cert.pem" 300)
	figure 'a change on another device, from the sending of its push on' "p95 $p95 ms" 'median' "$p50 ms" "$(ratio "$p95" 50)" 'below 50 ms'
	read -r megabytes open < <(/usr/bin/python3 bench/events.py listeners "$port" "$token" "$dir/run/tls/cert.pem" 5000 "$(cat "$state/run/nginx.pid")")
	note "$open idle streams of hints: $megabytes MB more in nginx"
}

urls_at_rate() { # same|new: requests per second, median, 99th percentile in ms, errors
	wrk -t2 -c50 -d"${SECONDS_EACH:-10}s" -s bench/upload_urls.lua "https://localhost:$port/api/import/upload-url" -- \
		"$(cat "$dir/run/tokens/admin")" "$1" "$RANDOM" | sed -n 's/^result //p'
}

bench_presign() {
	local what per_second p50 p99 errors
	gcc -std=c17 -D_GNU_SOURCE -O2 -I. -include core/base/banned.h -o "$dir/presign" bench/presign.c "$TIDEGATE_BUILD/libtidegate.a" \
		-lcurl -lcrypto -lexpat -ljansson -lsodium -lm
	per_second=$("$dir/presign")
	figure 'presigned PUT URLs on one core' "$per_second /s" 'wanted' '200000 /s' "$(ratio "$per_second" 200000)" 'at least 1'
	start
	for what in new same; do
		read -r per_second p50 p99 errors < <(urls_at_rate "$what")
		figure "upload-url, $what file, $per_second requests/s, $errors errors" "p99 $p99 ms" 'median' "$p50 ms" "$(ratio "$p99" 5)" 'p99 below 5 ms'
	done
	note "URLs handed out again without a signature or a write: $(curl -s --cacert "$dir/run/tls/cert.pem" "https://localhost:$port/metrics" | sed -n 's/^tidegate_upload_urls_total{reused="true"} //p')"
}

bench_store() {
	local what ours theirs memory
	scripts/packages.sh s3 test
	while read -r what ours theirs memory; do
		figure "$what of $UPLOAD_MB MiB, Swift, peak $memory MB of 24" "$ours s" 'curl, presigned' "$theirs s" "$(ratio "$theirs" "$ours")" 'at least 0.8'
	done < <(/usr/bin/python3 bench/store.py "$UPLOAD_MB" "$TURNS")
}

# 263 000 rows make 193 MB, 682 000 make 500 MB.
bench_backups() {
	local rows
	for rows in ${DATABASE_ROWS:-263000 682000}; do backups_of "$rows"; done
}

backups_of() { # ROWS
	local what ours theirs size=0 results
	results=$(bench/backups.sh "$TIDEGATE_BUILD" "$1" "$TURNS")
	size=$(awk '$1 == "size" { print $2 }' <<<"$results")
	while read -r what ours theirs; do
		case $what in
		dump) figure "dump of $size MB of SQLite" "$ours s" 'sqlite3 .dump' "$theirs s" "$(ratio "$theirs" "$ours")" 'at least 1.8' ;;
		dump_zstd) figure 'the same through zstd -3' "$ours s" '.dump | zstd -3' "$theirs s" "$(ratio "$theirs" "$ours")" 'at least 1.8' ;;
		zstd_alone) note "zstd -3 of that dump, which is there already: $ours s" ;;
		whole) figure 'snapshot, check, dump, zstd, age; decrypt, restore, compare' "$ours s" 'wanted, 40 MB/s' "$theirs s" "$(ratio "$theirs" "$ours")" 'at least 1' ;;
		restore) figure 'restore of zstd and age, verified' "$ours s" 'sqlite3 < .dump' "$theirs s" "$(ratio "$theirs" "$ours")" 'at least 1' ;;
		differ) figure "differential scan of $size MB" "$ours s" 'sqldiff' "$theirs s" "$(ratio "$theirs" "$ours")" 'at least 0.7, 200 MB/s' ;;
		differ_size) note "differential: $ours bytes after zstd -3, sqldiff $theirs (at most 1.3 times)" ;;
		memory) note "peak memory of a dump: $ours MB of 96" ;;
		esac
	done <<<"$results"
}

put_once() {
	local url t
	url=$(api POST /api/import/upload-url "{\"fileName\":\"big-$RANDOM.csv\",\"fileSize\":$((UPLOAD_MB << 20))}" | sed -nE 's/.*"uploadUrl":"([^"]+)".*/\1/p')
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
	local floor ours
	start
	head -c $((UPLOAD_MB << 20)) /dev/zero | openssl enc -aes-128-ctr -K 00 -iv 00 2>/dev/null >"$dir/big"
	floor=$(best_of "$TURNS" dd_once)
	ours=$(best_of "$TURNS" put_once)
	figure "PUT of $UPLOAD_MB MiB, durable: speed" "$ours s" 'dd conv=fsync' "$floor s" "$(ratio "$floor" "$ours")" 'at least 0.6'
	note "peak memory of one serve process: $(peak_memory serve) MB"
}

echo "$(nproc) cores, $(grep -m1 'model name' /proc/cpuinfo | cut -d: -f2 | xargs), load $(cut -d' ' -f1 /proc/loadavg)"
table_head
for one in $what; do
	"bench_$one"
done
