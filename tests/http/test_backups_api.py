"""/backups: what administrators of one space see and start, what others and outsiders do not, and bad input in every address."""
import subprocess

import pytest
import requests
import sqlite_dumps
from backups import Backups, SPACE, keys
from instance import wait_until


@pytest.fixture(scope="module")
def made():
    backups = Backups({"shop": 50, "users": 7})
    backups.sources[0]["priority"] = "critical"
    backups.write_sources()
    backups.run()
    yield backups
    backups.stop()


@pytest.fixture
def backups(made, request):
    request.node.instances = [made.instance]
    return made


def api(backups, method, path, role="admin", space=SPACE, **options):
    token = backups.instance.token(role, f"{role}@ops", space=space) if role else None
    return backups.instance.api(method, path, token=token, **options)


def ok(answer, status=200):
    assert answer.status_code == status, answer.text
    return answer.json() if answer.content else None


def today(backups):
    return str(backups.rows("SELECT (now() AT TIME ZONE 'UTC')::date")[0][0])


ADDRESSES = [("GET", "/backups/status"), ("GET", "/backups/list"), ("GET", "/backups/metrics"), ("POST", "/backups/trigger"), ("GET", "/backups/runs/00000000-0000-4000-8000-000000000000"),
             ("GET", "/backups/download/2026-01-01/shop"), ("GET", "/backups/weekly/2026-W01"), ("POST", "/backups/links"), ("GET", "/backups/restore-guide/shop"),
             ("POST", "/backups/verify/2026-01-01/shop"), ("GET", "/backups/compare/shop?from=2026-01-01&to=2026-01-02")]


@pytest.mark.parametrize("method,path", ADDRESSES)
def test_walls(backups, method, path):
    assert api(backups, method, path, role=None).status_code == 401
    assert api(backups, method, path, role="member").status_code == 403
    other = api(backups, method, path, space="elsewhere", **({"json": {"path": f"/backups/download/{today(backups)}/shop", "expiresIn": 60}} if "links" in path else {}))
    assert "shop" not in other.text.replace(path, "") and "daily/" not in other.text, "another space sees nothing"
    assert other.status_code in (200, 404, 409)


def test_open_pages_tell_nothing(backups):
    for path in ("/backups", "/backups/"):
        info = ok(api(backups, "GET", path, role=None))
        assert info["schedule"]["daily"] == "03:00" and "shop" not in str(info)
    assert ok(api(backups, "GET", "/backups/health", role=None)) == {"status": "healthy", "version": info["version"]}


def test_status(backups):
    status = ok(api(backups, "GET", "/backups/status"))
    assert status["currentStatus"] == "idle" and status["nextScheduled"].endswith("T03:00:00Z") and status["recentRuns"][-1]["state"] == "completed"
    shop, users = status["databases"]
    assert (shop["name"], shop["priority"], users["priority"]) == ("shop", "critical", "normal") and shop["rows"] == 100 and shop["ageSeconds"] >= 0
    assert shop["sizes"][0] == shop["size"] and status["storage"]["totalBackups"] >= 2


def test_metrics(backups):
    text = api(backups, "GET", "/backups/metrics").text
    assert 'backup_rows{db="shop"} 100\n' in text and 'backup_last_failed{db="users"} 0\n' in text
    proven = int(text.split('backup_last_verified_timestamp_seconds{db="shop"} ')[1].split()[0])
    assert proven == backups.rows("SELECT max(extract(epoch FROM verified_at))::bigint FROM tidegate.backup_object WHERE database = 'shop'")[0][0]


def families(text):
    """{name: {labels: value}} of Prometheus text, each family announced once and whole."""
    found, current = {}, None
    for line in text.splitlines():
        if line.startswith("# HELP "):
            current = line.split()[2]
            assert current not in found, f"{current} stands there twice"
            found[current] = {}
        elif not line.startswith("#"):
            name, value = line.rsplit(" ", 1)
            assert name.split("{")[0] == current, f"{line} after {current}"
            found[current][name[len(current):]] = float(value)
    return found


def test_metrics_of_the_machine(backups):
    """GET /metrics says the same of backups as /backups/metrics does, and more than that."""
    mine = families(api(backups, "GET", "/backups/metrics").text)
    all_of_it = api(backups, "GET", "/metrics", role=None).text
    shared = families("\n".join(line for line in all_of_it.splitlines() if line.startswith("backup_") or line.startswith("# HELP backup_")))
    assert shared.pop("backup_sources_readable") == {"": 1}
    assert shared == mine and "tidegate_up 1" in all_of_it
    assert mine["backup_last_success_timestamp_seconds"]['{db="shop"}'] > 1.7e9 and mine["backup_failures_in_a_row"]['{db="users"}'] == 0
    assert mine["backup_inventory_objects"]['{state="verified"}'] >= 2 and mine["backup_inventory_bytes"][""] > 0 and mine["backup_run_running"][""] == 0
    assert set(mine["backup_duration_seconds"]) == {'{db="shop"}', '{db="users"}'}
    other = families(api(backups, "GET", "/backups/metrics", space="elsewhere").text)
    assert other["backup_rows"] == {} and sum(other["backup_inventory_objects"].values()) == 0, "nothing of another space"


def test_list_and_download(backups, tmp_path):
    everything = ok(api(backups, "GET", "/backups/list"))["items"]
    one = ok(api(backups, "GET", f"/backups/list?db=users&kind=daily&from={today(backups)}&to={today(backups)}&limit=1"))["items"][0]
    assert one in everything and one["verifiedAt"] and not one["encrypted"] and one["rows"] == 14
    assert ok(api(backups, "GET", "/backups/list?kind=weekly"))["items"] == []
    assert ok(api(backups, "GET", "/backups/list?to=2020-01-01"))["items"] == []
    walked, cursor = [], ""
    while cursor is not None:
        page = ok(api(backups, "GET", "/backups/list?limit=1" + (f"&cursor={cursor}" if cursor else "")))
        walked += page["items"]
        cursor = page["nextCursor"]
    assert [item["id"] for item in walked] == [item["id"] for item in everything]
    answer = api(backups, "GET", one["downloadUrl"])
    assert answer.status_code == 302 and "no-store" in answer.headers["Cache-Control"]
    assert "Authorization" not in answer.headers["Location"]
    data = backups.instance.session.get(answer.headers["Location"]).content
    (tmp_path / "users.sql.zst").write_bytes(data)
    assert subprocess.run(["sha256sum", tmp_path / "users.sql.zst"], capture_output=True, text=True).stdout.split()[0] == one["sha256"]
    part = backups.instance.session.get(answer.headers["Location"], headers={"Range": "bytes=0-9"})
    assert part.status_code == 206 and part.content == data[:10]
    assert backups.instance.session.get(answer.headers["Location"], headers={"Range": f"bytes={len(data)}-"}).status_code == 416
    sqlite_dumps.restore(tmp_path / "users.sql.zst", tmp_path / "users.db")
    sqlite_dumps.same(backups.path("users"), tmp_path / "users.db")


def test_links(backups):
    link = ok(api(backups, "POST", "/backups/links", json={"path": f"/backups/download/{today(backups)}/shop", "expiresIn": 60}))
    assert requests.get(link["url"], verify=backups.instance.path("cert.pem")).status_code == 200
    assert requests.get(link["url"].replace("shop", "users"), verify=backups.instance.path("cert.pem")).status_code == 403, "it is for this object alone"
    for body in ({"path": "/etc/passwd", "expiresIn": 60}, {"path": "/backups/download/x", "expiresIn": 60}, {"path": "/backups/download/2026-01-01/../shop", "expiresIn": 60},
                 {"path": f"/backups/download/{today(backups)}/shop", "expiresIn": 5}, {"path": f"/backups/download/{today(backups)}/shop", "expiresIn": 10**9}, {}):
        assert api(backups, "POST", "/backups/links", json=body).status_code in (400, 404, 422)


def test_guide_works_as_it_stands(backups, tmp_path):
    """The commands of the guide, typed as they are, in a folder with the download."""
    guide = ok(api(backups, "GET", "/backups/restore-guide/shop"))
    token = backups.instance.token("admin", "admin@ops", space=SPACE)
    download = guide["download"].replace("curl -fL", f"curl -sfL --cacert {backups.instance.path('cert.pem')}")
    subprocess.run(["bash", "-c", download], cwd=tmp_path, check=True, env={"TOKEN": token, "PATH": "/usr/bin:/bin"})
    for method, program in (("tidegate", str(sqlite_dumps.BUILD)), ("stock", "")):
        for step in guide["methods"][method]["steps"]:
            subprocess.run(["bash", "-c", step], cwd=tmp_path, check=True, capture_output=True, env={"PATH": f"{program}:/usr/bin:/bin"})
        sqlite_dumps.same(backups.path("shop"), tmp_path / "shop.restored.db")
        (tmp_path / "shop.restored.db").unlink()


@pytest.mark.parametrize("path,status", [
    ("/backups/download/2026-01-01/nothing", 404), ("/backups/download/2020-01-01/shop", 404), ("/backups/download/2026-02-30/shop", 400), ("/backups/download/latest/shop", 400),
    ("/backups/download/..%2F..%2Fetc/shop", 404), ("/backups/download/2026-01-01/..%2Fshop", 404), ("/backups/download/2026-01-01/shop%00", 400),
    ("/backups/download/%2e%2e/shop", 400), ("/backups/download/2026-01-01/%252e%252e", 404), ("/backups/weekly/2026-W99", 404), ("/backups/weekly/..%2Fx", 404),
    ("/backups/restore-guide/nothing", 404), ("/backups/compare/shop", 400), ("/backups/compare/shop?from=2026-13-01&to=2026-01-01", 400), ("/backups/compare/x?from=2026-01-01&to=2026-01-01", 404),
    ("/backups/list?limit=NaN", 400), ("/backups/list?from=yesterday", 400), ("/backups/list?kind=hourly", 400), ("/backups/list?cursor=x", 400),
    ("/backups/runs/1", 404), ("/backups/nonsense", 404)])
def test_bad_addresses(backups, path, status):
    answer = api(backups, "GET", path)
    assert answer.status_code == status, answer.text
    assert "passwd" not in answer.text and answer.headers["Content-Type"].startswith("application/problem+json")


def test_what_there_is(backups):
    """404 says what exists, in both languages."""
    answer = api(backups, "GET", "/backups/download/2020-01-01/shop", headers={"Accept-Language": "fr"})
    assert answer.json()["available"] == today(backups) and "sauvegarde" in answer.json()["detail"]
    assert api(backups, "GET", "/backups/download/2020-01-01/nothing").json()["available"] == "shop, users"
    answer = api(backups, "GET", f"/backups/download/{today(backups)}/shop?table=nothing")
    assert answer.status_code == 404 and answer.json()["code"] == "backup_table_not_found" and answer.json()["available"] == "thing, tag"


def test_trigger(backups):
    wrong = api(backups, "POST", "/backups/trigger", json={"databases": ["shop", "nothing"]})
    assert wrong.status_code == 404 and wrong.json()["available"] == "shop, users"
    for body in ({"databases": []}, {"databases": "shop"}, {"databases": [7]}, {"reason": "x" * 501}):
        assert api(backups, "POST", "/backups/trigger", json=body).status_code in (400, 422)
    first = api(backups, "POST", "/backups/trigger", json={"databases": ["shop"], "reason": "before the update"}, headers={"Idempotency-Key": "k1"})
    run = ok(first, 202)["runId"]
    assert ok(api(backups, "POST", "/backups/trigger", json={"databases": ["shop"], "reason": "before the update"}, headers={"Idempotency-Key": "k1"}), 202)["runId"] == run
    shown = wait_until(lambda: (lambda r: r if r["state"] != "running" else None)(ok(api(backups, "GET", f"/backups/runs/{run}"))), 30, "the run to end")
    assert shown["reason"] == "before the update" and [r["database"] for r in shown["results"]] == ["shop"] and shown["results"][0]["verifiedAt"]


def test_verify_and_compare(backups):
    day = today(backups)
    compared = ok(api(backups, "GET", f"/backups/compare/shop?from={day}&to={day}"))
    assert {t["state"] for t in compared["tables"]} == {"same"} and not compared["schemaChanged"]
    asked = ok(api(backups, "POST", f"/backups/verify/{day}/users", json={}), 202)
    backups.rows("UPDATE tidegate.backup_object SET verified_at = now() - interval '1 day' WHERE id = %s RETURNING 1", asked["id"])
    wait_until(lambda: not backups.rows("SELECT 1 FROM tidegate.job WHERE kind = 'backup.verify'"), 30, "the test restore to end")
    path = backups.blob(asked["objectKey"])
    data = bytearray(open(path, "rb").read())
    data[20] ^= 1
    backups.instance.replace_object(asked["objectKey"], bytes(data))
    ok(api(backups, "POST", f"/backups/verify/{day}/users", json={}), 202)
    found = wait_until(lambda: [item for item in ok(api(backups, "GET", "/backups/list?db=users"))["items"] if item["error"]], 30, "the damage to be found")
    assert found[0]["error"]["code"] == "object_damaged" and found[0]["verifiedAt"] is None


def test_encrypted_needs_a_key(request, tmp_path):
    public = keys(tmp_path, "operator")
    backups = Backups({"shop": 5}, backups__recipients=public[0])
    request.node.instances = [backups.instance]
    try:
        backups.run()
        answer = api(backups, "POST", f"/backups/verify/{today(backups)}/shop", json={})
        assert answer.status_code == 409 and answer.json()["code"] == "backup_key_missing"
        guide = ok(api(backups, "GET", "/backups/restore-guide/shop"))
        assert guide["encrypted"] and guide["methods"]["stock"]["steps"][0].startswith("age -d -i key.txt shop.sql.zst.age | zstd -d | sqlite3 -bail")
    finally:
        backups.stop()


def test_unhealthy(request):
    backups = Backups({"shop": 5})
    request.node.instances = [backups.instance]
    try:
        assert ok(api(backups, "GET", "/backups/health", role=None), 503)["status"] == "unhealthy"
        with open(backups.instance.path("sources.json"), "w", encoding="utf-8") as file:
            file.write("{ not json")
        text = api(backups, "GET", "/metrics", role=None).text
        assert "backup_sources_readable 0\n" in text and "backup_rows" not in text and "tidegate_up 1" in text
        for method, path in (("GET", "/backups/status"), ("POST", "/backups/trigger")):
            answer = api(backups, method, path)
            assert answer.status_code == 409 and answer.json()["code"] == "backup_configuration"
    finally:
        backups.stop()
