"""`tidegate jobs`, the command line of the queue, against a real instance: tables, JSON lines, exit statuses."""
import json
import os
import pty
import subprocess

import pytest

from space import Space
from test_jobs import add, events, failed_import, look

DONE, USAGE, REFUSED, UNREACHABLE = 0, 64, 65, 69


@pytest.fixture
def space(gate):
    return Space(gate)


@pytest.fixture
def cli(space, tmp_path):
    """cli(words…): the finished process, with .lines of --json."""
    token = tmp_path / "token"
    token.write_text(space.token + "\n")

    def command(*words, url=space.gate.url):
        return [space.gate.path("bin", "tidegate"), "jobs", *map(str, words), "--url", url, "--token-file", str(token), "--cacert", space.gate.path("cert.pem")]

    def run(*words, status=DONE, **options):
        done = subprocess.run(command(*words, **options), capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL)
        assert done.returncode == status, f"expected the exit status {status}, got {done.returncode}: {done.stdout} {done.stderr}"
        if "--json" in words:
            done.lines = [json.loads(line) for line in done.stdout.splitlines()]
        return done
    run.command, run.token = command, token
    return run


@pytest.fixture
def three(space):
    """A waiting job, a dead letter and one that is due in a far future."""
    yield add(space), add(space, state="failed", attempt=8, last_error="io"), add(space, run_at="2099-01-01", kind="test.later")
    space.gate.sql("DELETE FROM tidegate.job WHERE space = %s", space.name)


def test_list_as_rows(cli, three):
    rows = [line.split() for line in cli("list").stdout.splitlines()]
    assert [row[:4] for row in rows] == [[str(three[2]), "scheduled", "test.later", "0/8"], [str(three[1]), "dead", "test.elsewhere", "8/8"],
                                         [str(three[0]), "ready", "test.elsewhere", "0/8"]]
    assert rows[1][-1] == "io" and rows[0][-2:] == ["-", "-"]
    assert [line.split()[0] for line in cli("list", "--state", "dead").stdout.splitlines()] == [str(three[1])]
    assert [line.split()[0] for line in cli("list", "--kind", "test.later").stdout.splitlines()] == [str(three[2])]
    assert cli("list", "--kind", "none & such=1#").stdout == ""


def test_list_by_pages_and_its_limit(cli, space):
    made = [add(space, run_at="2099-01-01") for _ in range(230)]
    assert [line["id"] for line in cli("list", "--limit", "1000", "--json").lines] == made[::-1], "expected all pages one after the other"
    done = cli("list", "--limit", "205", "--json")
    assert [line["id"] for line in done.lines] == made[::-1][:205] and "more" in done.stderr
    assert len(cli("list").stdout.splitlines()) == 100
    space.gate.sql("DELETE FROM tidegate.job WHERE space = %s", space.name)


def test_a_table_on_a_terminal(cli, three):
    ours, theirs = pty.openpty()
    done = subprocess.run(cli.command("list"), stdin=subprocess.DEVNULL, stdout=theirs, stderr=subprocess.PIPE, timeout=120)
    os.close(theirs)
    text = os.read(ours, 65536).decode()
    os.close(ours)
    lines = text.splitlines()
    assert done.returncode == DONE and lines[0].split()[:4] == ["id", "state", "kind", "attempts"] and len(lines) == 4
    column = lines[0].index("kind")
    assert all(line[column:].startswith("test.") for line in lines[1:]), f"expected the kinds under their heading, got {text}"


def test_show(cli, space):
    identifier, job = failed_import(space)
    text = cli("show", job).stdout
    assert f"job         {job}\n" in text and "kind        import.inspect\n" in text and f"subject     {identifier}\n" in text
    assert "last error  no_rows: The file has headings but no rows.\n" in text and " attempt 1 no_rows\n" in text
    assert cli("show", job, "--json").lines == [look(space, job)]


def test_retry_and_cancel(cli, space, three):
    waiting, dead, later = three
    assert cli("retry", dead).stdout == f"{dead} ready\n"
    assert cli("cancel", dead, later).stdout == f"{dead} cancelled\n{later} cancelled\n"
    assert events(look(space, dead)) == ["redriven", "cancelled"]
    running = add(space, state="running", lease_until="2099-01-01")
    assert cli("cancel", running).stdout == f"{running} running, asked to stop at its next batch\n"
    done = cli("cancel", waiting, "--json")
    assert done.lines == [look(space, waiting)] and done.lines[0]["state"] == "cancelled"


def test_a_refusal_of_one_job_does_not_stop_the_others(cli, space, three):
    waiting, dead, later = three
    done = cli("retry", waiting, dead, 9223372036854775807, status=REFUSED)
    assert done.stdout == f"{dead} ready\n"
    assert done.stderr.splitlines() == [f"tidegate: job {waiting}: The job is not in a state that allows this.",
                                        "tidegate: job 9223372036854775807: There is nothing here, or it is not yours."]
    done = cli("retry", waiting, "--json", status=REFUSED)
    assert done.lines == [{"id": waiting, "error": {"code": "job_wrong_state", "message": "The job is not in a state that allows this."}}]


def test_a_job_of_an_import_is_retried_as_by_the_import(cli, space):
    identifier, job = failed_import(space)
    assert cli("retry", job).stdout == f"{job} ready\n"
    assert space.wait(identifier, "failed")["error"]["code"] == "no_rows"
    assert events(look(space, job)) == ["dead", "redriven", "dead"]


@pytest.mark.parametrize("words", [[], ["list", "1"], ["show"], ["retry"], ["explode", "1"], ["show", "x"], ["show", "0"], ["show", "01"], ["retry", "1", "--state", "dead"],
                                   ["list", "--limit", "0"], ["list", "--limit", "x"], ["list", "--nonsense"], ["list", "--state"], ["list", "--json", "--json"]])
def test_wrong_usage(cli, words):
    done = cli(*words, status=USAGE)
    assert done.stderr.startswith("tidegate: ") and not done.stdout


def test_what_the_server_refuses(cli, space):
    assert "allowed" in cli("list", "--state", "failed", status=REFUSED).stderr
    cli.token.write_text(space.gate.token("member", space.sub, space.name))
    assert "role" in cli("list", status=REFUSED).stderr
    cli.token.unlink()
    assert "cannot be read" in cli("list", status=USAGE).stderr


def test_a_server_that_is_not_there(cli):
    assert cli("list", status=UNREACHABLE, url="https://localhost:1").stderr
    assert len(cli("retry", 1, 2, status=UNREACHABLE, url="https://localhost:1").stderr.splitlines()) == 1, "expected it to be asked once"


def test_the_help_is_in_the_manual(gate):
    text = gate.run("jobs", "--help").stdout
    statuses = [int(line.split()[0]) for line in text[text.index("exit status"):].splitlines()[1:]]
    assert statuses == [DONE, USAGE, REFUSED, UNREACHABLE]
    with open(os.path.join(os.path.dirname(__file__), "..", "..", "docs", "operations.md"), encoding="utf-8") as file:
        chapter = file.read().partition("## Dead letters")[2].partition("\n## ")[0]
    assert all(f"| {status} |" in chapter for status in statuses) and all(f"tidegate jobs {word}" in chapter for word in ("list", "show", "retry", "cancel"))
