#!/usr/bin/env bash
# The static gates: one line each, `ok` or `FAIL` with what was found. Called by `make lint`, which has built everything
# and hands over CPPFLAGS and CFLAGS. With arguments only the gates named run: make lint GATES="tidy rooms"
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
export LC_ALL=C.UTF-8
build=${TIDEGATE_BUILD:-build}
read -ra flags <<<"${CPPFLAGS:?is set by make lint} ${CFLAGS:?is set by make lint}"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

rooms=(core fcgi readers handlers commands)
mapfile -t ours < <(find "${rooms[@]}" -name '*.[ch]' | sort)
mapfile -t sources < <(find "${rooms[@]}" tools tests bench -name '*.c' | sort)
mapfile -t headers < <(find "${rooms[@]}" tests -name '*.h' | sort)
mapfile -t python < <(find tests tools bench scripts -name '*.py' | sort)
mapfile -t texts < <(find "${rooms[@]}" tools tests bench scripts sql web -name '*.[ch]' -o -name '*.ts' -o -name '*.py' -o -name '*.sh' -o -name '*.awk' -o -name '*.sql' | sort)
mapfile -t shell < <(grep -lE '^#!.*\b(ba|da)?sh\b|^# shellcheck shell=' -r scripts .ci bench tests systemd | sort)

# each COMMAND… <names: the command once per name, on all cores.
each() { xargs -P "$(nproc)" -I '{}' "$@"; }

# clang's macros for _FORTIFY_SOURCE and gcc's warnings that need the optimiser are left to the build itself.
gate_gcc() { printf '%s\n' "${sources[@]}" | each gcc "${flags[@]}" -fsyntax-only '{}'; }
gate_clang() { printf '%s\n' "${sources[@]}" | each clang "${flags[@]}" -fsyntax-only '{}'; }

# Included, not compiled as they are: a static function of a header is unused in nobody's own file.
gate_headers() {
	printf '%s\n' "${headers[@]}" | each sh -c "for compiler in gcc clang; do
		printf '#include \"{}\"\n' | \$compiler ${flags[*]} -fsyntax-only -x c - || exit 1
	done"
}

# One process per file: the analyser of clang 14 confuses va_list between files. A file that passed is not looked at again
# until it, a header of its own or .clang-tidy changes: what the preprocessor makes of it, comments included, is its key.
tidy_one() {
	local key flags
	read -ra flags <<<"-std=c17 $CPPFLAGS"
	key=$({ cat .clang-tidy && clang "${flags[@]}" -E -C "$1"; } | sha256sum | cut -c1-64)
	[ -e "$build/tidy/$key" ] || { clang-tidy --quiet "$1" -- "${flags[@]}" 2>/dev/null && touch "$build/tidy/$key"; }
}
gate_tidy() {
	mkdir -p "$build/tidy"
	export -f tidy_one
	export build CPPFLAGS
	printf '%s\n' "${sources[@]}" | each bash -c 'tidy_one {}'
}

gate_cppcheck() {
	cppcheck --quiet -j "$(nproc)" --std=c11 --enable=warning,performance,portability --inline-suppr --error-exitcode=1 \
		-D_GNU_SOURCE -I. -I"$build/gen" --template='{file}:{line}: {severity} {id}: {message}' "${sources[@]}"
}

gate_shellcheck() { shellcheck "${shell[@]}"; }

gate_python() { PYTHONPYCACHEPREFIX=$work /usr/bin/python3 -W error -m py_compile "${python[@]}"; }

gate_typescript() {
	tsc -p web/sync --noEmit
}

gate_json() {
	find . -path './build*' -prune -o -path ./var -prune -o -path ./.git -prune -o -name node_modules -prune -o -name '*.json' -print0 |
		xargs -0 /usr/bin/python3 -c 'if True:
		import json, sys
		for name in sys.argv[1:]:
		    try:
		        json.load(open(name, encoding="utf-8"))
		    except ValueError as error:
		        sys.exit(f"{name}: {error}")'
}

# Documents that are made from a table of the program.
gate_documents() {
	local option file status=0
	while read -r option file; do
		"$build/tidegate" config "$option" | diff -u --label "$file" --label "tidegate config $option" "$file" - || status=1
	done <<-'LIST'
		--docs docs/configuration.md
		--errors docs/errors.md
		--nginx nginx/snippets/problems.conf
	LIST
	return $status
}

# Who may include whom. A room knows the rooms below it and no other; a capability knows no other capability.
gate_rooms() {
	local file
	includes() { grep -rnE --include='*.[ch]' "^#include \"($1)/" "$2"; }
	includes 'fcgi|readers|handlers|commands|tools|tests' core
	includes 'core/(crypto|jobs|net|pg|schema|store)|fcgi|handlers|commands|tools|tests' readers
	includes 'readers|handlers|commands|tools|tests' fcgi
	includes 'commands|tools|tests' handlers
	for file in handlers/*/; do
		file=${file%/}
		grep -nHE '^#include "handlers/' "$file"/*.[ch] | grep -vF "\"$file/"
	done
	true
}

# Memory comes from arenas and bufs. What a library allocated is given back with its origin: free(text); /* from json_dumps */
gate_memory() {
	printf '%s\n' "${ours[@]}" | grep -v '^core/base/' |
		xargs grep -nHE '\b(malloc|calloc|realloc|reallocarray|aligned_alloc|posix_memalign|strdup|strndup|v?asprintf|getline|getdelim|open_memstream|free) *\(' |
		grep -vE '\bfree\([a-z_]+(\[[a-z]\])?\); /\* from [a-z_]+ \*/$'
	true
}

# More of core/base/banned.h: names that system headers mention, so that they cannot be poisoned; typedefs that hide a
# struct; suppressions without a reason.
gate_banned() {
	grep -nHE '\b(system|popen|alloca|rand|srand|random|srandom|setjmp|longjmp|vfork|tempnam|gethostbyname|inet_addr|sscanf|scanf|getpwnam|strerror_r|bcopy|bzero) *\(' "${ours[@]}"
	grep -nHE '^ *# *(undef [a-z]|pragma)|^typedef (struct|union|enum) [^(]*;|^typedef (struct|union) .*{' "${ours[@]}" | grep -v '^core/base/banned.h:'
	grep -nHE 'NOLINT|cppcheck-suppress' "${sources[@]}" "${headers[@]}" | grep -vE 'NOLINT[A-Z]*\([a-zA-Z0-9.,-]+\): [a-z]|cppcheck-suppress [a-zA-Z]+ ; [a-z]'
	true
}

gate_files() {
	local file
	for file in "${texts[@]}"; do
		[ "$(wc -l <"$file")" -le 800 ] || echo "$file has more than 800 lines"
		case $file in
		*.[ch]) [ "$(head -c 2 "$file")" = '/*' ] || echo "$file does not begin with a comment" ;;
		*.sql) [ "$(head -c 2 "$file")" = -- ] || echo "$file does not begin with a comment" ;;
		*.py) [[ $(head -n 2 "$file") == *'"""'* || $(head -n 2 "$file") == *'# '* ]] || echo "$file does not begin with a comment" ;;
		*.ts) ;;
		*) head -n 2 "$file" | grep -q '^# ' || echo "$file does not begin with a comment" ;;
		esac
	done
}

# The program stands where it was built, not where it will be installed.
gate_units() {
	command -v systemd-analyze >/dev/null || return 0
	local unit
	mkdir "$work/units"
	for unit in systemd/*.*; do
		[ -d "$unit" ] || sed "s|/usr/local/bin/tidegate|$PWD/$build/tidegate|" "$unit" >"$work/units/${unit##*/}"
	done
	systemd-analyze verify "$work"/units/*
}

gates=(gcc clang headers cppcheck shellcheck python typescript json documents rooms memory banned files units tidy)
[ $# -eq 0 ] || gates=("$@")
failed=0
for gate in "${gates[@]}"; do
	begun=$SECONDS
	# A gate that finds something either fails or says so.
	if "gate_$gate" >"$work/found" 2>&1 && [ ! -s "$work/found" ]; then
		printf 'ok   %-10s %3d s\n' "$gate" $((SECONDS - begun))
	else
		printf 'FAIL %-10s %3d s\n' "$gate" $((SECONDS - begun))
		head -n 200 "$work/found" | sed 's/^/     /'
		failed=$((failed + 1))
	fi
done
[ "$failed" -eq 0 ] || echo "$failed of ${#gates[@]} gates failed"
[ "$failed" -eq 0 ]
