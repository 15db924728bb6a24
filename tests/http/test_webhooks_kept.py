"""What of webhooks is kept and shown: nothing secret, for no longer than asked; numbers for who watches; words for every code."""
import os
import re

import pytest

import receiver as answers
from instance import REPOSITORY, unique, wait_until
from receiver import HOOKS, verify


def read(*path):
    with open(os.path.join(REPOSITORY, *path), encoding="utf-8") as file:
        return file.read()


def test_no_secret_is_ever_shown_or_logged(hooks):
    value, token = unique("hdr"), unique("urltoken")
    receiver = hooks.receiver(answers.first(1, answers.status(500)))
    made = hooks.add(receiver.url + f"/{token}/path?key={token}", headers={"Authorization": f"Bearer {value}"})
    rotated = hooks.hook("POST", f"/{made['id']}/rotate")
    delivery = hooks.test(made)
    hooks.ended(made, delivery)
    broken = hooks.add(f"https://nowhere.invalid/{token}?key={token}")
    hooks.attempted(broken, hooks.test(broken))
    hooks.hook_refused("POST", "", {"url": f"https://u:{token}@example.com/", "events": ["*"], "headers": {"A": value}}, 422, "webhook_url")
    hooks.hook_refused("PATCH", f"/{made['id']}", {"headers": {"webhook-id": value}}, 422, "webhook_header")
    assert receiver.calls[0].headers["authorization"].endswith(value)
    signature = receiver.calls[0].headers["webhook-signature"].split(" ")[0]
    shown = "".join(hooks.api("GET", HOOKS + path).text for path in ("", f"/{made['id']}", f"/{made['id']}/deliveries"))
    for secret in (made["secret"], rotated["secret"], made["secret"][6:], value):
        assert secret not in shown
    logs = {name: hooks.gate.log_text(name) for name in ("pool", "access", "nginx-error", "postgres") if os.path.exists(hooks.gate.path("log", f"{name}.log"))}
    assert made["id"] in logs["pool"], "expected the deliveries in the log"
    for name, text in logs.items():
        for secret in (made["secret"][6:], rotated["secret"][6:], value, token, signature):
            assert secret not in text, f"{name}.log holds {secret}"


def metric(gate, name):
    found = re.search(rf"^{re.escape(name)} (\d+)$", gate.api("GET", "/metrics", token=None).text, re.M)
    assert found, f"expected the metric {name}"
    return int(found.group(1))


def test_metrics(hooks):
    names = {outcome: f'tidegate_webhook_attempts_total{{outcome="{outcome}"}}' for outcome in ("succeeded", "retried", "failed")}
    names["disabled"] = "tidegate_webhook_endpoints_disabled_total"
    before = {outcome: metric(hooks.gate, name) for outcome, name in names.items()}
    made = hooks.add(hooks.receiver(answers.first(1, answers.status(500))), ["backup.failed"])
    hooks.ended(made, hooks.test(made))
    gone = hooks.add(hooks.receiver(answers.status(410)), ["backup.failed"])
    hooks.ended(gone, hooks.test(gone), "failed")
    for outcome in names:
        wait_until(lambda outcome=outcome: metric(hooks.gate, names[outcome]) > before[outcome], 20, f"{outcome} to be counted")
    paused = hooks.add("https://receiver.invalid/", ["offline.conflict"])
    hooks.gate.sql("UPDATE tidegate.webhook_endpoint SET paused_until = now() + interval '1 day' WHERE id = %s", paused["id"])
    hooks.emit(count=3)
    hooks.gate.sql("UPDATE tidegate.webhook_delivery SET created_at = now() - interval '1 hour' WHERE endpoint_id = %s", paused["id"])
    assert metric(hooks.gate, "tidegate_webhook_pending") >= 3 and metric(hooks.gate, "tidegate_webhook_oldest_pending_seconds") >= 3600
    hooks.hook("DELETE", f"/{paused['id']}", status=204)


def retain(gate):
    job = gate.sql("SELECT tidegate.job_enqueue('webhook.retention', '{}', '', NULL, NULL)")[0][0]
    wait_until(lambda: gate.sql("SELECT count(*) FROM tidegate.job_history WHERE id = %s AND state = 'done'", job)[0][0], 20, "the retention job to end")


def test_retention(hooks):
    gate, receiver = hooks.gate, hooks.receiver()
    made = hooks.add(receiver)
    old, young, pending, unheard = (hooks.emit()[0] for _ in range(4))
    hooks.came(receiver, [old, young, pending, unheard])
    wait_until(lambda: not hooks.deliveries(made, "pending"), 30, "all to be recorded")

    def age(event, days):
        key = event[4:]
        gate.sql("UPDATE tidegate.event SET created_at = created_at - make_interval(days => %s) WHERE replace(id::text, '-', '') = %s", days, key)
        gate.sql("UPDATE tidegate.webhook_delivery SET created_at = created_at - make_interval(days => %s), ended_at = ended_at - make_interval(days => %s) "
                 "WHERE replace(event_id::text, '-', '') = %s", days, days, key)
    for event, days in ((old, 31), (young, 29), (pending, 31), (unheard, 31)):
        age(event, days)
    gate.sql("UPDATE tidegate.webhook_delivery SET state = 'pending', ended_at = NULL, next_attempt_at = now() + interval '1 day' WHERE replace(event_id::text, '-', '') = %s", pending[4:])
    gate.sql("DELETE FROM tidegate.webhook_delivery WHERE replace(event_id::text, '-', '') = %s", unheard[4:])
    hooks.hook("POST", f"/{made['id']}/rotate")
    gate.sql("UPDATE tidegate.webhook_endpoint SET previous_until = now() - interval '1 second' WHERE id = %s", made["id"])
    retain(gate)
    left = {"evt_" + row[0] for row in gate.sql("SELECT replace(id::text, '-', '') FROM tidegate.event WHERE space = %s", hooks.name)}
    assert left == {young, pending}, "what is old and has ended goes, and what nobody heard of"
    assert {item["webhookId"] for item in hooks.deliveries(made)} == {young, pending}
    assert gate.sql("SELECT previous_secret FROM tidegate.webhook_endpoint WHERE id = %s", made["id"]) == [(None,)], "a secret that signs no more is forgotten"


# -------------------------------------------------------------------------------------------------------------------- the guide

def test_every_code_is_explained():
    codes = re.findall(r'^FAILURE\("(\w+)", "[^"]+", "[^"]+"\)', read("handlers", "webhooks", "failures.def"), re.M)
    guide = read("docs", "webhooks.md")
    assert len(codes) > 10
    assert [code for code in codes if f"| `{code}` |" not in guide and code != "internal"] == []


def test_every_type_is_listed():
    folder = os.path.join(REPOSITORY, "sql", "migrations")
    inserts = [text for name in sorted(os.listdir(folder)) for text in re.findall(r"INSERT INTO tidegate\.event_type VALUES(.*?);", read("sql", "migrations", name), re.S)]
    kinds = set(re.findall(r"'([a-z]+\.[a-z_]+)'", "".join(inserts)))
    assert len(kinds) >= 17
    guide, contract = read("docs", "webhooks.md"), read("docs", "openapi.yaml")
    listed = set(re.search(r"EventType:\n\s+enum: \[([^]]*)\]", contract).group(1).split(", "))
    assert listed == kinds and [kind for kind in kinds if f"`{kind}`" not in guide] == []
    said = {name.split(":")[0] for name in re.findall(r'^EVENT\("([^"]+)"', read("handlers", "webhooks", "events.def"), re.M)}
    assert said == kinds | {"*"}, "a sentence for every type, for those who read it in a chat"


def code_of(language):
    return re.search(rf"```{language}\n(.*?)```", read("docs", "webhooks.md"), re.S).group(1)


@pytest.mark.parametrize("language", ["python", "js"])
def test_the_verifiers_of_the_guide(hooks, language, tmp_path):
    """The ten lines that receivers are told to copy, run on what was really sent."""
    import json
    import subprocess
    receiver = hooks.receiver()
    made = hooks.add(receiver)
    hooks.hook("POST", f"/{made['id']}/rotate")  # two signatures
    hooks.ended(made, hooks.test(made))
    call = receiver.calls[0]
    verify(made["secret"], call.headers, call.body)
    tail = {"python": "import json, sys\ninput = json.load(sys.stdin)\nfor case in input:\n    print(bool(verify(case['secret'], case['headers'], case['body'].encode())))\n",
            "js": "for (const c of JSON.parse(require('fs').readFileSync(0))) console.log(verify(c.secret, c.headers, Buffer.from(c.body)));\n"}[language]
    program = tmp_path / ("verify.py" if language == "python" else "verify.js")
    program.write_text(code_of(language) + "\n" + tail)
    good = {"secret": made["secret"], "headers": call.headers, "body": call.body.decode()}
    cases = [good, {**good, "body": good["body"] + " "}, {**good, "headers": {**call.headers, "webhook-id": "evt_other"}},
             {**good, "headers": {**call.headers, "webhook-timestamp": str(int(call.headers["webhook-timestamp"]) - 301)}},
             {**good, "secret": "whsec_" + "A" * 43 + "="}, {**good, "headers": {**call.headers, "webhook-signature": "v1,"}}]
    command = ["/usr/bin/python3" if language == "python" else "node", str(program)]
    done = subprocess.run(command, input=json.dumps(cases), capture_output=True, text=True, check=True, timeout=60)
    assert [line.lower() for line in done.stdout.split()] == ["true"] + ["false"] * 5, done.stdout + done.stderr
