"""Rows of synced tables that the server writes: imports of databases, plain SQL. They reach devices as what other devices push does, and the other way round."""
import os
import threading
import uuid

import psycopg
import pytest

from instance import REPOSITORY, expect_problem, unique, wait_until
from phone import BATCHES, Phone, backup
from sync_client import Device

BOWLING = ("house", "pattern", "ball", "league", "session", "game", "frame")


@pytest.fixture
def phone(gate):
    return Phone(gate)


def device(phone, app="bowling", **options):
    made = Device(phone.gate, phone.gate.token(role="member", sub=unique("sub"), space=phone.space), app=app, **options)
    made.sync()
    return made


def ids(device, table):
    return {row[0] for row in device.sql(f"SELECT id FROM {table}")}


def stored(phone, batch, table):
    return {row["id"] for row in phone.data(batch, table)}


def agree(*devices):
    for one in devices:
        one.sync()
    for one in devices:
        check = one.check()
        assert check["upToDate"] and check["tables"] == one.checksums(), "expected the same rows as on the server"


# ------------------------------------------------------------------------------------------------------------------------ imports

def test_an_import_reaches_devices_that_are_there_already(phone, tmp_path):
    before = device(phone)
    batch = phone.imported(backup(str(tmp_path / "a.db"), games=30, seed=1))["batchId"]
    agree(before, device(phone, page_size=100))
    for table in BOWLING:
        assert ids(before, table) == stored(phone, batch, table) and ids(before, table), f"expected the rows of {table}"
    assert device(Phone(phone.gate)).sql("SELECT count(*) FROM game") == [(0,)], "expected nothing of another space"


def test_a_venue_reaches_devices_too(phone, tmp_path):
    import lounge
    before = device(phone, app="venue")
    path = str(tmp_path / "venue.db")
    lounge.write(path)
    with open(path, "rb") as file:
        batch = phone.imported(file.read(), profile="venue")["batchId"]
    agree(before)
    assert ids(before, "station") == stored(phone, batch, "station") and ids(before, "session") == stored(phone, batch, "session") and ids(before, "sale")


def test_a_newer_import_replaces_the_older_on_devices(phone, tmp_path):
    one = device(phone)
    first = phone.imported(backup(str(tmp_path / "a.db"), games=12, seed=1))["batchId"]
    one.sync()
    own = str(uuid.uuid4())
    one.db.execute("INSERT INTO ball (id, name, name_key) VALUES (?, 'Own', 'own')", (own,))
    noted, gone = sorted(ids(one, "game"))[:2]
    one.db.execute("UPDATE game SET notes = 'mine' WHERE id = ?", (noted,))
    one.db.execute("DELETE FROM game WHERE id = ?", (gone,))
    agree(one)
    assert gone not in stored(phone, first, "game") and [row["notes"] for row in phone.data(first, "game") if row["id"] == noted] == ["mine"]
    kept = ids(one, "game")
    second = phone.imported(backup(str(tmp_path / "b.db"), games=15, seed=2))["batchId"]
    agree(one, device(phone))
    assert ids(one, "game") == stored(phone, second, "game") and ids(one, "ball") == stored(phone, second, "ball") | {own}
    assert stored(phone, first, "game") == kept, "expected that the older one can be looked at"
    assert phone.api("POST", f"{BATCHES}/{first}/activate").status_code == 200
    agree(one, device(phone))
    assert ids(one, "game") == kept and one.sql("SELECT notes FROM game WHERE id = ?", noted) == [("mine",)]


def test_an_edit_made_before_its_row_was_replaced_loses_and_a_later_one_wins(phone, tmp_path):
    one = device(phone)
    phone.imported(backup(str(tmp_path / "a.db"), games=5, seed=1))
    one.sync()
    early, late = sorted(ids(one, "game"))[:2]
    one.db.execute("UPDATE game SET notes = 'early' WHERE id = ?", (early,))
    second = phone.imported(backup(str(tmp_path / "b.db"), games=5, seed=2))["batchId"]
    one.db.execute("UPDATE game SET notes = 'late' WHERE id = ?", (late,))
    agree(one)
    assert ids(one, "game") == stored(phone, second, "game") | {late}


def test_rows_of_an_import_that_is_forgotten_are_gone_for_devices_that_were_away(gate, phone, tmp_path):
    away = device(phone)
    first = phone.imported(backup(str(tmp_path / "a.db"), games=5, seed=1))["batchId"]
    away.sync()
    second = phone.imported(backup(str(tmp_path / "b.db"), games=6, seed=2))["batchId"]
    here = device(phone)
    gate.sql("SELECT tidegate.sqlite_forget(no) FROM tidegate.sqlite_batch WHERE id = %s", first)
    assert gate.sql("SELECT count(*) FROM bowling.game WHERE dataset_id = %s", first) == [(0,)]
    agree(away, here)
    assert ids(away, "game") == ids(here, "game") == stored(phone, second, "game")


def test_rows_that_were_replaced_outlive_other_tombstones(gate, phone, tmp_path):
    first = phone.imported(backup(str(tmp_path / "a.db"), games=5, seed=1))["batchId"]
    phone.imported(backup(str(tmp_path / "b.db"), games=5, seed=2))
    one, kept = device(phone), len(stored(phone, first, "game"))
    deleted = sorted(ids(one, "game"))[0]
    one.db.execute("DELETE FROM game WHERE id = ?", (deleted,))
    one.sync()
    gate.sql("UPDATE bowling.game SET server_seq = 1 WHERE sync_scope = %s AND deleted", phone.space)
    gate.sql("SELECT tidegate.job_enqueue('sync.retention', '{}', '', NULL, NULL)")
    wait_until(lambda: gate.sql("SELECT count(*) FROM bowling.game WHERE id = %s", deleted) == [(0,)], 60, "the tombstone of what the device deleted to be removed")
    assert gate.sql("SELECT count(*) FROM bowling.game WHERE dataset_id = %s AND deleted", first)[0][0] == kept


def test_an_import_that_fails_changes_nothing_on_devices(phone):
    one = device(phone)
    at = one.control("last_sync_at")
    phone.failed(b"nothing of the kind" * 100, "INVALID_SQLITE", "not_a_sqlite_file")
    one.sync()
    assert one.sql("SELECT count(*) FROM game") == [(0,)] and one.control("last_sync_at") >= at


# ----------------------------------------------------------------------------------------------------------------------- plain SQL

def house(gate, space, name="Royal Lanes"):
    found = str(uuid.uuid4())
    gate.sql("INSERT INTO bowling.house (id, sync_scope, name, name_key) VALUES (%s, %s, %s, lower(%s))", found, space, name, name)
    return found


def test_what_sql_writes_reaches_devices(gate, phone):
    one = device(phone)
    found = house(gate, phone.space)
    agree(one)
    assert one.sql("SELECT id, name FROM house") == [(found, "Royal Lanes")]
    gate.sql("UPDATE bowling.house SET location = 'Paris' WHERE id = %s", found)
    agree(one)
    assert one.sql("SELECT location FROM house") == [("Paris",)]
    gate.sql("DELETE FROM bowling.house WHERE id = %s", found)
    agree(one)
    assert one.sql("SELECT count(*) FROM house") == [(0,)] and gate.sql("SELECT deleted FROM bowling.house WHERE id = %s", found) == [(True,)]


def test_the_last_write_wins_between_sql_and_a_device(gate, phone):
    found = house(gate, phone.space)
    slow, fast = device(phone), device(phone, skew_us=30_000_000)
    slow.db.execute("UPDATE house SET location = 'earlier'")
    fast.db.execute("UPDATE house SET location = 'from a clock that is fast'")
    fast.sync()
    gate.sql("UPDATE bowling.house SET location = 'SQL' WHERE id = %s", found)
    agree(slow, fast)
    assert slow.sql("SELECT location FROM house") == fast.sql("SELECT location FROM house") == [("SQL",)]
    slow.db.execute("UPDATE house SET location = 'later'")
    agree(slow, fast)
    assert gate.sql("SELECT location FROM bowling.house WHERE id = %s", found) == [("later",)]


def test_a_transaction_of_sql_has_one_number_and_is_not_missed(gate, phone):
    """A device that syncs while a transaction of SQL is open gets its rows afterwards; a push of the same space waits for it."""
    one = device(phone)
    with psycopg.connect(gate._conninfo("tidegate")) as connection:
        for n in range(3):
            connection.execute("INSERT INTO bowling.pattern (id, sync_scope, name, name_key) VALUES (gen_random_uuid(), %s, %s, %s)", (phone.space, f"p{n}", f"p{n}"))
        connection.execute("UPDATE bowling.pattern SET length = 40 WHERE sync_scope = %s", (phone.space,))
        one.sync()
        assert one.sql("SELECT count(*) FROM pattern") == [(0,)]
        one.db.execute("INSERT INTO pattern (id, name, name_key) VALUES (?, 'Shark', 'shark')", (str(uuid.uuid4()),))
        waited = []

        def commit():
            waited.extend(wait_until(lambda: gate.sql("SELECT 1 FROM pg_stat_activity WHERE %s = ANY (pg_blocking_pids(pid))", connection.info.backend_pid), 20, "a push"))
            connection.commit()
        commits = threading.Thread(target=commit)
        commits.start()
        one.sync()
        commits.join()
        assert waited, "expected the push to wait for the transaction"
    agree(one)
    assert one.sql("SELECT name, length FROM pattern ORDER BY name") == [("Shark", None), ("p0", 40), ("p1", 40), ("p2", 40)]
    assert gate.sql("SELECT count(DISTINCT server_seq) FROM bowling.pattern WHERE sync_scope = %s AND name <> 'Shark'", phone.space) == [(1,)]


def test_what_would_leave_devices_behind_is_refused(gate, phone):
    found = house(gate, phone.space)
    for change, code in (("sync_scope = 'elsewhere'", "42501"), ("id = gen_random_uuid()", "TG409")):
        with pytest.raises(psycopg.Error) as refused:
            gate.sql(f"UPDATE bowling.house SET {change} WHERE id = %s RETURNING 1", found)
        assert refused.value.sqlstate == code


def test_houses_made_by_a_device_and_by_an_import_are_one(gate, phone, tmp_path):
    one = device(phone)
    phone.imported(backup(str(tmp_path / "a.db"), games=5, seed=1))
    one.db.execute("INSERT INTO house (id, name, name_key, location) VALUES (?, 'Royal Lanes', 'royal lanes', 'mine')", (str(uuid.uuid4()),))
    agree(one)
    assert one.sql("SELECT count(*), max(location) FROM house WHERE name_key = 'royal lanes'") == [(1, "mine")]
    assert one.sql("SELECT count(*) FROM game WHERE house_id NOT IN (SELECT id FROM house)") == [(0,)]


# ------------------------------------------------------------------------------------------------------------------- several apps

def test_the_app_must_be_named(gate, phone):
    expect_problem(gate.api("POST", "/api/sync", json={}, token=phone.token), 404, "unknown_app")
    assert gate.api("POST", "/api/sync", json={}, token=gate.token(role="member", sub=phone.sub, space=phone.space, app="bowling")).status_code == 200
    for app in ("tunes", "bowling", "venue"):
        assert gate.api("GET", f"/api/sync/schema?app={app}", token=phone.token).status_code == 200


# --------------------------------------------------------------------------------------------------------------------- migration

SHAPE = """SELECT table_name, column_name, data_type, is_nullable, collation_name, coalesce(column_default, '') FROM information_schema.columns WHERE table_schema = 'bowling'
	UNION ALL SELECT tablename::text, indexdef, '', '', '', '' FROM pg_indexes WHERE schemaname = 'bowling'
	UNION ALL SELECT tgrelid::regclass::text, pg_get_triggerdef(oid), '', '', '', '' FROM pg_trigger WHERE NOT tgisinternal AND tgrelid::regclass::text LIKE 'bowling.%'
	UNION ALL SELECT tablename::text, policyname::text || qual || coalesce(with_check, ''), '', '', '', '' FROM pg_policies WHERE schemaname = 'bowling'
	UNION ALL SELECT conrelid::regclass::text, pg_get_constraintdef(oid), '', '', '', '' FROM pg_constraint WHERE connamespace = 'bowling'::regnamespace AND contype = 'c'"""


def test_tables_made_before_they_were_synced(fresh_gate):
    gate = fresh_gate
    shape = sorted(gate.sql(SHAPE))
    phone = Phone(gate)
    with open(os.path.join(REPOSITORY, "tests", "lib", "bowling_before_sync.sql"), encoding="utf-8") as file:
        old = file.read()
    gate.kill("pool")
    with psycopg.connect(gate._conninfo("tidegate"), autocommit=True) as connection:
        connection.execute("DROP SCHEMA bowling CASCADE")
        connection.execute("SET ROLE tidegate_owner")
        connection.execute(old)
        connection.execute("DELETE FROM tidegate.migration WHERE path LIKE '%0016-%'")
        now, replaced = str(uuid.uuid4()), str(uuid.uuid4())
        connection.execute("RESET ROLE")
        connection.execute("SET session_replication_role = replica")
        connection.execute("INSERT INTO tidegate.dataset (space, owner, profile, batch_id, previous_id) VALUES (%s, %s, 'bowling', %s, %s)", (phone.space, phone.sub, now, replaced))
        connection.execute("INSERT INTO bowling.house (space, name, name_key) VALUES (%s, 'Royal', 'royal')", (phone.space,))
        for batch, name in ((now, "New"), (replaced, "Old")):
            connection.execute("INSERT INTO bowling.ball (id, space, dataset_id, source_id, name, name_key) VALUES (gen_random_uuid(), %s, %s, '1', %s, 'x')", (phone.space, batch, name))
    gate.run("migrate")
    gate.run("migrate")
    assert sorted(gate.sql(SHAPE)) == shape
    gate.start_pool()
    wait_until(gate._answers, 30, "a healthy instance")
    one = device(phone)
    assert one.sql("SELECT name FROM house") == [("Royal",)] and one.sql("SELECT name FROM ball") == [("New",)]
    agree(one)
    one.db.execute("UPDATE ball SET brand = 'Storm'")
    agree(one)
    assert gate.sql("SELECT name, brand, deleted FROM bowling.ball ORDER BY name") == [("New", "Storm", False), ("Old", None, True)]
