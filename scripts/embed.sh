#!/bin/sh
# Writes the named files as one C table {path, bytes} to standard output, so that the binary carries its own SQL.
# Called by the Makefile for `tidegate migrate`.
set -eu
printf '/* Made by scripts/embed.sh. */\n#include "core/pg/embedded.h"\n\nconst struct embedded_file embedded_files[] = {\n'
for file; do
	printf '\t{"%s",\n' "$file"
	sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/^/\t "/' -e 's/$/\\n"/' "$file"
	printf '\t},\n'
done
printf '\t{0, 0},\n};\n'
