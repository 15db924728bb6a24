"""tidegate restore: from files and plain directories, encrypted or not; what is damaged, cut or hostile makes no database."""
import sqlite3
import subprocess

import pytest
import sqlite_dumps
from sqlite_dumps import dump, restore, same, tidegate


@pytest.fixture
def source(tmp_path):
    db = sqlite3.connect(tmp_path / "shop.db")
    db.execute("CREATE TABLE customer(id INTEGER PRIMARY KEY, name)")
    db.execute("CREATE TABLE sale(id INTEGER PRIMARY KEY, customer REFERENCES customer(id), note)")
    db.execute("CREATE INDEX sale_customer ON sale(customer)")
    db.execute("CREATE VIEW totals AS SELECT customer, count(*) FROM sale GROUP BY 1")
    db.execute("CREATE TRIGGER fill AFTER INSERT ON customer BEGIN INSERT INTO sale(customer) VALUES(new.id); END")
    db.executemany("INSERT INTO customer VALUES(?, ?)", ((i, f"c{i}") for i in range(2000)))
    db.executemany("INSERT INTO sale(customer, note) VALUES(?, ?)", ((i % 2000, f"note {i * 7919 % 10007} " * 5) for i in range(20000)))
    db.commit()
    db.close()
    return tmp_path / "shop.db"


def keys(folder, *names):
    """Public keys by age-keygen; the secret ones are in files of these names."""
    public = []
    for name in names:
        subprocess.run(["age-keygen", "-o", folder / name], check=True, capture_output=True)
        public.append(subprocess.run(["age-keygen", "-y", folder / name], check=True, capture_output=True, text=True).stdout.strip())
    return public


def test_encrypted_for_two(tmp_path, source):
    public = keys(tmp_path, "operator", "escrow", "stranger")[:2]
    dump(source, tmp_path / "a.sql.zst.age", "--recipients", " ".join(public))
    for name in ("operator", "escrow"):
        restore(tmp_path / "a.sql.zst.age", tmp_path / f"{name}.db", "--identity", tmp_path / name)
        same(source, tmp_path / f"{name}.db")
        pipe = f"age -d -i {tmp_path / name} {tmp_path / 'a.sql.zst.age'} | zstd -d | sqlite3 -bail {tmp_path / name}-by-hand.db"
        subprocess.run(["bash", "-o", "pipefail", "-c", pipe], check=True, timeout=60)
        same(source, f"{tmp_path / name}-by-hand.db")
    assert "is encrypted" in restore(tmp_path / "a.sql.zst.age", tmp_path / "no.db", status=65)
    assert "is encrypted" in restore(tmp_path / "a.sql.zst.age", tmp_path / "no.db", "--identity", tmp_path / "stranger", status=65)
    restore(tmp_path / "a.sql.zst.age", tmp_path / "no.db", "--identity", source, status=64)
    assert not (tmp_path / "no.db").exists()


def test_what_age_and_zstd_made(tmp_path, source):
    (public,) = keys(tmp_path, "operator")
    dump(source, tmp_path / "a.sql", "--zstd", 0)
    subprocess.run(["bash", "-c", f"zstd -q -19 --long=27 < {tmp_path}/a.sql | age -r {public} > {tmp_path}/theirs.age"], check=True)
    restore(tmp_path / "theirs.age", tmp_path / "b.db", "--identity", tmp_path / "operator")
    same(source, tmp_path / "b.db")


@pytest.mark.parametrize("form", ["sql", "zst", "age"])
def test_damaged(tmp_path, source, form):
    """Cut anywhere, or one byte changed where it matters: refused, and nothing is left behind."""
    (public,) = keys(tmp_path, "operator")
    options = {"sql": ("--zstd", 0), "zst": (), "age": ("--recipients", public)}[form]
    dump(source, tmp_path / "a", *options)
    good = (tmp_path / "a").read_bytes()
    identity = ("--identity", tmp_path / "operator") if form == "age" else ()
    cuts = [1, 3, 100, len(good) // 2, len(good) - 200, len(good) - 70, len(good) - 66 if form == "sql" else len(good) - 1]
    for number, cut in enumerate(cuts):
        (tmp_path / "cut").write_bytes(good[:cut])
        restore(tmp_path / "cut", tmp_path / "b.db", *identity, status=65)
    for at in (len(good) // 3, len(good) // 2):
        changed = bytearray(good)
        changed[at] ^= 1
        (tmp_path / "changed").write_bytes(changed)
        restore(tmp_path / "changed", tmp_path / "b.db", *identity, status=65)
    if form != "sql":
        (tmp_path / "more").write_bytes(good + b"more")
        restore(tmp_path / "more", tmp_path / "b.db", *identity, status=65)
    assert not (tmp_path / "b.db").exists() and not list(tmp_path.glob("*.part*"))


def test_changed_data(tmp_path, source):
    """A dump that runs well and says another content is refused."""
    dump(source, tmp_path / "a.sql", "--zstd", 0)
    text = (tmp_path / "a.sql").read_text()
    (tmp_path / "changed.sql").write_text(text.replace("'c17'", "'c71'"))
    assert "content_differs" in restore(tmp_path / "changed.sql", tmp_path / "b.db", status=65)
    (tmp_path / "less.sql").write_text(text.replace("CREATE INDEX sale_customer ON sale(customer);\n", ""))
    assert "content_differs" in restore(tmp_path / "less.sql", tmp_path / "b.db", status=65)
    (tmp_path / "after.sql").write_text(text + "DELETE FROM sale;\n")
    assert "dump_not_whole" in restore(tmp_path / "after.sql", tmp_path / "b.db", status=65)
    (tmp_path / "open.sql").write_text(text.replace("COMMIT;\n", ""))
    assert "dump_not_whole" in restore(tmp_path / "open.sql", tmp_path / "b.db", status=65)


@pytest.mark.parametrize("sql", ["ATTACH '{0}/other.db' AS x; CREATE TABLE x.t(a);", "VACUUM INTO '{0}/other.db';", "SELECT load_extension('{0}/other');",
                                 "CREATE TABLE t(a) nonsense;", "INSERT INTO nowhere VALUES(1);", "SELECT 'never closed"])
def test_hostile_dumps(tmp_path, source, sql):
    dump(source, tmp_path / "a.sql", "--zstd", 0)
    (tmp_path / "bad.sql").write_text(sql.format(tmp_path) + "\n" + (tmp_path / "a.sql").read_text())
    restore(tmp_path / "bad.sql", tmp_path / "b.db", status=65)
    assert not (tmp_path / "other.db").exists() and not (tmp_path / "b.db").exists()


def test_never_in_place(tmp_path, source):
    dump(source, tmp_path / "a.sql")
    before = source.read_bytes()
    assert "new files" in restore(tmp_path / "a.sql", source, status=73)
    assert source.read_bytes() == before
    restore(tmp_path / "a.sql", tmp_path / "nowhere" / "b.db", status=65)


def test_one_table(tmp_path, source):
    dump(source, tmp_path / "a.sql")
    restore(tmp_path / "a.sql", tmp_path / "sale.db", "--table", "sale")
    db = sqlite3.connect(tmp_path / "sale.db")
    assert [row[0] for row in db.execute("SELECT name FROM sqlite_schema ORDER BY 1")] == ["sale", "sale_customer"]
    assert db.execute("SELECT count(*) FROM sale").fetchone() == (22000,), "the trigger made 2000"
    assert "no table" in restore(tmp_path / "a.sql", tmp_path / "no.db", "--table", "nothing", status=65)
    assert not (tmp_path / "no.db").exists()


def test_one_table_and_what_hangs_on_it(tmp_path):
    """Views, triggers, indexes, foreign keys, counters and full-text tables around a table: what is its own stays, what would be broken without the others goes."""
    db = sqlite3.connect(tmp_path / "s.db")
    db.executescript("""
        CREATE TABLE parent(id INTEGER PRIMARY KEY AUTOINCREMENT, name UNIQUE);
        CREATE TABLE child(id INTEGER PRIMARY KEY AUTOINCREMENT, parent REFERENCES parent(id) ON DELETE CASCADE, note, upper AS (upper(note)));
        CREATE TABLE log(what);
        CREATE INDEX child_note ON child(note) WHERE note IS NOT NULL;
        CREATE INDEX child_upper ON child(upper(note));
        CREATE VIEW family AS SELECT p.name, c.note FROM parent p JOIN child c ON c.parent = p.id;
        CREATE TRIGGER family_in INSTEAD OF INSERT ON family BEGIN INSERT INTO parent(name) VALUES(new.name); END;
        CREATE TRIGGER child_log AFTER DELETE ON child BEGIN INSERT INTO log VALUES(old.note); END;
        CREATE TRIGGER parent_log AFTER INSERT ON parent BEGIN INSERT INTO log VALUES(new.name); END;
        CREATE VIRTUAL TABLE words USING fts5(word);
        INSERT INTO parent(name) VALUES('a'), ('b');
        INSERT INTO child(parent, note) VALUES(1, 'x'), (2, 'y'), (2, NULL);
        DELETE FROM child WHERE note = 'y';
        INSERT INTO words VALUES('hello'), ('world');
    """)
    db.commit()
    db.close()
    dump(tmp_path / "s.db", tmp_path / "s.sql")
    wanted = {"parent": {"parent", "parent_log"}, "child": {"child", "child_note", "child_upper", "child_log"}, "log": {"log"}}
    source = sqlite_dumps.content(tmp_path / "s.db")
    for table, names in wanted.items():
        restore(tmp_path / "s.sql", tmp_path / f"{table}.db", "--table", table)
        got = sqlite_dumps.content(tmp_path / f"{table}.db")
        assert {name for _, name, _ in got["schema"]} == names and got[f"table {table}"] == source[f"table {table}"]
        assert got.get("sequence", []) == [row for row in source["sequence"] if row[0] == table.encode()]
    one = sqlite3.connect(tmp_path / "child.db")
    one.execute("PRAGMA foreign_keys = ON")
    assert [row[2] for row in one.execute("PRAGMA foreign_key_list(child)")] == ["parent"], "it says what it refers to, which is not there"
    restore(tmp_path / "s.sql", tmp_path / "words.db", "--table", "words")
    assert sqlite3.connect(tmp_path / "words.db").execute("SELECT count(*) FROM words WHERE words MATCH 'hello'").fetchone() == (1,)
    assert "no table" in restore(tmp_path / "s.sql", tmp_path / "no.db", "--table", "family", status=65)


def test_plain_directory(tmp_path, source):
    """A copy of the bucket, or a folder of dates: the newest, or the one that is named."""
    db = sqlite3.connect(source)
    for number, (folder, name) in enumerate([("daily/2026-01-01", "shop.sql"), ("daily/2026-01-03", "shop.sql.zst"), ("daily/2026-01-04", "other.sql.zst")]):
        (tmp_path / folder).mkdir(parents=True)
        db.execute("UPDATE customer SET name = ? WHERE id = 1", (f"day {number}",))
        db.commit()
        dump(source, tmp_path / folder / name, "--zstd", 0 if name.endswith("sql") else 3)
    db.close()

    def name_in(path):
        return sqlite3.connect(path).execute("SELECT name FROM customer WHERE id = 1").fetchone()[0]

    restore("shop", tmp_path / "newest.db", "--from", tmp_path)
    restore("shop", tmp_path / "dated.db", "--from", tmp_path, "--date", "2026-01-01")
    restore("other", tmp_path / "flat.db", "--from", tmp_path / "daily")
    assert [name_in(tmp_path / f"{name}.db") for name in ("newest", "dated", "flat")] == ["day 1", "day 0", "day 2"]
    assert "There is no backup of shop of 2026-01-02" in restore("shop", tmp_path / "no.db", "--from", tmp_path, "--date", "2026-01-02", status=65)
    assert "There is no backup of nothing" in restore("nothing", tmp_path / "no.db", "--from", tmp_path, status=65)


def test_disk_full(tmp_path, source):
    """A limit on file sizes stands for a disk that is full: nothing is left of what was begun."""
    dump(source, tmp_path / "a.sql", "--zstd", 0)
    for command in (f"{sqlite_dumps.TIDEGATE} restore {tmp_path}/a.sql --to {tmp_path}/b.db", f"{sqlite_dumps.TIDEGATE} backup dump {source} --to {tmp_path}/b.sql --zstd 0"):
        done = subprocess.run(["bash", "-c", f"ulimit -f 600; trap '' XFSZ; exec {command}"], capture_output=True, text=True, timeout=60)
        assert done.returncode in (73, 65) and "disk_full" in done.stderr, done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.sql", "shop.db"]


def test_usage(tmp_path):
    tidegate("restore", status=64)
    tidegate("restore", tmp_path, status=64)
