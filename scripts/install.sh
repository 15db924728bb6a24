#!/usr/bin/env bash
# install.sh PREFIX [DESTDIR]: the program, its declarations, the nginx templates and the systemd files, for production.
# Makes no user, no secret and no configuration, and starts nothing: docs/operations.md goes on from here. TIDEGATE_BUILD
# names the build folder.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
prefix=$1 root=${2:-}
build=${TIDEGATE_BUILD:-build}
share=$root$prefix/share/tidegate

install -D -m 755 "$build/tidegate" "$root$prefix/bin/tidegate"
install -d "$share/schema" "$share/nginx/snippets" "$share/scripts"
install -m 644 schema/*.json "$share/schema/"
install -m 644 nginx/*.in "$share/nginx/"
install -m 644 nginx/snippets/*.conf "$share/nginx/snippets/"
install -m 755 scripts/nginx.sh "$share/scripts/"

install -d "$root/etc/systemd/system" "$root/etc/sysusers.d" "$root/etc/tmpfiles.d"
for unit in systemd/*.*; do
	[ -f "$unit" ] || continue
	sed "s|/usr/local/bin/tidegate|$prefix/bin/tidegate|" "$unit" >"$root/etc/systemd/system/${unit##*/}"
done
install -m 644 systemd/sysusers.d/tidegate.conf "$root/etc/sysusers.d/tidegate.conf"
install -m 644 systemd/tmpfiles.d/tidegate.conf "$root/etc/tmpfiles.d/tidegate.conf"
install -d -m 750 "$root/etc/tidegate"
install -d -m 700 "$root/etc/tidegate/secrets"
echo "installed below $root$prefix; the units and their users stand in $root/etc. Next: docs/operations.md"
