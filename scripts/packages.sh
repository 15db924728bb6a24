#!/usr/bin/env bash
# Installs the Debian packages of the named groups that are missing, and nothing else: packages.sh build run test s3 lint bench
# Called by `make run`, `make test` and their relatives. When everything is there it makes no call to apt at all. It never
# starts, restarts or stops a service: packages come with their own, which stay off when it was us who brought them.
set -euo pipefail

# package|what proves that it is there: a path (globs allowed), or python:MODULE for the system's own Python.
packages_of() {
	case $1 in
	build) cat <<-'LIST' ;;
		gcc|/usr/bin/gcc
		libc6-dev|/usr/include/stdio.h
		libfcgi-dev|/usr/include/fcgiapp.h
		libpq-dev|/usr/include/postgresql/libpq-fe.h
		libcurl4-openssl-dev|/usr/include/*/curl/curl.h
		libssl-dev|/usr/include/openssl/evp.h
		libjansson-dev|/usr/include/jansson.h
		libsodium-dev|/usr/include/sodium.h
		libseccomp-dev|/usr/include/seccomp.h
		libinih-dev|/usr/include/ini.h
		libzip-dev|/usr/include/zip.h
		libisal-dev|/usr/include/isa-l.h
		libexpat1-dev|/usr/include/expat.h
		libsqlite3-dev|/usr/include/sqlite3.h
		libzstd-dev|/usr/include/zstd.h
		zlib1g-dev|/usr/include/zlib.h
	LIST
	run) cat <<-'LIST' ;;
		nginx-light|/usr/sbin/nginx
		libnginx-mod-nchan|/usr/lib/nginx/modules/ngx_nchan_module.so
		postgresql|/usr/lib/postgresql/*/bin/postgres
		openssl|/usr/bin/openssl
		ca-certificates|/etc/ssl/certs/ca-certificates.crt
		curl|/usr/bin/curl
		sqlite3|/usr/bin/sqlite3
	LIST
	test) cat <<-'LIST' ;;
		perl|/usr/bin/prove
		redis-server|/usr/bin/redis-server
		nodejs|/usr/bin/node
		npm|/usr/bin/npm
		node-typescript|/usr/bin/tsc
		chromium|/usr/bin/chromium
		python3|/usr/bin/python3
		python3-pytest|python:pytest
		python3-pytest-xdist|python:xdist
		python3-requests|python:requests
		python3-psycopg|python:psycopg
		python3-hypothesis|python:hypothesis
		python3-yaml|python:yaml
		python3-jsonschema|python:jsonschema
		python3-openpyxl|python:openpyxl
		sqlite3|/usr/bin/sqlite3
		age|/usr/bin/age
		zstd|/usr/bin/zstd
	LIST
	s3) cat <<-'LIST' ;;
		swift-proxy|/usr/bin/swift-proxy-server
		swift-account|/usr/bin/swift-account-server
		swift-container|/usr/bin/swift-container-server
		swift-object|/usr/bin/swift-object-server
		memcached|/usr/bin/memcached
		radosgw|/usr/bin/radosgw
		ceph-mon|/usr/bin/ceph-mon
		ceph-osd|/usr/bin/ceph-osd
		s3cmd|/usr/bin/s3cmd
		openssl|/usr/bin/openssl
	LIST
	lint) cat <<-'LIST' ;;
		clang|/usr/bin/clang
		clang-tidy|/usr/bin/clang-tidy
		cppcheck|/usr/bin/cppcheck
		shellcheck|/usr/bin/shellcheck
		node-typescript|/usr/bin/tsc
		libclang-rt-dev|/usr/lib/llvm-*/lib/clang/*/lib/linux/libclang_rt.fuzzer-*.a
		python3|/usr/bin/python3
	LIST
	bench) cat <<-'LIST' ;;
		wrk|/usr/bin/wrk
		pgloader|/usr/bin/pgloader
		nodejs|/usr/bin/node
		npm|/usr/bin/npm
		libcsv-dev|/usr/include/csv.h
		sqlite3|/usr/bin/sqlite3
		age|/usr/bin/age
		zstd|/usr/bin/zstd
		python3|/usr/bin/python3
		python3-openpyxl|python:openpyxl
		sqlite3-tools|/usr/bin/sqldiff
	LIST
	*)
		echo "packages.sh: there is no group \"$1\" (build, run, test, s3, lint, bench)." >&2
		exit 2
		;;
	esac
}

is_there() {
	case $1 in
	python:*) compgen -G "/usr/lib/python3*/dist-packages/${1#python:}" >/dev/null || compgen -G "/usr/lib/python3*/dist-packages/${1#python:}.py" >/dev/null ;;
	*) compgen -G "$1" >/dev/null ;;
	esac
}

missing_of() {
	local name proof
	while IFS='|' read -r name proof; do
		is_there "$proof" || echo "$name"
	done < <(packages_of "$1")
}

missing=()
for group; do
	mapfile -t found < <(missing_of "$group")
	missing+=("${found[@]}")
done
[ ${#missing[@]} -gt 0 ] || exit 0

as_root=()
if [ "$(id -u)" -ne 0 ]; then
	if ! command -v sudo >/dev/null; then
		echo "These packages are missing and neither root nor sudo is there to install them: ${missing[*]}" >&2
		exit 1
	fi
	as_root=(sudo)
fi
if ! command -v apt-get >/dev/null; then
	echo "These packages are missing and this system has no apt-get to install them: ${missing[*]}" >&2
	exit 1
fi
echo "installing: ${missing[*]}"

# Runs as root with the package names as arguments. While it works, policy-rc.d keeps every service as it is; afterwards
# the units that came with our packages are disabled, so that no web server or database appears at the next boot.
# shellcheck disable=SC2016
install_as_root='
set -eu
policy=/usr/sbin/policy-rc.d
cluster=/etc/postgresql-common/createcluster.d/tidegate.conf
made_policy= made_cluster=
clean() {
	if [ -n "$made_policy" ]; then rm -f "$policy"; fi
	if [ -n "$made_cluster" ]; then rm -f "$cluster"; fi
}
trap clean EXIT
trap "exit 1" HUP INT TERM
if [ ! -e "$policy" ]; then
	made_policy=yes
	printf "#!/bin/sh\nexit 101\n" >"$policy"
	chmod 755 "$policy"
fi
if [ ! -e "$cluster" ]; then
	made_cluster=yes
	mkdir -p "${cluster%/*}"
	echo "create_main_cluster = false" >"$cluster"
fi
export DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1
apt-get -qq -o DPkg::Lock::Timeout=300 update
apt-get -qq -o DPkg::Lock::Timeout=300 -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold \
	install --yes --no-install-recommends "$@"
for package; do
	units=
	case $package in
	nginx*) units=nginx.service ;;
	postgresql*) units=postgresql.service ;;
	memcached|swift-*|ceph-*|radosgw) units=$(dpkg -L "$package" | sed -n "s|^/lib/systemd/system/\([^/@]*\.[st][a-z]*\)\$|\1|p") ;;
	esac
	if [ -n "$units" ] && command -v systemctl >/dev/null; then
		systemctl --quiet disable $units || true
	fi
done
'
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! "${as_root[@]}" sh -c "$install_as_root" packages "${missing[@]}" >"$log" 2>&1 </dev/null; then
	tail -n 20 "$log" >&2
	echo "apt-get could not install: ${missing[*]}" >&2
	exit 1
fi
