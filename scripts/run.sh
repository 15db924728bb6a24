#!/usr/bin/env bash
# run.sh PORT RUN_DIR DEMO: sets up a private instance in RUN_DIR where that is still to do, starts it, proves a fresh one
# by importing the sample, says where everything is, follows the logs, and stops what it started. Called by `make run`
# after the packages are there and the program is built. TIDEGATE_BUILD names the build folder.
set -euo pipefail
umask 022
here=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=instance.sh
. scripts/instance.sh

PORT=${1:?PORT} DEMO=${3:-1}
BUILD=${TIDEGATE_BUILD:-build}
export NO_PROXY=localhost no_proxy=localhost LC_ALL=C.UTF-8
PG_BIN=
started=()  # names of what was started, in order
children=() # pids of what is not a server: the demo, the log follower

# ---------------------------------------------------------------------------------------------- before anything is made

check_port_number() {
	if ! [[ $PORT =~ ^[1-9][0-9]{0,4}$ ]] || [ "$PORT" -gt 65535 ]; then
		fail "PORT must be a number from 1 to 65535, not \"$PORT\"."
	fi
	local lowest=1024
	[ ! -r /proc/sys/net/ipv4/ip_unprivileged_port_start ] || lowest=$(</proc/sys/net/ipv4/ip_unprivileged_port_start)
	[ "$(id -u)" -eq 0 ] || [ "$PORT" -ge "$lowest" ] || fail "Only root may use port $PORT; choose one from $lowest on, e.g. make run PORT=8443."
}

port_is_free() {
	local hex
	printf -v hex ':%04X$' "$PORT"
	! awk -v port="$hex" '$4 == "0A" && $2 ~ port { found = 1 } END { exit !found }' < <(cat /proc/net/tcp /proc/net/tcp6 2>/dev/null)
}

# The newest PostgreSQL that is there, or the one that made this instance's cluster.
find_postgres() {
	local bin version newest=0 made_by=
	[ -z "$STATE" ] || [ ! -r "$STATE/pg-version" ] || made_by=$(<"$STATE/pg-version")
	for bin in ${TIDEGATE_PG_BIN:-/usr/lib/postgresql/*/bin /usr/local/pgsql/bin}; do
		[ -x "$bin/postgres" ] || continue
		version=$("$bin/postgres" --version | sed -E 's/^[^0-9]*([0-9]+).*/\1/')
		if [ -n "$made_by" ] && [ "$version" = "$made_by" ]; then
			PG_BIN=$bin
			return
		fi
		if [ "$version" -gt "$newest" ]; then
			newest=$version PG_BIN=$bin
		fi
	done
	[ -n "$PG_BIN" ] || fail "PostgreSQL is not installed; Tidegate needs version 15 or newer (Debian: apt-get install postgresql)."
	[ "$newest" -ge 15 ] || fail "The PostgreSQL that is installed is version $newest; Tidegate needs 15 or newer."
	[ -z "$made_by" ] || fail "$RUN_DIR was made with PostgreSQL $made_by, which is not installed any more; install it, or choose another RUN_DIR."
}

check() {
	check_port_number
	[ -x "$BUILD/tidegate" ] || fail "$BUILD/tidegate is not built; run make first."
	command -v nginx >/dev/null || PATH=$PATH:/usr/sbin
	command -v nginx >/dev/null || fail "nginx is not installed (Debian: apt-get install nginx-light)."
	find_postgres
	if [ -e "$RUN_DIR/lock" ]; then
		take_lock
	fi
	if any_running; then
		say "ending what an earlier make run, which was killed, left running"
		stop_all
	fi
	port_is_free || fail "Port $PORT is in use by another program; choose another one, e.g. make run PORT=$((PORT < 65000 ? PORT + 1000 : 8443))."
}

take_lock() {
	exec 9>>"$RUN_DIR/lock"
	flock -n 9 || fail "$RUN_DIR is already running or being stopped; make stop RUN_DIR=$RUN_DIR ends it."
}

# --------------------------------------------------------------------------------------------------------------- set-up

# The servers' users must be able to enter, and nginx and PostgreSQL do not take every character in a path.
state_can_stand_in() {
	local user
	[[ $1 =~ ^[A-Za-z0-9._/+-]+$ ]] || return 1
	[ "$(id -u)" -eq 0 ] || return 0
	for user in "$DATABASE_USER" "$SERVICE_USER"; do
		setpriv --reuid="$user" --regid="$user" --init-groups -- test -x "$1" || return 1
	done
}

make_state() {
	if [ -z "$STATE" ] && state_can_stand_in "$RUN_DIR"; then
		rm -f "$RUN_DIR/state" # a link into nowhere
		mkdir -m 755 "$RUN_DIR/state"
	elif [ -z "$STATE" ]; then
		local folder
		folder=$ELSEWHERE/$(printf %s "$RUN_DIR" | sha256sum | cut -c1-16)
		install -d -m 711 "$ELSEWHERE" "$folder" 2>/dev/null || true
		[ -O "$folder" ] || fail "$RUN_DIR cannot be entered by $DATABASE_USER and $SERVICE_USER, and $folder cannot be made; choose another RUN_DIR."
		ln -sfn "$folder" "$RUN_DIR/state"
		say "the servers' users cannot work in $RUN_DIR: their files are in $folder"
	fi
	find_state
	state_can_stand_in "$STATE" || fail "The users $DATABASE_USER and $SERVICE_USER cannot enter $STATE (any more); make its parent folders searchable for them."
	mkdir -p "$STATE"/{run,log,bin,nginx/temp,secrets}
	chmod 700 "$STATE/secrets"
	install -d -m 700 -o "$SERVICE_USER" "$STATE/spool" "$STATE/blobs"
	local file
	for file in tidegate nginx-access nginx-error postgres; do
		[ ! -f "$STATE/log/$file.log" ] || [ "$(stat -c %s "$STATE/log/$file.log")" -lt 20000000 ] || mv "$STATE/log/$file.log" "$STATE/log/$file.log.1"
		touch "$STATE/log/$file.log"
		chmod 640 "$STATE/log/$file.log"
	done
}

# A unix socket's path has at most 107 bytes; below a long RUN_DIR the sockets move to a short folder.
make_sockets() {
	local folder=$STATE/run
	if [ ${#STATE} -gt 75 ]; then
		folder=$(readlink "$STATE/sockets" || true)
		if [ -z "$folder" ] || [ ! -d "$folder" ] || [ ! -O "$folder" ]; then
			folder=$(mktemp -d /tmp/tidegate.XXXXXX)
			chmod 711 "$folder"
			ln -sfn "$folder" "$STATE/sockets"
		fi
	fi
	PG_SOCKETS=$folder/pg SOCKET=$folder/fcgi/sock EVENTS=
	[ ! -e /usr/lib/nginx/modules/ngx_nchan_module.so ] || EVENTS=$folder/events/sock
	install -d -m 755 -o "$DATABASE_USER" "$PG_SOCKETS"
	install -d -m 750 -o "$SERVICE_USER" "${SOCKET%/*}" "$folder/events"
}

# Servers run copies, so that neither a rebuild nor an unreachable working copy gets in their way.
copy_program() {
	install -m 755 "$BUILD/tidegate" "$STATE/bin/tidegate.new"
	mv "$STATE/bin/tidegate.new" "$STATE/bin/tidegate"
	rm -rf "$STATE/schema"
	install -d "$STATE/schema"
	install -m 644 schema/*.json "$STATE/schema/"
}

# secret NAME: random text made once, in a file of mode 0600.
secret() {
	local file=$STATE/secrets/$1
	if [ ! -s "$file" ]; then
		(umask 077 && openssl rand -hex 32 >"$file.new")
		mv "$file.new" "$file"
	fi
	cat "$file"
}

make_certificate() {
	local folder=$RUN_DIR/tls
	mkdir -p "$folder"
	if [ -s "$folder/cert.pem" ] && openssl x509 -in "$folder/cert.pem" -noout -checkend 86400 >/dev/null; then
		return
	fi
	(umask 077 && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 825 -subj "/CN=localhost/O=Tidegate (private instance)" \
		-addext "subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1" -addext "extendedKeyUsage=serverAuth" \
		-keyout "$folder/key.pem" -out "$folder/cert.new" 2>"$STATE/log/openssl.log") || fail "openssl could not make a certificate; see $STATE/log/openssl.log"
	chmod 644 "$folder/cert.new"
	mv "$folder/cert.new" "$folder/cert.pem"
}

make_cluster() {
	[ ! -d "$STATE/pg" ] || return 0
	say "making the database cluster (PostgreSQL $("$PG_BIN/postgres" --version | grep -oE '[0-9]+(\.[0-9]+)?' | head -n 1))"
	rm -rf "$STATE/pg.new"
	install -d -m 700 -o "$DATABASE_USER" "$STATE/pg.new"
	secret superuser >/dev/null
	install -m 600 -o "$DATABASE_USER" "$STATE/secrets/superuser" "$STATE/run/initdb-password"
	(cd "$STATE/run" && "${AS_DATABASE[@]}" "$PG_BIN/initdb" --pgdata="$STATE/pg.new" --username=postgres --pwfile="$STATE/run/initdb-password" \
		--auth=scram-sha-256 --locale=C.UTF-8 --encoding=UTF8 --data-checksums --no-instructions) >"$STATE/log/initdb.log" 2>&1 ||
		fail "initdb failed; see $STATE/log/initdb.log"
	rm "$STATE/run/initdb-password"
	cat >>"$STATE/pg.new/postgresql.conf" <<-'CONF'

		# Tidegate: a private cluster for two cores, reachable over its unix socket only.
		listen_addresses = ''
		max_connections = 60
		shared_buffers = 256MB
		max_wal_size = 4GB
		checkpoint_timeout = 15min
		wal_compression = lz4
		random_page_cost = 1.1
		jit = off
		timezone = 'UTC'
		log_timezone = 'UTC'
		# Values of rows are personal data and do not belong into a log.
		log_error_verbosity = terse
		log_min_error_statement = panic
		cluster_name = 'tidegate'
	CONF
	"$PG_BIN/postgres" --version | sed -E 's/^[^0-9]*([0-9]+).*/\1/' >"$STATE/pg-version"
	mv "$STATE/pg.new" "$STATE/pg"
}

# ini_set SECTION NAME VALUE: changes that one line of tidegate.ini, or adds it; everything else stays as its owner left it.
ini_set() {
	local file=$STATE/tidegate.ini
	section=$1 name=$2 value=$3 awk '
		function put() { if (!done) print ENVIRON["name"] " = " ENVIRON["value"]; done = 1 }
		/^\[/ { if (here) put(); here = $0 == "[" ENVIRON["section"] "]" }
		here && $1 == ENVIRON["name"] && $2 == "=" { put(); next }
		{ print }
		END { if (here) put(); else if (!done) { print "[" ENVIRON["section"] "]"; put() } }' "$file" >"$file.new"
	if cmp -s "$file" "$file.new"; then
		rm "$file.new"
	else
		install -m 600 -o "$SERVICE_USER" "$file.new" "$file"
		rm "$file.new"
	fi
}

make_config() {
	local file=$STATE/tidegate.ini role
	if [ ! -e "$file" ]; then
		(
			umask 077
			cat >"$file.new" <<-INI
				; Written once by make run, which later changes only public_url and the paths. All options: docs/configuration.md
				[server]
				[database]
				api_password = $(secret api)
				worker_password = $(secret worker)
				owner_password = $(secret owner)
				[auth]
				jwt_secret = $(secret jwt)
				[storage]
				secret_key = $(secret storage)
				[schema]
				[events]
			INI
		)
		chown "$SERVICE_USER" "$file.new"
		mv "$file.new" "$file"
	fi
	ini_set server public_url "https://localhost:$PORT"
	ini_set server metrics_file "$STATE/run/fcgi-metrics"
	for role in api worker owner; do
		ini_set database "$role" "host=$PG_SOCKETS dbname=tidegate user=tidegate_$role"
	done
	ini_set events publisher "$EVENTS"
	ini_set storage root "$STATE"
	ini_set schema dir "$STATE/schema"
	# Sample databases to be backed up, until somebody names others.
	if ! grep -q '^\[backups\]' "$file"; then
		scripts/sample_databases.sh "$STATE/databases"
		chown -R "$SERVICE_USER" "$STATE/databases"
		ini_set backups sources "$STATE/databases/sources.json"
		ini_set backups space demo
	fi
	[ -e "$STATE/run/fcgi-metrics" ] || install -m 644 -o "$SERVICE_USER" /dev/null "$STATE/run/fcgi-metrics"
}

make_nginx_config() {
	local listen="listen 127.0.0.1:$PORT ssl http2 backlog=4096;" user=
	[ ! -s /proc/net/if_inet6 ] || listen+=" listen [::1]:$PORT ssl http2 backlog=4096;"
	[ "$(id -u)" -ne 0 ] || user="user $SERVICE_USER;"
	# Everybody is one address here, so the limit per address is wider than the one for strangers.
	scripts/nginx.sh "$STATE/nginx" LISTEN="$listen" USER="$user" SOCKET="$SOCKET" STORAGE="$STATE" STATE="$STATE" \
		CERTIFICATE="$RUN_DIR/tls/cert.pem" KEY="$RUN_DIR/tls/key.pem" ACCESS_LOG="$STATE/log/nginx-access.log" \
		RATE="${RATE:-2000r/s}" BURST="${BURST:-4000}" PEER_CONNECTIONS=512 EVENTS="$EVENTS" PEER_STREAMS=5000
}

# -------------------------------------------------------------------------------------------------------------- servers

# launch NAME LOG COMMAND…: in its own session, so that Ctrl-C reaches only this script; in STATE/run, which marks it ours.
launch() {
	local name=$1 log=$2
	shift 2
	(cd "$STATE/run" && exec setsid "$@") </dev/null >>"$STATE/log/$log" 2>&1 9>&- &
	echo $! >"$STATE/run/$name.pid"
	[[ " ${started[*]} " == *" $name "* ]] || started+=("$name")
}

alive() { kill -0 "$(<"$STATE/run/$1.pid")" 2>/dev/null; }

tidegate() { "${AS_SERVICE[@]}" "$STATE/bin/tidegate" --config "$STATE/tidegate.ini" "$@"; }

super() {
	PGPASSWORD=$(<"$STATE/secrets/superuser") "$PG_BIN/psql" -X -q -v ON_ERROR_STOP=1 -h "$PG_SOCKETS" -U postgres "$@"
}

# ready_or_dead NAME COMMAND…: true when it answers and when it has ended; the caller tells which.
ready_or_dead() {
	local name=$1
	shift
	! alive "$name" || "$@" >/dev/null 2>&1
}

start_postgres() {
	# After a crash its children may need a moment; a pid file that nobody stands behind may name a stranger by now.
	if ! wait_until 10 no_strays postgres; then
		fail "Old processes of PostgreSQL do not end: $(strays postgres | tr '\n' ' ')"
	fi
	rm -f "$STATE/pg/postmaster.pid"
	launch postgres postgres.log "${AS_DATABASE[@]}" "$PG_BIN/postgres" -D "$STATE/pg" -k "$PG_SOCKETS"
	wait_until 120 ready_or_dead postgres "$PG_BIN/pg_isready" -q -h "$PG_SOCKETS" -U postgres || true
	alive postgres || fail "PostgreSQL did not start:"$'\n'"$(tail -n 5 "$STATE/log/postgres.log")"
}

make_database() {
	local role
	{
		"$STATE/bin/tidegate" roles
		for role in api worker owner; do
			# To the server itself, over its own socket, on standard input: on no command line and in no log.
			printf "ALTER ROLE tidegate_%s PASSWORD '%s';\n" "$role" "$(secret "$role")"
		done
	} | super -d postgres
	if [ -z "$(super -d postgres -At -c "SELECT 1 FROM pg_database WHERE datname = 'tidegate'")" ]; then
		super -d postgres -c "CREATE DATABASE tidegate OWNER tidegate_owner"
	fi
	tidegate migrate >>"$STATE/log/tidegate.log" 2>&1 || fail "The database could not be migrated:"$'\n'"$(tail -n 5 "$STATE/log/tidegate.log")"
	# The two people of the demo, so that leads can be assigned to them.
	super -d tidegate -c "INSERT INTO crm.profile (id, space, display_name, email) VALUES
		('admin@demo', 'demo', 'Admin', 'admin@demo.invalid'), ('member@demo', 'demo', 'Member', 'member@demo.invalid') ON CONFLICT DO NOTHING"
}

start_pool() {
	rm -f "$SOCKET"
	launch pool tidegate.log "${AS_SERVICE[@]}" "$STATE/bin/tidegate" --config "$STATE/tidegate.ini" pool --socket "$SOCKET"
	wait_until 30 ready_or_dead pool test -S "$SOCKET" || true
	alive pool || fail "tidegate did not start:"$'\n'"$(tail -n 5 "$STATE/log/tidegate.log")"
}

answers() {
	curl --silent --fail --noproxy '*' --max-time 3 --cacert "$RUN_DIR/tls/cert.pem" "https://localhost:$PORT/api/health"
}

start_nginx() {
	[ -z "$EVENTS" ] || rm -f "$EVENTS" # left by one that was killed; nginx would not start over it
	launch nginx nginx-error.log nginx -p "$STATE/nginx/" -c "$STATE/nginx/nginx.conf" -e "$STATE/log/nginx-error.log"
	wait_until 30 ready_or_dead nginx answers || fail "The application does not answer:"$'\n'"$(tail -n 5 "$STATE/log/tidegate.log")"
	alive nginx || fail "nginx did not start:"$'\n'"$(tail -n 5 "$STATE/log/nginx-error.log")"
}

start_all() {
	start_postgres
	make_database
	start_pool
	start_nginx
}

# --------------------------------------------------------------------------------------------------- what a person sees

make_tokens() {
	local role
	mkdir -p "$RUN_DIR/tokens"
	chmod 700 "$RUN_DIR/tokens"
	for role in admin member; do
		(umask 077 && tidegate token --role "$role" --sub "$role@demo" --space demo --hours 720 >"$RUN_DIR/tokens/$role.new")
		mv "$RUN_DIR/tokens/$role.new" "$RUN_DIR/tokens/$role"
	done
	say "https://localhost:$PORT" >"$RUN_DIR/url"
}

# A fresh instance proves itself once.
prove() {
	[ ! -e "$STATE/proven" ] || return 0
	if [ "$DEMO" != 0 ]; then
		say "importing samples/leads-5000.csv through the public API:"
		scripts/demo.sh "$RUN_DIR" samples/leads-5000.csv 9>&- &
		children+=($!)
		wait $! || fail "The sample could not be imported; the log is $STATE/log/tidegate.log"
	fi
	say "backing up the sample databases and Tidegate's own:"
	tidegate backup run </dev/null || fail "A backup failed; the log is $STATE/log/tidegate.log"
	touch "$STATE/proven"
}

describe() {
	cat <<-TEXT

		Tidegate          https://localhost:$PORT   (certificate: $RUN_DIR/tls/cert.pem)
		administrator     $(<"$RUN_DIR/tokens/admin")
		member            $(<"$RUN_DIR/tokens/member")
		                  valid for 30 days; also in $RUN_DIR/tokens/admin and $RUN_DIR/tokens/member
		try               curl --cacert $RUN_DIR/tls/cert.pem -H "Authorization: Bearer \$(cat $RUN_DIR/tokens/admin)" https://localhost:$PORT/api/import/jobs
		back up           $STATE/bin/tidegate --config $STATE/tidegate.ini backup run
		import a file     make demo FILE=leads.csv RUN_DIR=$RUN_DIR
		logs              $STATE/log/
		stop              Ctrl-C, or from elsewhere: make stop RUN_DIR=$RUN_DIR

		ready https://localhost:$PORT
	TEXT
}

follow_logs() {
	tail --pid=$$ -q -n 0 -F "$STATE/log/tidegate.log" "$STATE/log/nginx-error.log" </dev/null 2>/dev/null 9>&- &
	children+=($!)
}

# A server that ends without being asked is started again; one that keeps ending is a failure.
supervise() {
	local name restarts=0 since=$SECONDS pids
	while :; do
		pids=()
		for name in "${started[@]}"; do
			if alive "$name"; then
				pids+=("$(<"$STATE/run/$name.pid")")
				continue
			fi
			[ $((SECONDS - since)) -lt 60 ] || restarts=0 since=$SECONDS
			restarts=$((restarts + 1))
			[ "$restarts" -le 10 ] || fail "$name ended too often; the logs are in $STATE/log/"
			say "$name ended unexpectedly and is started again"
			restart "$name"
			pids+=("$(<"$STATE/run/$name.pid")")
		done
		wait -n "${pids[@]}" || true
	done
}

restart() {
	local pid
	case $1 in
	postgres) start_postgres ;;
	pool)
		for pid in $(strays tidegate); do kill -TERM "$pid" 2>/dev/null || true; done
		start_pool
		;;
	nginx)
		# Orphaned workers would keep the port.
		for pid in $(strays nginx); do kill -TERM "$pid" 2>/dev/null || true; done
		wait_until 10 no_strays nginx || true
		start_nginx
		;;
	esac
}

# On every way out, also before the end of the start.
finish() {
	local status=$? pid
	trap '' HUP INT TERM PIPE
	trap - EXIT
	set +e
	for pid in "${children[@]}"; do kill "$pid" 2>/dev/null; done
	if [ ${#started[@]} -gt 0 ]; then
		say "stopping" 2>/dev/null
		stop_all
		say "stopped" 2>/dev/null
	fi
	rm -f "$RUN_DIR/run.pid"
	exit "$status"
}

use_run_dir "$(cd "$here" && realpath -m -- "${2:?RUN_DIR}")"
check
[ -d "$RUN_DIR" ] || mkdir -p "$RUN_DIR" 2>/dev/null || fail "The folder $RUN_DIR cannot be made."
[ -w "$RUN_DIR" ] || fail "The folder $RUN_DIR cannot be written to."
take_lock
trap finish EXIT
trap 'exit 0' HUP INT TERM PIPE
echo $$ >"$RUN_DIR/run.pid"
make_state
make_sockets
copy_program
make_certificate
make_cluster
make_config
make_nginx_config
start_all
make_tokens
prove
describe
follow_logs
supervise
