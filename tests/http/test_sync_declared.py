"""Sync: an operator's own tables, from a declaration alone; its next version; and a database that has drifted from it."""
import json
import os
import re

import pytest

from instance import REPOSITORY, Instance, expect_problem, unique, wait_until
from sync_apps import Declarations, club
from sync_client import Device
from test_sync import User, new_id, now


class Member(User):
    def __init__(self, gate, space):
        super().__init__(gate, "club", space=space)

    def version(self, version):
        answer = self.gate.api("GET", f"/api/sync/schema?app=club&from={version}", token=self.token)
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture(scope="module")
def declarations():
    made = Declarations()
    made.write(club())
    yield made
    made.remove()


@pytest.fixture(scope="module")
def club_instance(declarations):
    instance = Instance(schema__dir=declarations.folder).start()
    yield instance
    instance.stop()


@pytest.fixture
def club_gate(club_instance, request):
    request.node.instances = [club_instance]
    return club_instance


@pytest.fixture
def space():
    return unique("space")


def row(table, row_id, modified=None, deleted=False, **data):
    return {"table": table, "rowId": row_id, "data": data, "deleted": deleted, "lastModifiedAt": modified or now()}


def test_a_circle_of_references_in_any_order(club_gate, space):
    member = Member(club_gate, space)
    member.push(row("member", "ann", email="a@x", mentor_id="bob", team_id=1, country=None), row("member", "bob", email="b@x", mentor_id="ann", team_id=1, country=None),
                row("team", 1, name="Reds", captain_id="ann"))
    got = member.sync(device="other")["changes"]
    assert sorted((c["table"], c["rowId"]) for c in got) == [("member", "ann"), ("member", "bob"), ("team", "1")]


def test_a_circle_with_one_missing_falls_whole(club_gate, space):
    member = Member(club_gate, space)
    answer = member.sync([row("member", "ann", email="a@x", mentor_id="nobody", team_id=1, country=None), row("team", 1, name="Reds", captain_id="ann"),
                          row("member", "eve", email="e@x", mentor_id="eve", team_id=None, country=None)])
    assert sorted((r["rowId"], r["code"]) for r in answer["rejected"] if r["table"] == "member") == [("ann", "parent_missing")]
    assert [r["code"] for r in answer["rejected"]] == ["parent_missing"] * 2
    assert [c["rowId"] for c in member.sync(device="other")["changes"]] == ["eve"], "a row may refer to itself"


def test_a_chain_that_is_too_long_to_guess(club_gate, space):
    """Hundreds of rows, each the child of the next, the last of a row that does not exist."""
    member = Member(club_gate, space)
    chain = [row("member", f"m{n:03}", email=f"{n}@x", mentor_id=f"m{n + 1:03}", team_id=None, country=None) for n in range(300)]
    answer = member.sync([*chain, row("team", 7, name="Blues", captain_id=None)])
    assert len(answer["rejected"]) == 300 and [c["rowId"] for c in member.sync(device="other")["changes"]] == ["7"]


def test_a_key_of_four_columns_and_every_type(club_gate, space):
    member = Member(club_gate, space)
    season = new_id()
    key = {"team_id": 2, "season": season.upper(), "round": 2**53 - 1, "player": 'O"Neill / é'}
    values = {"points": 0.1, "money": "12345678901234567890.10", "won": 1, "day": "2026-02-28", "at": "2026-01-01T00:00:00Z", "extra": '{"a": [1, null]}', "select": "x"}
    member.push(row("team", 2, name="Greens", captain_id=None), row("score", json.dumps(key), **key, **values))
    got = [c for c in member.sync(device="other")["changes"] if c["table"] == "score"][0]
    assert got["rowId"] == json.dumps({**key, "season": season}, separators=(",", ":"), ensure_ascii=False)
    assert got["data"] == {**key, **values, "season": season, "at": "2026-01-01T00:00:00.000000Z"}
    member.push(row("comment", new_id(), **{**key, "season": season}, text="well played"))
    answer = member.sync([row("comment", new_id(), **{**key, "season": new_id()}, text="no such score")])
    assert [r["code"] for r in answer["rejected"]] == ["parent_missing"]
    bad = [("money", "1e9999"), ("points", "abc"), ("day", "2026-02-30"), ("at", "noon"), ("extra", "{"), ("won", 2), ("money", True), ("extra", '"\\u0000"')]
    answer = member.sync([row("score", json.dumps({**key, "round": n}), **{**key, "round": n}, **{**values, name: value}) for n, (name, value) in enumerate(bad)])
    assert len(answer["rejected"]) == len(bad), f"expected each to be rejected, got {answer['rejected']}"


def test_a_table_of_keys_alone(club_gate, space):
    member = Member(club_gate, space)
    people = [row("member", name, email=f"{name}@x", mentor_id=None, team_id=None, country=None) for name in ("x", "y")]
    member.push(*people, row("link", '{"a":"x","b":"y"}', a="x", b="y"))
    assert member.push(row("link", '{"a":"x","b":"y"}', now(1), deleted=True))["rejected"] == []
    got = [(c["rowId"], c["deleted"]) for c in member.sync(device="other")["changes"] if c["table"] == "link"]
    assert got == [('{"a":"x","b":"y"}', True)]


def test_everybody_of_a_space_shares_its_rows_and_nobody_else(club_gate, space):
    ann, bob, stranger = Member(club_gate, space), Member(club_gate, space), Member(club_gate, unique("elsewhere"))
    seen = bob.sync()["timestamp"]
    ann.push(row("team", 1, name="Reds", captain_id=None))
    assert [c["rowId"] for c in bob.sync(since=seen)["changes"]] == ["1"]
    assert stranger.sync()["changes"] == []
    page = ann.sync(pageSize=1)
    expect_problem(bob.raw({"pullCursor": page["nextCursor"]}) if page["nextCursor"] else bob.raw({"pullCursor": "x"}), 400, "invalid_cursor")


def test_twins_made_offline_are_merged_and_children_follow(club_gate, space):
    ann, bob = (Device(club_gate, Member(club_gate, space).token, "club") for _ in range(2))
    ann.sql("INSERT INTO member (id, email) VALUES ('a1', 'same@x')")
    bob.sql("INSERT INTO member (id, email) VALUES ('b1', 'same@x'), ('b2', 'other@x')")
    bob.sql("UPDATE member SET mentor_id = 'b1' WHERE id = 'b2'")
    bob.sql("INSERT INTO link (a, b) VALUES ('b1', 'b2')")
    for device in (ann, bob, ann, bob, ann):
        device.sync()
    assert bob.merged == [{"table": "member", "rowId": "b1", "mergedInto": "a1"}]
    assert ann.content() == bob.content()
    assert ann.sql("SELECT id, mentor_id FROM member ORDER BY id") == [("a1", None), ("b2", "a1")] and ann.sql("SELECT a, b FROM link") == [("a1", "b2")]
    assert ann.check()["tables"] == ann.checksums()


def test_schema_and_types_of_an_app(club_gate, space):
    schema = Member(club_gate, space).version(0)
    names = [table["name"] for table in schema["tables"]]
    assert schema["scope"] == "space" and names.index("score") < names.index("comment") and names.index("team") < names.index("score")
    assert [t["key"] for t in schema["tables"] if t["name"] == "score"] == [["team_id", "season", "round", "player"]]
    types = club_gate.run("schema", "--types", "club").stdout
    assert "export interface Score {" in types and "won: 0 | 1;" in types and 'score: ["team_id", "season", "round", "player"],' in types
    assert json.loads(club_gate.run("schema", "--json", "club").stdout)["tables"] == schema["tables"]
    assert club_gate.run("schema", "--sqlite", "nowhere", check=False).returncode == 64
    statements = [s + ";" for s in schema["sqlite"]["statements"]]
    assert club_gate.run("schema", "--sqlite", "club").stdout.splitlines() == statements


def test_the_next_version_migrates_and_older_clients_go_on(club_gate, declarations, space):
    user = Member(club_gate, space)
    old = Device(club_gate, user.token, "club")
    old.sql("INSERT INTO team (id, name) VALUES (1, 'Reds')")
    old.sync()
    declarations.write(club(2))
    doctor = club_gate.run("doctor", check=False)
    assert doctor.returncode == 1 and "club.team.colour is missing" in doctor.stdout + doctor.stderr, f"expected the drift to be explained, got {doctor.stdout}"
    refused = club_gate.run("serve", check=False)
    assert refused.returncode == 78 and "drifted" in refused.stderr, f"expected no start on a database that has drifted, got {refused.returncode} {refused.stderr}"
    club_gate.run("migrate")
    assert club_gate.run("migrate").stdout == "", "a second time changes nothing"
    club_gate._end("pool", 15)
    club_gate.start_pool()
    wait_until(club_gate._answers, 30, "the new pool to answer")
    # the older client goes on, and what it does not know of stays
    fresh = Device(club_gate, user.token, "club")
    fresh.sync()
    assert fresh.sql("SELECT name, colour FROM team") == [("Reds", "white")]
    fresh.sql("UPDATE team SET colour = 'red'")
    fresh.sync()
    old.sync()
    old.sql("UPDATE team SET name = 'The Reds'")
    old.sync()
    assert user.sync([], device="x", status=200)["schemaVersion"] == 2, "an older client is told that there is a newer version"
    fresh.sync()
    assert fresh.sql("SELECT name, colour FROM team") == [("The Reds", "red")]
    # the older client is brought up: DDL from the server, then one sync that says where it came from
    step = user.version(1)
    assert step["migration"] == {"from": 1, "to": 2, "tables": ["ground"], "columns": [{"table": "team", "column": "colour"}]}
    for statement in step["sqlite"]["statements"]:
        old.db.execute(statement)
    answer = user.raw({"lastSyncAt": old.control("last_sync_at"), "schemaVersion": 2, "migration": {"from": 1}}).json()
    assert [(c["table"], c["data"]["colour"]) for c in answer["changes"]] == [("team", "red")], "rows of tables that grew are told again"
    old.schema, old.tables = user.version(0), {t["name"]: t for t in user.version(0)["tables"]}
    old.apply(answer)
    old.sql("UPDATE team SET colour = 'crimson'")
    old.sql("INSERT INTO ground (id, team_id) VALUES (?, 1)", new_id())
    old.sync()
    fresh.sync()
    assert fresh.sql("SELECT colour FROM team") == [("crimson",)] and fresh.content() == old.content()


def test_drift_is_explained(club_gate):
    before = club_gate.run("doctor", check=False).stdout
    assert "drifted" not in before, f"expected no drift before, got {before}"
    for change, back, word in [
        ("ALTER TABLE club.score ALTER COLUMN points TYPE text", "ALTER TABLE club.score ALTER COLUMN points TYPE double precision USING points::double precision", "club.score.points"),
        ("ALTER INDEX club.member_email RENAME TO member_email_2", "ALTER INDEX club.member_email_2 RENAME TO member_email", "club.member_email"),
        ("ALTER TABLE club.link DROP CONSTRAINT link_pkey, ADD PRIMARY KEY (sync_scope, b, a)", "ALTER TABLE club.link DROP CONSTRAINT link_pkey, ADD PRIMARY KEY (sync_scope, a, b)", "club.link"),
    ]:
        club_gate.sql(change)
        try:
            said = club_gate.run("doctor", check=False)
            assert "drifted" in said.stdout + said.stderr and word in said.stdout + said.stderr, f"expected {word} to be named, got {said.stdout}{said.stderr}"
        finally:
            club_gate.sql(back)


def test_codes_and_statuses_are_documented(club_gate):
    """docs/sync.md and docs/openapi.yaml name every code of a rejected row, and docs/sync.md every exit status of the command."""
    def text(*parts):
        with open(os.path.join(REPOSITORY, *parts), encoding="utf-8") as file:
            return file.read()
    codes = re.findall(r'^REJECTION\([A-Z_]+, "([a-z_]+)"', text("handlers", "sync", "rejections.def"), re.M)
    guide, contract = text("docs", "sync.md"), text("docs", "openapi.yaml")
    listed = contract[contract.index("    SyncRejection:"):contract.index("    SyncSchema:")]
    assert len(codes) > 10
    for code in codes:
        assert f"`{code}`" in guide and re.search(rf"\b{code}\b", listed), f"{code} is missing in docs/sync.md or docs/openapi.yaml"
    statuses = re.findall(r"^  (\d+) ", club_gate.run("sync", "--help").stdout.split("exit status")[1], re.M)
    assert statuses == re.findall(r"^\| (\d+) \|", guide, re.M), "docs/sync.md and the help of tidegate sync differ in their exit statuses"
