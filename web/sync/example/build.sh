#!/usr/bin/env bash
# Makes a folder of static files of the example: its own, the module (sync/) and SQLite (sqlite/). build.sh FOLDER [MODULE SQLITE]
# MODULE: where tsc has put web/sync; SQLITE: the folder dist/ of @sqlite.org/sqlite-wasm. Without them both are made, with tsc and npm.
set -euo pipefail
source=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
folder=$1 module=${2:-} sqlite=${3:-}

if [ -z "$module" ]; then
	work=$(mktemp -d)
	trap 'rm -rf "$work"' EXIT
	tsc -p "$source/.." --outDir "$work/sync"
	(cd "$work" && npm install --no-audit --no-fund --no-package-lock --silent @sqlite.org/sqlite-wasm@3.53.4-build2)
	module=$work/sync sqlite=$work/node_modules/@sqlite.org/sqlite-wasm/dist
fi
mkdir -p "$folder/sync" "$folder/sqlite"
cp "$source"/index.html "$source"/style.css "$source"/page.js "$source"/worker.js "$folder/"
cp "$module"/*.js "$folder/sync/"
cp "$sqlite"/index.mjs "$sqlite"/sqlite3.wasm "$sqlite"/sqlite3-opfs-async-proxy.js "$folder/sqlite/"
