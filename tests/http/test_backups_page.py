"""The page of backups and the guide for people: what anybody sees, what an administrator sees, strangers' texts in it, and every command of the guide run as it stands."""
import base64
import html.parser
import re
import subprocess

import pytest
import sqlite_dumps
from backups import Backups, SPACE, keys
from instance import wait_until

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)> & <b>Kunden</b> \u0007 [x](javascript:alert(3)) `rm -rf`"
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@pytest.fixture(scope="module")
def made():
    backups = Backups({"shop": 50, "users": 7})
    backups.sources[0]["description"] = HOSTILE
    backups.sources.append({"name": "gone", "path": "/nowhere/gone.db"})
    backups.write_sources()
    backups.api("POST", "/backups/trigger", json={"reason": HOSTILE.replace("\u0007", "")})
    backups.wait_ended()
    yield backups
    backups.stop()


@pytest.fixture
def backups(made, request):
    request.node.instances = [made.instance]
    return made


class Page(html.parser.HTMLParser):
    """Tags and texts of a page; every element that is opened is closed."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.attributes, self.text, self.links = [], set(), set(), "", []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attributes}
        self.links += [value for name, value in attributes if name == "href"]
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style" and data.strip():
            self.text += data + "\n"


def page(backups, path="/backups/", language="en", **options):
    headers = {"Accept": BROWSER, "Accept-Language": language, **options.pop("headers", {})}
    answer = backups.api("GET", path, headers=headers, **options)
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8" and answer.headers["Content-Language"] == language
    return answer, Page(answer.text)


def basic(token, name="anybody"):
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{token}".encode()).decode()}


def test_anybody(backups):
    """Programs get JSON, browsers a page; neither says what is backed up."""
    for accept in ("*/*", "application/json", "text/html;q=0, application/json"):
        answer = backups.api("GET", "/backups/", role=None, headers={"Accept": accept})
        assert answer.headers["Content-Type"].startswith("application/json") and "Accept" in answer.headers["Vary"]
    for path in ("/backups", "/backups/"):
        _, shown = page(backups, path, role=None)
        assert "Backups" in shown.text and "03:00" in shown.text and "UTC" in shown.text and "/api/openapi.yaml" in shown.links
        for word in ("shop", "users", "gone", "Kunden"):
            assert word not in shown.text
    _, shown = page(backups, role=None, language="fr")
    assert "Sauvegardes" in shown.text and "Prochain passage" in shown.text


def test_no_script_and_one_style(backups):
    """The policy allows the one style that is in the page, by its digest, and nothing else."""
    answer, shown = page(backups)
    assert "script" not in shown.tags and not {name for name in shown.attributes if name.startswith("on") or name == "style"}
    policy = answer.headers["Content-Security-Policy"]
    style = re.search(r"<style>(.*?)</style>", answer.text, re.S).group(1)
    import hashlib
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    assert "prefers-color-scheme:dark" in style and answer.headers["X-Content-Type-Options"] == "nosniff"
    other = backups.api("GET", "/backups/health", role=None)
    assert other.headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert backups.api("GET", "/nothing", role=None).headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"


def test_administrator(backups):
    """Databases with their age, runs, links to the guides; what strangers wrote is text."""
    answer, shown = page(backups)
    for word in ("shop", "users", "gone", "Last verified", "never", "The database file is not there.", "partly failed"):
        assert word in shown.text, f"{word} in {shown.text}"
    assert re.search(r"\b\d min\n", shown.text) and shown.text.count(f"{backups.rows('SELECT (now() AT TIME ZONE %s)::date', 'UTC')[0][0]} ") >= 3
    assert "/backups/restore-guide/shop" in shown.links and not [link for link in shown.links if not link.startswith("/")]
    assert {"script", "img", "b"}.isdisjoint(shown.tags)
    flat = re.sub(r"\s+", " ", shown.text)
    assert re.sub(r"\s+", " ", HOSTILE.replace("\u0007", "\ufffd")) in flat, flat
    assert HOSTILE.replace("\u0007", "") in shown.text
    _, shown = page(backups, language="fr")
    assert "Le fichier de la base de données est absent." in shown.text and "échec partiel" in shown.text


def test_signing_in(backups):
    """A browser asks for the token; it counts as a password where a person reads, and nowhere else."""
    asked = backups.api("GET", "/backups/?details", role=None, headers={"Accept": BROWSER})
    assert asked.status_code == 401 and asked.headers["WWW-Authenticate"].startswith('Basic realm="Tidegate')
    assert backups.api("GET", "/backups/restore-guide/shop", role=None).headers["WWW-Authenticate"] == "Bearer"
    token = backups.instance.token("admin", "admin@ops", space=SPACE)
    _, shown = page(backups, role=None, headers=basic(token))
    assert "users" in shown.text
    assert "zstd -dc shop.sql.zst" in backups.api("GET", "/backups/restore-guide/shop", role=None, headers={"Accept": BROWSER, **basic(token)}).text
    for path in ("/backups/status", "/backups/list", "/backups/download/2026-01-01/shop", "/api/webhooks"):
        assert backups.api("GET", path, role=None, headers={"Accept": BROWSER, **basic(token)}).status_code == 401
    assert backups.api("POST", "/backups/trigger", role=None, headers=basic(token), json={}).status_code == 401
    for wrong in (basic("nonsense"), basic(""), {"Authorization": "Basic %%%"}, {"Authorization": "Basic " + base64.b64encode(b"no colon").decode()}, {"Authorization": "Basic "}):
        assert backups.api("GET", "/backups/", role=None, headers={"Accept": BROWSER, **wrong}).status_code == 401
    member = backups.instance.token("member", "m@ops", space=SPACE)
    other = backups.instance.token("admin", "a@other", space="elsewhere")
    for refused in (member, other):
        answer = backups.api("GET", "/backups/", role=None, headers={"Accept": BROWSER, **basic(refused)})
        assert answer.status_code == 403 and "shop" not in answer.text


# ------------------------------------------------------------------------------------------------------------------ the guide

def guide(backups, name, accept="text/markdown", language="en"):
    answer = backups.api("GET", f"/backups/restore-guide/{name}", headers={"Accept": accept, "Accept-Language": language})
    assert answer.status_code == 200, answer.text
    answer.encoding = "utf-8"
    return answer


def blocks(text):
    return re.findall(r"^```sh\n(.*?)^```$", text, re.S | re.M)


def shell(backups, commands, folder, **environment):
    token = backups.instance.token("admin", "admin@ops", space=SPACE)
    commands = commands.replace("curl -fL", f"curl -sfL --cacert {backups.instance.path('cert.pem')}")
    return subprocess.run(["bash", "-euo", "pipefail", "-c", commands], cwd=folder, check=True, capture_output=True, text=True,
                          env={"TOKEN": token, "PATH": f"{sqlite_dumps.BUILD}:/usr/bin:/bin", **environment}).stdout


def follow(backups, name, folder):
    """Every command of a guide, in a folder with nothing but a key; each way is gone by itself."""
    fetch, *ways, place = blocks(guide(backups, name).text)
    assert len(ways) == 2 and "OK" in shell(backups, fetch, folder)
    new = folder / f"{name}.restored.db"
    for number, way in enumerate(ways):
        shell(backups, way, folder)
        sqlite_dumps.same(backups.path(name), new)
        if number == 0:
            new.unlink()
    (folder / "live.db").write_bytes(b"what was there")
    (folder / "live.db-wal").write_bytes(b"beside it")
    shell(backups, place, folder, DB=str(folder / "live.db"))
    sqlite_dumps.same(backups.path(name), folder / "live.db")
    assert (folder / "live.db.before").read_bytes() == b"what was there" and (folder / "live.db-wal.before").exists() and not (folder / "live.db-wal").exists()


def test_guide_as_markdown(backups, tmp_path):
    answer = guide(backups, "shop")
    assert answer.headers["Content-Type"] == "text/markdown; charset=utf-8"
    assert guide(backups, "shop", BROWSER).headers["Content-Type"] == "text/plain; charset=utf-8", "a browser shows it instead of saving it"
    assert guide(backups, "shop", "*/*").headers["Content-Type"].startswith("application/json")
    french = guide(backups, "shop", language="fr")
    assert french.headers["Content-Language"] == "fr" and "# Restaurer `shop`" in french.text and blocks(french.text) == blocks(answer.text)
    prose = re.sub(r"^```sh\n.*?^```$", "", answer.text, flags=re.S | re.M)
    assert not re.search(r"(?<!\\)<", prose) and "\\<script\\>" in prose and "](javascript" not in prose, "a description is text"
    assert "Markdown" not in prose and "100 rows" in prose
    follow(backups, "shop", tmp_path)


@pytest.mark.parametrize("level", [0, 3])
def test_guide_of_encrypted_backups(request, tmp_path, level):
    """With age, zstd and sqlite3 alone; without zstd where nothing is compressed."""
    public = keys(tmp_path, "key.txt")
    backups = Backups({"shop": 30}, backups__recipients=public[0], backups__zstd_level=level)
    request.node.instances = [backups.instance]
    try:
        backups.run()
        text = guide(backups, "shop").text
        assert "age -d -i key.txt" in text and ("zstd -d" in text) == (level > 0)
        follow(backups, "shop", tmp_path)
    finally:
        backups.stop()


def test_guide_of_postgresql(request, tmp_path):
    """Into a database of another name, by the tools of PostgreSQL."""
    backups = Backups({}, postgresql=True)
    request.node.instances = [backups.instance]
    try:
        backups.run()
        fetch, way = blocks(guide(backups, "tidegate").text)
        assert "OK" in shell(backups, fetch, tmp_path)
        shell(backups, way, tmp_path, PGHOST=backups.instance.path("pgsocket"), PGUSER="postgres", PGPASSWORD=backups.instance.password)
        made = backups.instance.sql("SELECT count(*) FROM tidegate.backup_run", database="tidegate_restored")
        assert made == [(1,)]
        wait_until(lambda: backups.api("GET", "/backups/", role=None, headers={"Accept": BROWSER}).status_code == 200, 10, "the page")
    finally:
        backups.stop()
