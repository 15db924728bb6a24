"""Downloads in other forms: one table, another packing, SQL for D1. What comes is compared with the source; what cannot be given is refused with a reason."""
import os
import sqlite3
import subprocess

import pytest
import sqlite_dumps
from backups import SPACE, Backups, keys


def api(backups, path, **options):
    return backups.instance.api("GET", path, token=backups.instance.token("admin", "admin@ops", space=SPACE), **options)


def today(backups):
    return str(backups.rows("SELECT (now() AT TIME ZONE 'UTC')::date")[0][0])


def get(backups, database, query):
    answer = api(backups, f"/backups/download/{today(backups)}/{database}?{query}")
    assert answer.status_code == 302, answer.text
    done = backups.instance.session.get(answer.headers["Location"])
    assert done.status_code == 200
    return done.content, done.headers["Content-Disposition"]


def refused(backups, database, query, status, code):
    answer = api(backups, f"/backups/download/{today(backups)}/{database}?{query}")
    assert answer.status_code == status and answer.json()["code"] == code, answer.text
    return answer.json()


def build(path, script, rows=()):
    db = sqlite3.connect(path)
    db.executescript(script)
    for sql, values in rows:
        db.executemany(sql, values)
    db.commit()
    db.close()


RICH = """
CREATE TABLE customer(id INTEGER PRIMARY KEY AUTOINCREMENT, "na""me" TEXT DEFAULT ';');
CREATE TABLE sale(id INTEGER PRIMARY KEY AUTOINCREMENT, customer NOT NULL REFERENCES customer(id), note, twice AS (note || note));
CREATE TABLE "odd; 'table' -- x"("a b", c BLOB);
CREATE TABLE pair(a, b, PRIMARY KEY(a, b)) WITHOUT ROWID;
CREATE TABLE empty(x);
CREATE INDEX sale_note ON sale(note) WHERE note IS NOT NULL;
CREATE UNIQUE INDEX pair_b ON pair(b);
CREATE VIEW totals AS SELECT customer, count(*) AS n FROM sale GROUP BY 1;
CREATE TRIGGER totals_in INSTEAD OF INSERT ON totals BEGIN SELECT 1; END;
CREATE TRIGGER sale_after AFTER INSERT ON sale BEGIN UPDATE customer SET "na""me" = 'from; trigger' WHERE id = new.customer; END;
CREATE VIRTUAL TABLE note USING fts5(title, body, tag UNINDEXED);
CREATE TABLE page(id INTEGER PRIMARY KEY, text);
CREATE VIRTUAL TABLE page_fts USING fts5(text, content='page', content_rowid='id');
"""


def make_rich(path):
    rows = [
        ('INSERT INTO customer("na""me") VALUES(?)', ((f"c{i}; it's \"{i}\" -- no",) for i in range(300))),
        ("INSERT INTO sale(customer, note) VALUES(?, ?)", ((i % 300 + 1, f"note {i}; 'x'\n-- y " + "z" * (i % 90)) for i in range(20000))),
        ("""INSERT INTO "odd; 'table' -- x" VALUES(?, ?)""", ((i, bytes([i % 256]) * 20) for i in range(2000))),
        ("INSERT INTO pair VALUES(?, ?)", ((i, -i / 3) for i in range(500))),
        ("INSERT INTO note VALUES(?, ?, ?)", ((f"title {i}", f"body; '{i}'\nINSERT INTO \"note_content\"(x) VALUES\n", "t") for i in range(400))),
        ("INSERT INTO page(text) VALUES(?)", ((f"page number {i}",) for i in range(200))),
        ("INSERT INTO page_fts(page_fts) VALUES(?)", [("rebuild",)]),
        ("DELETE FROM sale WHERE id = ?", [(20000,)]),
    ]
    build(path, RICH, rows)


@pytest.fixture(scope="module", params=["sql", "zst", "age"])
def made(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    options = {"backups__zstd_level": 0 if request.param == "sql" else 3}
    if request.param == "age":
        options["backups__recipients"] = keys(folder, "operator")[0]
    backups = Backups({"small": 3}, postgresql=True, **options)
    if request.param == "age":
        place = backups.instance.path("fcgi", "identity.txt")
        with open(place, "wb") as file:
            file.write((folder / "operator").read_bytes())
        backups.instance.options["backups__identity_file"] = place
        backups.instance.write_ini()
        backups.instance._end("pool", 15)
        backups.instance.start_pool()
    make_rich(backups.path("rich"))
    backups.open_up()
    backups.sources.append({"name": "rich", "path": backups.path("rich")})
    backups.write_sources()
    backups.run()
    backups.form, backups.key = request.param, folder / "operator"
    yield backups
    backups.stop()


@pytest.fixture
def backups(made, request):
    request.node.instances = [made.instance]
    return made


def schema_of(db, table):
    return sorted(row[0] for row in db.execute("SELECT sql FROM sqlite_schema WHERE tbl_name = ? AND sql IS NOT NULL", (table,)))


@pytest.mark.parametrize("table", ["customer", "sale", "odd; 'table' -- x", "pair", "empty", "page"])
def test_one_table(backups, tmp_path, table):
    """Rows, indexes, triggers and the counter are those of the source; nothing of another table comes with them."""
    import urllib.parse
    data, name = get(backups, "rich", "table=" + urllib.parse.quote(table))
    assert name.endswith(".sql") and "rich-" in name
    (tmp_path / "t.sql").write_bytes(data)
    sqlite_dumps.shell(tmp_path / "t.sql", tmp_path / "t.db")
    ours, theirs = sqlite3.connect(tmp_path / "t.db"), sqlite3.connect(backups.path("rich"))
    got, wanted = (sqlite_dumps.content(path)[f"table {table}"] for path in (tmp_path / "t.db", backups.path("rich")))
    assert got == wanted
    assert schema_of(ours, table) == schema_of(theirs, table)
    others = [row[0] for row in ours.execute("SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') AND name <> ? AND name NOT LIKE 'sqlite%'", (table,))]
    assert others == []
    if table in ("customer", "sale"):
        counter = "SELECT seq FROM sqlite_sequence WHERE name = ?"
        assert ours.execute(counter, (table,)).fetchall() == theirs.execute(counter, (table,)).fetchall()


def test_into_an_existing_database(backups, tmp_path):
    """A table that was spoiled is replaced, the others stay."""
    data, _ = get(backups, "rich", "table=customer")
    subprocess.run(["cp", backups.path("rich"), tmp_path / "live.db"], check=True)
    with sqlite3.connect(tmp_path / "live.db") as db:
        db.execute('UPDATE customer SET "na""me" = NULL')
    db.close()
    (tmp_path / "c.sql").write_bytes(data)
    sqlite_dumps.shell(tmp_path / "c.sql", tmp_path / "live.db")
    live, source = sqlite_dumps.content(tmp_path / "live.db"), sqlite_dumps.content(backups.path("rich"))
    assert all(live[name] == source[name] for name in source if name.startswith("table "))


def test_a_virtual_table(backups, tmp_path):
    data, _ = get(backups, "rich", "table=note")
    (tmp_path / "n.sql").write_bytes(data)
    sqlite_dumps.shell(tmp_path / "n.sql", tmp_path / "n.db")
    db = sqlite3.connect(tmp_path / "n.db")
    assert db.execute("SELECT count(*) FROM note WHERE note MATCH 'title'").fetchone() == (400,)
    db.execute("INSERT INTO note(note) VALUES('integrity-check')")


def test_packings(backups, tmp_path):
    """as=sql, zst and age are the same dump, whole; the stored form comes as it is stored."""
    plain, name = get(backups, "rich", "as=sql")
    assert name.endswith("rich-" + today(backups) + ".sql") or backups.form == "sql"
    (tmp_path / "a.sql").write_bytes(plain)
    sqlite_dumps.restore(tmp_path / "a.sql", tmp_path / "a.db")
    sqlite_dumps.same(backups.path("rich"), tmp_path / "a.db")
    packed, _ = get(backups, "rich", "as=zst&profile=sqlite")
    assert subprocess.run(["zstd", "-dc"], input=packed, capture_output=True, check=True).stdout == plain
    if backups.form == "age":
        sealed, _ = get(backups, "rich", "as=age")
        assert sealed == open(backups.blob(backups.object("rich")[0]), "rb").read(), "as it is stored"
        table, name = get(backups, "rich", "as=age&table=pair")
        assert name.endswith(".sql.zst.age")
        opened = subprocess.run(f"age -d -i {backups.key} | zstd -d", shell=True, input=table, capture_output=True, check=True).stdout
        assert opened == get(backups, "rich", "table=pair")[0]
    else:
        assert refused(backups, "rich", "as=age", 400, "invalid_field")["errors"][0]["field"] == "as"


def d1_import(sql, to):
    """As D1 has it: foreign keys on, defensive, inside a transaction of its own."""
    script = b".dbconfig defensive on\nPRAGMA foreign_keys=ON;\nBEGIN;\n.read " + str(sql).encode() + b"\nCOMMIT;\n"
    done = subprocess.run(["/usr/bin/sqlite3", "-bail", to], input=script, capture_output=True, timeout=120)
    assert done.returncode == 0 and not done.stderr, done.stderr


def test_d1(backups, tmp_path):
    """Taken under D1's rules, with all rows, counters and full-text tables that find what they should."""
    data, name = get(backups, "rich", "profile=d1")
    assert name.endswith(".d1.sql")
    words = {line.split()[0] for line in data.decode().split("\n") if line.isupper()}
    assert not words & {"BEGIN", "COMMIT;"}
    assert [line for line in data.decode().split("\n") if line.startswith("PRAGMA")] == ["PRAGMA defer_foreign_keys=true;"]
    (tmp_path / "d1.sql").write_bytes(data)
    d1_import(tmp_path / "d1.sql", tmp_path / "d1.db")
    ours, theirs = sqlite_dumps.content(tmp_path / "d1.db"), sqlite_dumps.content(backups.path("rich"))
    for part in theirs:
        if part.startswith("table ") and "note_" not in part and "page_fts_" not in part:
            assert ours[part] == theirs[part], part
    assert ours["schema"] == theirs["schema"] and ours["sequence"] == theirs["sequence"]
    a, b = sqlite3.connect(tmp_path / "d1.db"), sqlite3.connect(backups.path("rich"))
    for question in ("SELECT rowid, * FROM note ORDER BY rowid", "SELECT rowid FROM note WHERE note MATCH '17'", "SELECT rowid, text FROM page_fts WHERE page_fts MATCH '33'", "SELECT * FROM totals"):
        assert a.execute(question).fetchall() == b.execute(question).fetchall(), question
    position = [data.index(text) for text in (b'DROP TABLE IF EXISTS "sale"', b'DROP TABLE IF EXISTS "customer"', b"CREATE TABLE customer", b"CREATE TABLE sale", b"INSERT INTO")]
    assert position == sorted(position), "children go first, parents come first, rows last"


def test_what_cannot_be_given(backups):
    assert refused(backups, "rich", "table=nothing", 404, "backup_table_not_found")["available"] == "customer, empty, odd; 'table' -- x, page, pair, sale, note, page_fts"
    assert refused(backups, "rich", "table=note_content", 404, "backup_table_not_found")
    assert refused(backups, "rich", "table=Sale'--", 404, "backup_table_not_found")
    refused(backups, "tidegate", "as=sql", 409, "backup_not_divisible")
    refused(backups, "tidegate", "table=job", 409, "backup_not_divisible")
    refused(backups, "tidegate", "profile=d1", 409, "backup_not_divisible")
    for query, field in (("as=gzip", "as"), ("profile=oracle", "profile")):
        assert refused(backups, "rich", query, 400, "invalid_field")["errors"][0]["field"] == field
    refused(backups, "nothing", "table=x", 404, "backup_not_found")


def test_made_objects_go(backups):
    """What was made for a download stands in no list, and is gone after a day."""
    get(backups, "rich", "table=pair")
    assert all(item["kind"] == "daily" for item in api(backups, "/backups/list").json()["items"])
    made = backups.rows("SELECT key FROM tidegate.backup_object WHERE kind = 'made'")
    assert made and all(os.path.exists(backups.blob(key)) for key, in made)
    backups.job("backup.tick")
    assert len(backups.rows("SELECT 1 FROM tidegate.backup_object WHERE kind = 'made'")) == len(made), "not before their time"
    backups.rows("UPDATE tidegate.backup_object SET created_at = created_at - interval '27 hours' WHERE kind = 'made' RETURNING 1")
    backups.job("backup.tick")
    from instance import wait_until
    wait_until(lambda: not backups.rows("SELECT 1 FROM tidegate.backup_object WHERE kind = 'made'"), 30, "them to be gone")
    assert not any(os.path.exists(backups.blob(key)) for key, in made) and os.listdir(backups.blob("made")) == [] and backups.spool() == []


@pytest.fixture
def alone(request):
    made = []

    def start(*arguments, **options):
        made.append(Backups(*arguments, **options))
        request.node.instances = [made[-1].instance]
        return made[-1]
    yield start
    for backups in made:
        backups.stop()


def test_encrypted_without_a_key(alone, tmp_path):
    backups = alone({"shop": 50}, backups__recipients=keys(tmp_path, "operator")[0])
    backups.run()
    for query in ("as=sql", "as=zst", "table=thing", "profile=d1", "as=age&table=thing"):
        refused(backups, "shop", query, 409, "backup_key_missing")
    assert get(backups, "shop", "as=age")[0].startswith(b"age-encryption.org/v1\n")
    assert not backups.rows("SELECT 1 FROM tidegate.backup_object WHERE kind = 'made'")


def test_limits_and_what_d1_refuses(alone, tmp_path):
    backups = alone({}, backups__convert_bytes=1 << 20)
    build(backups.path("big"), "CREATE TABLE t(a); CREATE TABLE small(a)", [("INSERT INTO t VALUES(?)", ((os.urandom(50000),) for _ in range(30))), ("INSERT INTO small VALUES(?)", [(1,)])])
    build(backups.path("wide"), "CREATE TABLE fine(a); CREATE TABLE long(a)", [("INSERT INTO long VALUES(?)", [("x" * 120000,)])])
    build(backups.path("wide16"), "PRAGMA encoding='UTF-16le'; CREATE TABLE t(a); INSERT INTO t VALUES('é');")
    build(backups.path("tree"), "CREATE VIRTUAL TABLE place USING rtree(id, a, b)")
    build(backups.path("bare"), "CREATE VIRTUAL TABLE f USING fts5(a, content = '')")
    build(backups.path("cloud"), "CREATE TABLE _cf_KV(a); CREATE TABLE xcfdata(a); INSERT INTO xcfdata VALUES(7);")
    for name in ("big", "wide", "wide16", "tree", "bare", "cloud"):
        backups.sources.append({"name": name, "path": backups.path(name)})
    backups.write_sources()
    backups.open_up()
    backups.run()
    refused(backups, "big", "as=sql", 413, "backup_too_large")
    refused(backups, "big", "table=t", 413, "backup_too_large")
    assert b"small" in get(backups, "big", "table=small")[0], "one table may be small enough"
    assert "table long" in refused(backups, "wide", "profile=d1", 409, "backup_profile_refused")["errors"][0]["message"]
    get(backups, "wide", "profile=d1&table=fine")
    assert "UTF-16" in refused(backups, "wide16", "profile=d1", 409, "backup_profile_refused")["errors"][0]["message"]
    data, _ = get(backups, "wide16", "table=t")
    (tmp_path / "t.sql").write_bytes(data)
    sqlite_dumps.shell(tmp_path / "t.sql", tmp_path / "t.db")
    assert sqlite3.connect(tmp_path / "t.db").execute("SELECT a FROM t").fetchall() == [("é",)]
    for name in ("tree", "bare"):
        assert "virtual table" in refused(backups, name, "profile=d1", 409, "backup_profile_refused")["errors"][0]["message"]
    text = get(backups, "cloud", "profile=d1")[0].decode()
    assert "_cf_KV" not in text and "INSERT INTO \"xcfdata\"" in text


def test_damaged_frames(alone):
    """A frame with a changed byte is no table, whichever table was asked for; one that is not needed does not matter."""
    backups = alone({})
    build(backups.path("two"), "CREATE TABLE a(x); CREATE TABLE b(x)", [(f"INSERT INTO {name} VALUES(?)", ((f"{name} {i * 7919 % 100003} " * 8,) for i in range(20000))) for name in "ab"])
    backups.sources.append({"name": "two", "path": backups.path("two")})
    backups.write_sources()
    backups.open_up()
    backups.run()
    key = backups.object("two")[0]
    good = open(backups.blob(key), "rb").read()
    frames = backups.rows("SELECT manifest -> 'content' -> 'frames' FROM tidegate.backup_object")[0][0]
    assert len(frames) >= 3
    at = frames[1][1] + 5000
    backups.instance.replace_object(key, good[:at] + bytes([good[at] ^ 0x55]) + good[at + 1:])
    places = {t["name"]: t for t in backups.rows("SELECT manifest -> 'content' -> 'tables' FROM tidegate.backup_object")[0][0]}
    hurt = [name for name, t in places.items() if t["offset"] < frames[2][0] and t["offset"] + t["length"] > frames[1][0]]
    assert hurt and len(hurt) < 2
    for name in places:
        if name in hurt:
            refused(backups, "two", f"table={name}", 410, "backup_lost")
        else:
            get(backups, "two", f"table={name}")
    refused(backups, "two", "as=sql", 410, "backup_lost")
