#!/usr/bin/env bash
# sample_databases.sh FOLDER: six small SQLite databases, as services keep them, and the list of them for backups.sources (sources.json).
# Called by run.sh. Leaves a database that is there as it is.
set -euo pipefail
folder=$1
mkdir -p "$folder"

# make_database NAME ROWS TABLE EXPRESSIONS MORE: a table of that many rows; n counts them.
make_database() {
	[ -e "$folder/$1.db" ] || sqlite3 "$folder/$1.db" <<-SQL >/dev/null
		PRAGMA journal_mode = WAL;
		CREATE TABLE $3;
		WITH RECURSIVE c(n) AS (VALUES(1) UNION ALL SELECT n + 1 FROM c WHERE n < $2)
		INSERT INTO ${6:-${3%%(*}} SELECT $4 FROM c;
		$5
	SQL
}

make_database auth 400 'account(id INTEGER PRIMARY KEY, email TEXT UNIQUE, salt BLOB, created REAL)' "n, 'user' || n || '@example.org', randomblob(16), 1.7e9 + n * 3.25" \
	'CREATE INDEX account_created ON account(created);'
make_database scout 3000 'page(id INTEGER PRIMARY KEY, url TEXT, status INT, seconds REAL)' "n, 'https://example.org/' || hex(randomblob(6)), CASE n % 9 WHEN 0 THEN 404 ELSE 200 END, n / 7.0" \
	'CREATE VIEW broken AS SELECT url FROM page WHERE status >= 400;'
make_database engine 2000 'setting(key TEXT PRIMARY KEY, value ANY) WITHOUT ROWID, STRICT' "printf('key.%05d', n), CASE n % 3 WHEN 0 THEN n WHEN 1 THEN n * 0.5 ELSE 'text ' || n END" \
	''
make_database posts 1200 'post(id INTEGER PRIMARY KEY AUTOINCREMENT, title TEXT, body TEXT)' "n, 'Post ' || n, 'Words of post ' || n || char(10) || 'l''été' || n" \
	"CREATE VIRTUAL TABLE search USING fts5(title, body, content = 'post', content_rowid = 'id'); INSERT INTO search(search) VALUES('rebuild');"
make_database git-stats 5000 'commits(hash TEXT PRIMARY KEY, author TEXT, added INT, removed INT)' "lower(hex(randomblob(20))), 'author ' || (n % 12), n % 300, n % 70" \
	'CREATE INDEX commits_author ON commits(author);'
make_database domain-jobs 800 "job(id INTEGER PRIMARY KEY, domain TEXT, state TEXT DEFAULT 'ready', cost GENERATED ALWAYS AS (length(domain) * 2) STORED)" "n, 'domain-' || n || '.example', 'done'" \
	"CREATE INDEX job_ready ON job(domain) WHERE state = 'ready';" 'job(id, domain, state)'

{
	separator='['
	while read -r name priority description; do
		printf '%s\n  {"name": "%s", "path": "%s/%s.db", "priority": "%s", "description": "%s"}' "$separator" "$name" "$(realpath "$folder")" "$name" "$priority" "$description"
		separator=,
	done <<-'LIST'
		auth critical Accounts and sessions
		scout critical Pages that were visited
		engine critical Settings of the engine
		posts high Articles and their search index
		git-stats normal Statistics of repositories
		domain-jobs normal Jobs by domain
	LIST
	printf ',\n  {"name": "tidegate", "kind": "postgresql", "priority": "critical", "description": "Tidegate itself"}\n]\n'
} >"$folder/sources.json"
