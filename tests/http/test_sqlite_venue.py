"""A lounge's own database becomes rows of the app venue: every table, every column, references by the new ids."""
import sqlite3

import pytest

import lounge
from phone import Phone

TARGETS = {"settings": "setting", "packages": "package", "ps_stations": "station", "ps_menu_items": "lounge_menu_item", "ps_sessions": "session",
           "ps_session_segments": "session_segment", "ps_session_orders": "session_order", "ps_session_charges": "session_charge", "ps_session_transfers": "session_transfer",
           "fnb_sales": "sale", "expenses": "expense", "unified_daily_stats": "daily_stat", "printed_vouchers": "printed_voucher", "voucher_usage": "voucher_usage"}


@pytest.fixture
def phone(gate):
    return Phone(gate)


def content(path, *changes):
    with sqlite3.connect(path) as db:
        for change in changes:
            db.execute(change)
    db.close()
    with open(path, "rb") as file:
        return file.read()


def lounge_file(tmp_path, *changes):
    tmp_path.mkdir(exist_ok=True)
    path = str(tmp_path / "lounge.db")
    lounge.write(path, sessions=30, seed=2)
    return path, content(path, *changes)


def test_every_table_and_column_arrives(phone, tmp_path):
    path, data = lounge_file(tmp_path)
    state = phone.imported(data, profile="venue")
    assert state["warnings"] == [], f"expected no warning, got {state['warnings']}"
    db = sqlite3.connect(path)
    db.row_factory = sqlite3.Row
    for source, target in TARGETS.items():
        rows = {str(row[0]): dict(row) for row in db.execute(f"SELECT * FROM {source}")}
        items = {item["source_id"]: item for item in phone.data(state["batchId"], target)}
        assert set(items) == set(rows), f"expected the rows of {source}"
        assert state["summary"]["counts"]["refined"][target] == len(rows)
        for key, row in rows.items():
            for name, was in list(row.items())[1:]:
                now = items[key][name]
                if isinstance(now, bool):
                    now = int(now)
                if name.endswith("_at"):
                    assert (now is None) == (was is None), f"{source}.{name} of {key}: expected {was}, got {now}"
                elif name == "station_id" and source == "ps_stations" or not name.endswith("_id"):
                    assert now == was, f"{source}.{name} of {key}: expected {was!r}, got {now!r}"
    db.close()


def test_times_and_references(phone, tmp_path):
    state = phone.imported(lounge_file(tmp_path)[1], profile="venue")
    sessions = {item["source_id"]: item for item in phone.data(state["batchId"], "session")}
    stations = {item["id"]: item["source_id"] for item in phone.data(state["batchId"], "station")}
    order = next(item for item in phone.data(state["batchId"], "session_order") if item["source_id"] == "1")
    assert sessions["s1"]["started_at"].startswith("2025-10-09T09:53:20") and sessions["s10"]["ended_at"] is None
    assert stations[sessions["s1"]["station_id"]].startswith("st") and order["session_id"] == sessions["s1"]["id"]
    assert order["created_at"].startswith("2025-10-09T10:00:00")


def test_what_cannot_be_used_is_warned_of_and_stays_in_the_mirror(phone, tmp_path):
    _, data = lounge_file(tmp_path, "UPDATE ps_sessions SET started_at = 'yesterday' WHERE id = 's3'", "UPDATE ps_sessions SET station_id = 'nowhere' WHERE id = 's4'",
                          "UPDATE ps_stations SET hourly_rate = x'00' WHERE id = 'st1'", "UPDATE ps_sessions SET started_at = '2025-13-45' WHERE id = 's5'")
    state = phone.imported(data, profile="venue")
    found = {(w["code"], w["place"]): w["count"] for w in state["warnings"]}
    assert found == {("unexpected_value", "ps_sessions.started_at"): 2, ("value_missing", "ps_sessions"): 2, ("unknown_reference", "ps_sessions.station_id"): 1,
                     ("unexpected_value", "ps_stations.hourly_rate"): 1, ("unknown_reference", "ps_session_orders.session_id"): 2,
                     ("unknown_reference", "ps_session_segments.session_id"): 2}, f"got {found}"
    sessions = {item["source_id"]: item for item in phone.data(state["batchId"], "session")}
    assert "s3" not in sessions and sessions["s4"]["station_id"] is None
    segments = {item["source_id"]: item["session_id"] for item in phone.data(state["batchId"], "session_segment")}
    assert segments["3"] is None and segments["2"] == sessions["s2"]["id"]
    assert state["summary"]["counts"]["tables"]["ps_sessions"] == 30


def test_tables_that_are_not_there_are_empty_and_needed_ones_are_named(phone, tmp_path):
    _, data = lounge_file(tmp_path, "DROP TABLE voucher_usage")
    assert phone.data(phone.imported(data, profile="venue")["batchId"], "voucher_usage") == []
    _, data = lounge_file(tmp_path / "a", "DROP TABLE ps_stations")
    state = phone.failed(data, "INVALID_SCHEMA", "missing_tables", profile="venue")
    assert state["error"]["detail"] == {"tables": ["ps_stations"]}
    _, data = lounge_file(tmp_path / "b", "ALTER TABLE ps_sessions DROP COLUMN started_at")
    state = phone.failed(data, "INVALID_SCHEMA", "missing_columns", profile="venue")
    assert state["error"]["detail"] == {"columns": ["ps_sessions.started_at"]}
