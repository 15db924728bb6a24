"""What is told of backups, and how: messages for chats, failures in a row and their end, clocks, heartbeats; and that none of it is lost with a process."""
import email.utils
import http.server
import json
import os
import re
import shutil
import sqlite3
import subprocess
import threading
import time

import pytest

import receiver as answers
from backups import Backups, making
from instance import BUILD, REPOSITORY, expect_problem, wait_until
from receiver import Receiver, verify
from webhooks import OPEN, PATIENCE

HOOKS = "/api/webhooks"
make = pytest.fixture(making)


@pytest.fixture
def receive():
    made = []

    def start(backups, answer=None, **options):
        made.append(Receiver(backups and backups.instance, answer, **options))
        return made[-1]
    yield start
    for receiver in made:
        receiver.stop()


def hook(backups, receiver, events=("backup.*",), status=201, **fields):
    answer = backups.api("POST", HOOKS, json={"url": receiver.url, "events": list(events), **fields})
    assert answer.status_code == status, answer.text
    return answer.json()


def calls(receiver, count):
    wait_until(lambda: len(receiver.calls) >= count, PATIENCE, f"{count} calls")
    return [json.loads(call.body) for call in receiver.calls]


def fail(backups):
    """A run in which no source is there."""
    backups.run(status=4)


@pytest.fixture
def failing(make):
    """One database whose file is not there."""
    backups = make({}, **OPEN)
    backups.sources = [{"name": "git_stats", "path": backups.path("git_stats")}]
    backups.write_sources()
    return backups


# ------------------------------------------------------------------------------------------------------------------ chats

def test_discord_and_slack(failing, receive):
    """One event to three endpoints: each gets its form and language; nothing signs what no service would verify."""
    standard, discord, slack = receive(failing), receive(failing, answers.status(204)), receive(failing)
    signed = hook(failing, standard)
    made = hook(failing, discord, format="discord", language="fr")
    assert (made["format"], made["language"]) == ("discord", "fr")
    made = hook(failing, slack, format="slack")
    assert (made["format"], made["language"]) == ("slack", None)
    fail(failing)
    calls(standard, 1)
    event = verify(signed["secret"], standard.calls[0].headers, standard.calls[0].body)
    assert event["type"] == "backup.failed" and event["data"]["failures"] == [{"database": "git_stats", "error": "source_missing", "inARow": 1}]
    message = calls(discord, 1)[0]
    embed = message["embeds"][0]
    assert embed["title"] == "Échec de sauvegarde" and embed["color"] == 0xef4444 and message["allowed_mentions"] == {"parse": []}
    assert embed["fields"][-1] == {"name": "Bases de données en échec", "value": "• git\\_stats \\: Le fichier de la base de données est absent.", "inline": False}
    assert embed["footer"]["text"].endswith(standard.calls[0].headers["webhook-id"]) and embed["timestamp"] == event["timestamp"]
    attachment = calls(slack, 1)[0]["attachments"][0]
    texts = [block["text"]["text"] for block in attachment["blocks"] if "text" in block]
    assert texts[0] == "Backup failed" and texts[-1] == "Failed databases\n• git_stats: The database file is not there."
    assert all(block["text"]["type"] == "plain_text" for block in attachment["blocks"] if "text" in block)
    for receiver in (discord, slack):
        headers = receiver.calls[0].headers
        assert headers["content-type"] == "application/json" and not [name for name in headers if name.startswith("webhook-")]


def test_format_and_language(make, receive):
    """They can be changed; what is none is refused; without a language of its own an endpoint has that of the configuration."""
    backups = make({"shop": 3}, webhooks__language="fr", **OPEN)
    receiver = receive(backups)
    for field, value in (("format", "irc"), ("format", None), ("format", 7), ("language", "de"), ("language", ["en"])):
        answer = backups.api("POST", HOOKS, json={"url": receiver.url, "events": ["*"], field: value})
        assert expect_problem(answer, 400, "invalid_field")["errors"][0]["field"] == field
    made = hook(backups, receiver, ("webhook.test",))
    assert (made["format"], made["language"]) == ("standard", None)

    def change(**fields):
        answer = backups.api("PATCH", f"{HOOKS}/{made['id']}", json=fields)
        assert answer.status_code == 200, answer.text
        assert backups.api("POST", f"{HOOKS}/{made['id']}/test", json={}).status_code == 202
        return answer.json()
    assert change(format="slack")["format"] == "slack"
    assert calls(receiver, 1)[0]["attachments"][0]["blocks"][0]["text"]["text"] == "Essai"
    assert change(language="en")["language"] == "en"
    assert calls(receiver, 2)[1]["attachments"][0]["blocks"][0]["text"]["text"] == "Test"
    assert (lambda m: (m["format"], m["language"]))(change(format="discord", language=None)) == ("discord", None)
    assert calls(receiver, 3)[2]["embeds"][0]["title"] == "Essai"
    change(format="standard")
    calls(receiver, 4)
    verify(made["secret"], receiver.calls[3].headers, receiver.calls[3].body)


def test_success_only_by_choice(make, receive):
    """An endpoint hears of successes when its filter names them."""
    backups = make({"shop": 3}, **OPEN)
    quiet, curious = receive(backups), receive(backups)
    hook(backups, quiet, ("backup.failed", "backup.stale", "backup.size_anomaly", "backup.recovered"))
    hook(backups, curious, ("backup.completed",), format="discord")
    backups.run()
    embed = calls(curious, 1)[0]["embeds"][0]
    fields = {field["name"]: field["value"] for field in embed["fields"]}
    assert embed["color"] == 0x22c55e and fields["Databases"] == "1/1" and fields["Trigger"] == "by hand" and fields["Size"].endswith("B")
    assert quiet.calls == [] and not backups.rows("SELECT 1 FROM tidegate.webhook_delivery WHERE state = 'pending'")


def test_rate_limit_of_a_chat(failing, receive):
    """429 with Retry-After, as Discord has it: nothing more until then, and the message comes."""
    receiver = receive(failing, answers.first(1, answers.status(429, b'{"retry_after": 1.0}', Retry_After="1")))
    hook(failing, receiver, format="discord")
    fail(failing)
    first, second = calls(receiver, 2)[:2]
    assert first == second and receiver.calls[1].at - receiver.calls[0].at >= 1


def test_a_message_survives_its_sender(failing, receive):
    """kill -9 of every worker while the service has not answered: the alert comes again, the same."""
    receiver = receive(failing, answers.first(1, answers.never))
    hook(failing, receiver, format="slack")
    fail(failing)
    calls(receiver, 1)
    failing.instance.kill("work")
    wait_until(lambda: failing.rows("UPDATE tidegate.job SET run_at = now() WHERE state = 'ready' AND run_at > now() RETURNING 1") and False or len(receiver.calls) > 1,
               PATIENCE, "the alert to come again")
    assert len({call.body for call in receiver.calls}) == 1


# ------------------------------------------------------------------------------------------------------------------ in a row

def test_three_in_a_row(make):
    """Every third failure of a database says so; its end is told to those who heard of it, and nothing is made of what a person cancelled."""
    backups = make({"shop": 3, "users": 3})
    path = backups.path("shop")
    os.rename(path, path + ".away")
    for _ in range(7):
        backups.run(status=3)
    told = backups.told("backup.failed")
    assert [event["failures"][0]["inARow"] for event in told] == [1, 2, 3, 4, 5, 6, 7]
    assert [event.get("escalation") for event in told] == [None, None, [{"database": "shop", "inARow": 3}], None, None, [{"database": "shop", "inARow": 6}], None]
    assert told[0]["total"] == 2 and told[0]["successful"] == 1 and told[0]["trigger"] == "manual" and told[0]["bytes"] > 0
    backups.rows("UPDATE tidegate.backup_result SET error = 'cancelled' WHERE database = 'shop' AND started_at = (SELECT max(started_at) FROM tidegate.backup_result WHERE database = 'shop') RETURNING 1")
    os.rename(path + ".away", path)
    backups.run()
    recovered = backups.told("backup.recovered")
    assert [(event["database"], event["after"], event["failures"]) for event in recovered] == [("shop", "failures", 6)]
    os.rename(path, path + ".away")
    backups.run(status=3)
    os.rename(path + ".away", path)
    backups.run()
    assert backups.told("backup.failed")[-1]["failures"][0]["inARow"] == 1 and len(backups.told("backup.recovered")) == 1, "one failure is no alarm, and its end none either"


def test_no_longer_stale(make):
    backups = make({"shop": 3})
    backups.job("backup.tick")
    backups.rows("UPDATE tidegate.backup_schedule SET since = since - interval '2 days' RETURNING 1")
    backups.job("backup.tick")
    assert [event["database"] for event in backups.told("backup.stale")] == ["shop"] and backups.told("backup.recovered") == []
    backups.run()
    backups.job("backup.tick")
    backups.job("backup.tick")
    assert backups.told("backup.recovered") == [{"database": "shop", "after": "stale"}]


# ------------------------------------------------------------------------------------------------------------------ clocks

@pytest.fixture(scope="module")
def shifted(tmp_path_factory):
    """The environment of a process whose clock is off by so many seconds."""
    library = str(tmp_path_factory.mktemp("clock") / "clock_shift.so")
    subprocess.run(["cc", "-D_GNU_SOURCE", "-shared", "-fPIC", "-O1", "-o", library, os.path.join(REPOSITORY, "tests", "lib", "clock_shift.c")], check=True)
    for folder in (os.path.dirname(library), os.path.dirname(os.path.dirname(library)), os.path.dirname(os.path.dirname(os.path.dirname(library)))):
        os.chmod(folder, 0o755)
    shared = f"/tmp/clock_shift-{os.getpid()}.so"  # where the workers' user can read it
    shutil.copy(library, shared)
    os.chmod(shared, 0o755)
    yield lambda seconds: {**os.environ, "LD_PRELOAD": shared, "CLOCK_SHIFT": str(seconds), "ASAN_OPTIONS": "verify_asan_link_order=0:" + os.environ.get("ASAN_OPTIONS", "")}
    os.remove(shared)


def clock_job(backups, environment=None):
    """One backup.clock, by a worker of that environment."""
    instance = backups.instance
    backups.rows("SELECT tidegate.job_enqueue('backup.clock', '{}', '', 'backup.clock', NULL)")
    worker = subprocess.Popen([instance.path("bin", "tidegate"), "--config", instance.path("tidegate.ini"), "work"], env=environment, stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=instance.path("run"), **instance._as(instance.service_user))
    try:
        wait_until(lambda: not backups.rows("SELECT 1 FROM tidegate.job WHERE kind = 'backup.clock'"), 30, "backup.clock to end")
    finally:
        worker.terminate()
        worker.wait()


def test_the_database_has_another_time(make, shifted):
    """Told once when clocks differ, and once when they agree again; doctor says it too."""
    backups = make({"shop": 1}, worker__processes=0)
    clock_job(backups)
    assert backups.told("backup.clock_skew") == []
    clock_job(backups, shifted(100))
    clock_job(backups, shifted(100))
    told = backups.told("backup.clock_skew")
    assert len(told) == 1 and told[0]["clock"] == "database" and told[0]["host"] and -101 <= told[0]["seconds"] <= -99 and told[0]["limit"] == 5
    instance = backups.instance
    done = subprocess.run([instance.path("bin", "tidegate"), "--config", instance.path("tidegate.ini"), "doctor"], capture_output=True, text=True, env=shifted(-100),
                          cwd=instance.path("run"), **instance._as(instance.service_user))
    assert re.search("WRONG  the clock of the database is (99|100) s ahead of that of this machine", done.stdout), done.stdout + done.stderr
    clock_job(backups)
    assert [(event["after"], event["clock"]) for event in backups.told("backup.recovered")] == [("clock_skew", "database")]
    assert "ok     clocks of this machine and the database agree" in backups.instance.run("doctor", check=False).stdout


@pytest.fixture
def store_of_another_time():
    """An object store that has nothing, and the wrong time."""
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self):
            self.send_response(404)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_GET(self):
            self.send_response(200)
            body = b'<?xml version="1.0"?><ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>'
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def date_time_string(self, timestamp=None):
            return email.utils.formatdate(time.time() + server.shift, usegmt=True)

        def log_message(self, *_):
            pass
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.shift = 0
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_the_store_has_another_time(make, store_of_another_time):
    backups = make({"shop": 1}, worker__processes=0, storage__driver="s3", storage__endpoint=f"http://127.0.0.1:{store_of_another_time.server_address[1]}", storage__bucket="b")
    clock_job(backups)
    assert backups.told("backup.clock_skew") == []
    store_of_another_time.shift = -300
    clock_job(backups)
    clock_job(backups)
    told = backups.told("backup.clock_skew")
    assert len(told) == 1 and told[0]["clock"] == "storage" and -301 <= told[0]["seconds"] <= -298
    assert "s behind that of this machine" in backups.instance.run("doctor", check=False).stdout
    store_of_another_time.shift = 0
    clock_job(backups)
    assert [(event["after"], event["clock"]) for event in backups.told("backup.recovered")] == [("clock_skew", "storage")]


# ------------------------------------------------------------------------------------------------------------------ heartbeats

def begin(backups, *names):
    """A run as the schedule begins it; its id."""
    return backups.rows("SELECT run_id::text FROM tidegate.backup_begin('operations', 'scheduled', NULL, %s::text[], 3)", list(names))[0][0]


def scheduled(backups, *names):
    run = begin(backups, *names)
    backups.wait_ended()
    return run


def beats(receiver, count):
    wait_until(lambda: len(receiver.calls) >= count, PATIENCE, f"{count} heartbeats, there are {[call.path for call in receiver.calls]}")
    return [(call.path, call.body.decode()) for call in receiver.calls]


def heart(make, receive, files, answer=None, **options):
    """An instance whose heartbeats come to a receiver, which is there first (without TLS: an address of this machine that is listed)."""
    receiver = receive(None, answer, tls=False)
    return make(files, **OPEN, **{name: text.replace("URL", receiver.url) for name, text in options.items()}), receiver


def test_heartbeats(make, receive):
    """Start and end of every run of the schedule, with its id; a run by hand says nothing. Its secret stands in no log."""
    backups, receiver = heart(make, receive, {"shop": 3}, backups__heartbeat="URL/0f6cabb6-secret/")
    backups.run()
    lock = sqlite3.connect(backups.path("shop"), isolation_level=None)
    lock.execute("PRAGMA locking_mode = EXCLUSIVE")
    lock.execute("BEGIN EXCLUSIVE")
    good = begin(backups, "shop")
    beats(receiver, 1)
    lock.close()
    backups.open_up()
    backups.wait_ended()
    assert beats(receiver, 2) == [(f"/hook/0f6cabb6-secret/start?rid={good}", "started"), (f"/hook/0f6cabb6-secret?rid={good}", "completed: 1 of 1 databases")]
    os.remove(backups.path("shop"))
    bad = scheduled(backups, "shop")
    wait_until(lambda: (f"/hook/0f6cabb6-secret/fail?rid={bad}", "failed: 0 of 1 databases") in beats(receiver, 3), PATIENCE, "the failure to be told")
    assert all(call.method == "POST" for call in receiver.calls)
    assert "0f6cabb6-secret" not in backups.instance.logs() and "(set)" in backups.instance.run("config", "--print").stdout


def test_heartbeats_of_three_urls(make, receive):
    """A service with a convention of its own; what is not given is not called."""
    backups, receiver = heart(make, receive, {"shop": 3}, backups__heartbeat_success="URL/up?token=1", backups__heartbeat_fail="URL/down?token=1")
    scheduled(backups, "shop")
    os.remove(backups.path("shop"))
    scheduled(backups, "shop")
    assert [path for path, _ in beats(receiver, 2)] == ["/hook/up?token=1", "/hook/down?token=1"]


def test_heartbeats_are_tried_again(make, receive):
    """A service that fails is called again by the queue, also by another worker; what was overtaken meanwhile is not told."""
    backups, receiver = heart(make, receive, {"shop": 3}, answers.first(2, answers.status(503)), backups__heartbeat="URL?key=1")
    first = scheduled(backups, "shop")
    beats(receiver, 2)
    backups.instance.kill("work")
    second = scheduled(backups, "shop")

    def soon():
        backups.rows("UPDATE tidegate.job SET run_at = now() WHERE kind = 'backup.heartbeat' AND state = 'ready' RETURNING 1")
        return not backups.rows("SELECT 1 FROM tidegate.job WHERE kind = 'backup.heartbeat'")
    wait_until(soon, PATIENCE, "every heartbeat to be told or dropped")
    paths = [path for path, _ in beats(receiver, 3)]
    assert f"/hook?key=1&rid={second}" in paths and f"/hook/start?key=1&rid={first}" == paths[0]
    assert [path for path in paths[2:] if first in path and "start" in path] == [], "the run had ended before its start could be told"


@pytest.mark.parametrize("option,url", [("heartbeat", "http://example.com/x"), ("heartbeat_start", "nonsense"), ("heartbeat_success", "https://10.0.0.1/x"),
                                        ("heartbeat_fail", "https://user:pw@example.com/"), ("heartbeat", "https://example.com:8443/secret")])
def test_heartbeat_urls_that_are_refused(option, url):
    """At the start, by the name of the option alone."""
    done = subprocess.run([os.path.join(BUILD, "tidegate"), "work"], capture_output=True, text=True, timeout=60,
                          env={**os.environ, "TIDEGATE_CONFIG": "/dev/null", "TIDEGATE_SCHEMA_DIR": os.path.join(REPOSITORY, "schema"), f"TIDEGATE_BACKUPS_{option.upper()}": url})
    assert done.returncode == 78 and f"backups.{option} must be" in done.stderr and url not in done.stderr, done.stderr
