"""`tidegate import --sqlite FILE`, the command line client, against a real instance: what it shows, and how it ends."""
import json
import subprocess

import pytest

from phone import Phone, backup

FAILED, USAGE, REFUSED, UNREACHABLE = 4, 64, 65, 69


@pytest.fixture
def cli(gate, tmp_path):
    phone = Phone(gate)
    (tmp_path / "token").write_text(phone.token)

    def run(data, *options, url=gate.url):
        path = tmp_path / "Backup.db"
        if data is not None:
            path.write_bytes(data)
        command = [gate.path("bin", "tidegate"), "import", "--sqlite", str(path), "--token-file", str(tmp_path / "token"), "--cacert", gate.path("cert.pem")]
        return subprocess.run(command + (["--url", url] if url else []) + list(options), capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL)
    run.phone = phone
    return run


def test_a_backup_and_what_it_says(cli, tmp_path):
    done = cli(backup(str(tmp_path / "a.db"), games=30, seed=3), "--profile", "bowling", "--timezone-offset", "300")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Backup.db: 421 rows in ") and "gamesRefined 30" in done.stdout and "The backup does not tell handicaps." in done.stdout
    assert "completed" in done.stderr and "\r" not in done.stderr
    batch = done.stdout.rstrip().rsplit("/", 1)[1]
    assert cli.phone.get(batch)["timezoneOffsetMinutes"] == 300


def test_lines_of_json(cli, tmp_path):
    done = cli(backup(str(tmp_path / "a.db"), games=3, seed=3), "--json", "--profile", "mirror")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert (done.returncode, lines[0]["event"], lines[-1]["event"], lines[-1]["batch"]["status"]) == (0, "upload", "summary", "completed"), done.stdout
    assert all(line["id"] for line in lines if line["event"] == "progress")


def test_not_waiting(cli, tmp_path):
    done = cli(backup(str(tmp_path / "a.db"), games=3, seed=3), "--no-wait", "--json")
    batch = json.loads(done.stdout.splitlines()[-1])["batch"]["batchId"]
    assert done.returncode == 0 and cli.phone.wait(batch)["status"] == "completed"


def test_a_file_that_is_no_backup(cli):
    done = cli(b"not a database at all" * 50)
    assert (done.returncode, done.stdout) == (FAILED, "") and "The import failed: This is not an SQLite database." in done.stderr


@pytest.mark.parametrize("options,status,words", [
    (["--profile", "golf"], REFUSED, "field"), (["--timezone-offset", "900"], USAGE, "-840 to 840"), (["--map", "a=b"], USAGE, "import --sqlite FILE takes")])
def test_wrong_usage(cli, tmp_path, options, status, words):
    done = cli(backup(str(tmp_path / "a.db"), games=1, seed=1), *options)
    assert done.returncode == status and words in done.stderr, f"expected {status} and {words!r}, got {done.returncode} {done.stderr}"


def test_files_and_servers_that_are_not_there(cli, tmp_path):
    done = cli(None)
    assert done.returncode == USAGE and "cannot be read" in done.stderr
    done = cli(b"x" * 100, url="https://localhost:1")
    assert done.returncode == UNREACHABLE, done.stderr
    assert cli(b"x" * 100, url=None).returncode == USAGE
