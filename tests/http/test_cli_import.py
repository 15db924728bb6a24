"""`tidegate import FILE`, the command line client, against a real instance: options, exit statuses, what it prints where."""
import json
import os
import pty
import subprocess
import threading

import pytest

from space import JOBS, Space, people, read_report, table
from test_import_xlsx import written

COMPLETE, PARTIAL, FAILED, USAGE, REFUSED, UNREACHABLE, NO_REPORT = 0, 3, 4, 64, 65, 69, 73
THREE = [["Mail", "Tél", "Qui"], ["a@example.com", "0612345678", "vera"], ["b@example.com", "0612345679", "paul"], ["c@example.com", "0612345670", "vera"]]


@pytest.fixture
def space(gate):
    return Space(gate)


@pytest.fixture
def cli(space, tmp_path):
    """cli(data, options…): writes the file and runs the command on it; the finished process, with .lines and .summary of --json."""
    token = tmp_path / "token"
    token.write_text(space.token + "\n")

    def command(path, *options):
        return [space.gate.path("bin", "tidegate"), "import", str(path), "--url", space.gate.url, "--token-file", str(token), "--cacert", space.gate.path("cert.pem"), *options]

    def run(data, *options, name="leads.csv"):
        path = tmp_path / name
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        done = subprocess.run(command(path, *options), capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL)
        if "--json" in options and done.stdout:
            done.lines = [json.loads(line) for line in done.stdout.splitlines()]
            done.summary = done.lines[-1]
            assert done.summary["event"] == "summary" and done.summary["exitStatus"] == done.returncode, f"expected the summary last, got {done.summary}"
        return done
    run.command, run.folder = command, tmp_path
    return run


def ended(done, status):
    assert done.returncode == status, f"expected the exit status {status}, got {done.returncode}: {done.stdout} {done.stderr}"
    return done


def jobs(space):
    return space.api("GET", JOBS).json()["items"]


# ------------------------------------------------------------------------------------------------------------------ what it says

def test_all_rows_in(cli, space):
    done = ended(cli(people(30)), COMPLETE)
    head, counts, *_ = done.stdout.splitlines()
    assert head.startswith("leads.csv: 30 rows in ") and counts == "  inserted 30, updated 0, skipped 0, invalid 0, failed 0"
    assert "\r" not in done.stderr and "\033" not in done.stderr, f"expected plain lines in a pipe, got {done.stderr!r}"
    assert any(line.startswith("  completed ") for line in done.stderr.splitlines()), f"expected a line per step, got {done.stderr!r}"
    assert len(space.leads()) == 30


def test_json_lines(cli, space):
    done = ended(cli(people(2000), "--json"), COMPLETE)
    assert done.stderr == "" and done.lines[0] == {"event": "upload", "fileName": "leads.csv", "fileSize": len(people(2000).encode())}
    looks = [line for line in done.lines if line["event"] == "progress"]
    assert [look["status"] for look in looks][-1] == "completed" and all({"id", "done", "total", "percent", "rowsPerSecond", "etaSeconds"} <= set(look) for look in looks)
    assert len({(look["status"], look["done"]) for look in looks}) == len(looks), "expected a line only when something moved"
    assert (done.summary["outcome"], done.summary["error"], done.summary["counts"]["inserted"]) == ("complete", None, 2000)
    assert done.summary["id"] == looks[0]["id"] == jobs(space)[0]["id"]


def test_a_bar_on_a_terminal(cli, space):
    path = cli.folder / "bar.csv"
    path.write_text(people(3000))
    ours, theirs = pty.openpty()
    shown = []

    def listen():
        try:
            while block := os.read(ours, 4096):
                shown.append(block)
        except OSError:
            pass  # the terminal is gone
    listener = threading.Thread(target=listen)
    listener.start()
    done = subprocess.run(cli.command(path), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=theirs, timeout=120)
    os.close(theirs)
    listener.join()
    os.close(ours)
    text = b"".join(shown).decode()
    assert done.returncode == 0 and b"3000 rows" in done.stdout
    assert "completed  [############################] 100 %" in text and "rows/s" in text, f"expected a bar, got {text!r}"


def test_help_names_every_option_and_status(gate):
    text = gate.run("import", "--help").stdout
    for word in ("--map FIELD=HEADING", "--sheet", "--encoding", "--delimiter", "--header-row", "--duplicates", "--key", "--assign", "--no-wait", "--json", "--error-report"):
        assert f"  {word}" in text, f"expected {word} in the help, got {text}"
    statuses = [line.split()[0] for line in text[text.index("exit status"):].splitlines()[1:]]
    assert [int(status) for status in statuses] == [COMPLETE, PARTIAL, FAILED, USAGE, REFUSED, UNREACHABLE, NO_REPORT]
    with open(os.path.join(os.path.dirname(__file__), "..", "..", "docs", "operations.md"), encoding="utf-8") as file:
        documented = file.read()
    assert all(f"| {status} |" in documented for status in statuses), "expected every exit status in docs/operations.md"


# --------------------------------------------------------------------------------------------------------------- what the file is

def test_columns_by_heading_and_by_number(cli, space):
    rows = [["X1", "X2", "Ville"], ["a@example.com", "0612345678", "Un commentaire"]]
    ended(cli(table(rows), "--map", "email=X1", "--map", "phone=2", "--map", "notes=Ville"), COMPLETE)
    assert space.leads("email, phone, notes, city") == [("a@example.com", "+33612345678", "Un commentaire", None)]


def test_a_field_without_a_column(cli, space):
    ended(cli(table([["Email", "Ville"], ["a@example.com", "Lyon"]]), "--map", "city="), COMPLETE)
    assert space.leads("email, city") == [("a@example.com", None)]


@pytest.mark.parametrize("options, said", [
    (["--map", "email=Courrier"], 'no heading "Courrier"'), (["--map", "email=9"], "Mail, Tél, Qui"), (["--map", "mail=Mail"], "it has: externalId, "),
    (["--map", "email=Mail", "--map", "phone=1"], "both email and phone"), (["--key", "notes"], "email, phone, externalId"),
    (["--assign", "by_column:Commercial"], 'no heading "Commercial"'), (["--target", "nothing", "--key", "email"], 'no target "nothing"')])
def test_what_the_file_or_target_does_not_have(cli, space, options, said):
    done = ended(cli(table(THREE), *options), USAGE)
    assert said in done.stderr, f"expected {said!r}, got {done.stderr}"
    assert not space.leads() and not jobs(space), "expected nothing left of it"
    ended(cli(table(THREE)), COMPLETE)  # the same file, without --allow-duplicate


@pytest.mark.parametrize("options", [["--map", "email"], ["--map", "=Mail"], ["--map", "email=A", "--map", "email=B"], ["--duplicates", "erase"], ["--assign", "lottery"],
                                     ["--header-row", "x"], ["--wait", "--no-wait"], ["--dry-run", "--no-wait"], ["--nonsense"], ["second.csv"], ["--map"], ["--json", "--json"]])
def test_wrong_options(cli, space, options):
    done = ended(cli(people(1), *options), USAGE)
    assert done.stderr.startswith("tidegate: ") and not done.stdout and not jobs(space)


def test_what_cannot_be_read(cli, space):
    ended(subprocess.run(cli.command(cli.folder / "none.csv"), capture_output=True, text=True), USAGE)
    done = ended(subprocess.run([*cli.command(cli.folder), "--json"], capture_output=True, text=True), USAGE)
    assert "cannot be read" in done.stderr


def test_encoding_delimiter_and_header_row(cli, space):
    data = "Export du jour\nMail|Société\nd@example.com|Müller; fils\n".encode("cp1252")
    ended(cli(data, "--encoding", "windows-1252", "--delimiter", "|", "--header-row", "2"), COMPLETE)
    assert space.leads("email, company") == [("d@example.com", "Müller; fils")]
    other = Space(space.gate)
    (cli.folder / "token").write_text(other.token)
    ended(cli("a@example.com\tACME\nb@example.com\tB\n", "--delimiter", "tab", "--header-row", "0", "--map", "email=1", "--map", "company=2"), COMPLETE)
    assert other.leads("email, company") == [("a@example.com", "ACME"), ("b@example.com", "B")]


def test_a_sheet(cli, space):
    data = written([["Email"], ["first@example.com"]], [("Deux", [["Email"], ["second@example.com"]])])
    ended(cli(data, "--sheet", "Deux", name="two.xlsx"), COMPLETE)
    assert space.leads() == [("second@example.com",)]


def test_an_override_puts_a_failed_inspection_right(cli, space):
    ended(cli("Email\n"), FAILED)
    ended(cli("contact@example.com\n", "--header-row", "0", "--map", "email=1"), COMPLETE)
    assert space.leads() == [("contact@example.com",)]


def test_an_encoding_nobody_knows(cli, space):
    done = ended(cli(people(2), "--encoding", "klingon"), REFUSED)
    assert "encoding" in done.stderr and not jobs(space), f"expected the refused field and nothing left, got {done.stderr}"


# ------------------------------------------------------------------------------------------------------------- what becomes of rows

def test_rows_left_out_and_their_report(cli, space):
    data = table([["Email", "Nom"], ["a@example.com", "A"], ["nothing", "B"], ["c@", "C"]])
    report = cli.folder / "left-out.csv"
    done = ended(cli(data, "--json", "--error-report", str(report)), PARTIAL)
    assert (done.summary["outcome"], done.summary["errorReport"], done.summary["counts"]["invalid"]) == ("partial", str(report), 2)
    assert oct(report.stat().st_mode & 0o777) == "0o600"
    rows = read_report(type("File", (), {"content": report.read_bytes()}), ",")
    assert [row[:3] for row in rows] == [["Email", "Nom", "_ligne"], ["nothing", "B", "3"], ["c@", "C", "4"]]
    assert len(space.leads()) == 1


def test_no_report_without_rows_left_out(cli, space):
    report = cli.folder / "left-out.csv"
    ended(cli(people(3), "--error-report", str(report)), COMPLETE)
    assert not report.exists()


def test_a_report_that_cannot_be_written(cli, space):
    data, report = table([["Email"], ["a@example.com"], ["nothing"]]), str(cli.folder / "no" / "where.csv")
    done = ended(cli(data, "--no-wait", "--error-report", report), NO_REPORT)
    assert report in done.stderr and not jobs(space) and not space.leads()
    done = ended(cli(data, "--json", "--error-report", report), NO_REPORT)
    assert done.summary["outcome"] == "report_not_written" and len(space.leads()) == 1


def test_duplicates(cli, space):
    ended(cli(people(5)), COMPLETE)
    done = ended(cli(people(5)), REFUSED)
    assert jobs(space)[0]["id"] in done.stderr, f"expected the earlier import to be named, got {done.stderr}"
    done = ended(cli(people(5), "--allow-duplicate", "--json"), COMPLETE)
    assert done.summary["counts"]["skipped"] == 5, "expected duplicates left out on purpose to be no fault"
    done = ended(cli(people(6), "--duplicates", "update", "--key", "email", "--key", "phone", "--json"), COMPLETE)
    assert (done.summary["counts"]["updated"], done.summary["counts"]["inserted"]) == (5, 1)
    assert space.get(done.summary["id"])["duplicates"] == {"strategy": "update", "fields": ["email", "phone"]}
    done = ended(cli(people(2), "--duplicates", "create", "--json"), COMPLETE)
    assert done.summary["counts"]["inserted"] == 2


def test_assignment_none_and_single(cli, space):
    space.add_profile("vera")
    done = ended(cli(table([["Email"], ["x@example.com"]]), "--assign", "none", "--json"), COMPLETE)
    assert space.get(done.summary["id"])["assignment"] == {"mode": "none"}
    done = ended(cli(table([["Email"], ["y@example.com"]]), "--assign", "single:vera", "--json"), COMPLETE)
    assert space.get(done.summary["id"])["assignment"] == {"mode": "single", "userId": "vera"}
    assert space.leads("email, assigned_to") == [("x@example.com", None), ("y@example.com", "vera")]


def test_assignment_in_turn_and_by_column(cli, space):
    for user, name in [("vera", "Véra Roux"), ("paul", "Paul Petit")]:
        space.add_profile(user, name)
    done = ended(cli(table(THREE), "--assign", "round_robin:paul,vera", "--json"), COMPLETE)
    assert space.get(done.summary["id"])["assignment"] == {"mode": "round_robin", "userIds": ["paul", "vera"]}
    assert space.leads("email, assigned_to") == [("a@example.com", "paul"), ("b@example.com", "vera"), ("c@example.com", "paul")]
    for heading in ("Qui", "3"):
        done = ended(cli(table(THREE), "--allow-duplicate", "--duplicates", "create", "--assign", f"by_column:{heading}", "--json"), COMPLETE)
        assert space.gate.sql("SELECT email, assigned_to FROM crm.lead WHERE import_job_id = %s ORDER BY email", done.summary["id"]) == [
            ("a@example.com", "vera"), ("b@example.com", "paul"), ("c@example.com", "vera")]


def test_a_dry_run_says_what_would_be_and_leaves_nothing(cli, space):
    space.add_lead(email="a@example.com")
    data = table([["Email", "Nom"], ["a@example.com", "A"], ["b@example.com", "B"], ["nothing", "C"]])
    done = ended(cli(data, "--dry-run", "--duplicates", "update", "--json", "--error-report", str(cli.folder / "out.csv")), PARTIAL)
    counts = done.summary["counts"]
    assert done.summary["outcome"] == "dry_run" and [counts[name] for name in ("total", "inserted", "updated", "skipped", "invalid")] == [3, 1, 1, 0, 1]
    assert not jobs(space) and len(space.leads()) == 1 and (cli.folder / "out.csv").exists()
    done = ended(cli(people(4), "--dry-run"), COMPLETE)
    assert "nothing was written" in done.stdout and "inserted 4," in done.stdout and not jobs(space)
    ended(cli(people(4)), COMPLETE)


def test_an_unknown_user_is_refused_and_nothing_stays(cli, space):
    done = ended(cli(people(2), "--assign", "single:nobody", "--json"), REFUSED)
    assert (done.summary["outcome"], done.summary["error"]["code"]) == ("refused", "assignee_unknown")
    assert not jobs(space) and not space.leads()


def test_without_waiting(cli, space):
    done = ended(cli(people(400), "--no-wait", "--json"), COMPLETE)
    assert (done.summary["outcome"], done.summary["counts"]["total"]) == ("queued", 400)
    assert space.wait(done.summary["id"], "completed")["counts"]["inserted"] == 400


# ---------------------------------------------------------------------------------------------------------------------- what fails

def test_a_file_that_fails(cli, space):
    done = ended(cli("Email\n", "--json"), FAILED)
    assert (done.summary["outcome"], done.summary["error"]["code"], done.summary["status"]) == ("failed", "no_rows", "failed")
    assert "headings but no rows" in done.stderr and jobs(space)[0]["status"] == "failed", "expected a failed import to stay, for whoever looks at it"


def test_a_server_that_is_not_there(cli, space):
    path = cli.folder / "leads.csv"
    path.write_text(people(1))
    done = subprocess.run([*cli.command(path, "--json"), "--url", "https://localhost:1"], capture_output=True, text=True)
    assert done.returncode == USAGE, "expected --url given twice to be refused"
    command = ["https://localhost:1" if word == space.gate.url else word for word in cli.command(path, "--json")]
    done = ended(subprocess.run(command, capture_output=True, text=True), UNREACHABLE)
    assert json.loads(done.stdout.splitlines()[-1])["outcome"] == "unreachable"


def test_a_server_that_goes_and_comes_back(make_gate, tmp_path):
    gate = make_gate()
    (tmp_path / "leads.csv").write_text(people(60000))
    (tmp_path / "token").write_text(gate.token())
    command = subprocess.Popen([gate.path("bin", "tidegate"), "import", str(tmp_path / "leads.csv"), "--url", gate.url, "--token-file", str(tmp_path / "token"),
                                "--cacert", gate.path("cert.pem"), "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for line in command.stdout:
        if '"parsing"' in line:
            break
    gate.kill("nginx")
    gate.start_nginx()
    rest, said = command.communicate(timeout=120)
    assert command.returncode == COMPLETE, f"expected it to wait for the server, got {command.returncode}: {said}"
    assert json.loads(rest.splitlines()[-1])["counts"]["inserted"] == 60000


def test_a_token_that_is_not_good(cli, space):
    (cli.folder / "token").write_text(space.gate.token("member", sub=space.sub, space=space.name))
    done = ended(cli(people(1), "--json"), REFUSED)
    assert done.summary["error"]["code"] == "forbidden"
