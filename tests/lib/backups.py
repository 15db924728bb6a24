"""An instance with databases to be backed up, and what a test asks of its backups."""
import json
import os
import sqlite3
import subprocess

from instance import Instance, wait_until

SPACE = "operations"


def make_database(path, rows=100, journal="WAL"):
    db = sqlite3.connect(path)
    db.execute(f"PRAGMA journal_mode = {journal}")
    db.execute("CREATE TABLE IF NOT EXISTS thing(id INTEGER PRIMARY KEY, name TEXT, price REAL)")
    db.execute("CREATE TABLE IF NOT EXISTS tag(thing REFERENCES thing(id), word)")
    db.executemany("INSERT INTO thing(name, price) VALUES(?, ?)", ((f"thing {i}", i / 7) for i in range(rows)))
    db.executemany("INSERT INTO tag VALUES(?, ?)", ((i, "w" * (i % 50)) for i in range(rows)))
    db.commit()
    db.close()


class Backups:
    """files: {name: rows}; every file lies in a folder that the workers may read."""

    def __init__(self, files=None, postgresql=False, replica=False, **options):
        self.instance = Instance(backups__space=SPACE, **options)
        if replica:
            for name in ("replica", "replica/spool", "replica/blobs"):
                self.instance._make_folder(name, 0o700, self.instance.service_user)
            self.instance.options.update(replica__driver="local", replica__root=self.instance.path("replica"))
        if "webhooks__allow_networks" in options:
            self.instance.options["webhooks__ca_file"] = self.instance.path("cert.pem")  # of receivers
        self.instance._make_folder("sources", 0o777)
        self.instance.options["backups__sources"] = self.instance.path("sources.json")
        self.sources = []
        for name, rows in (files or {}).items():
            self.add(name, rows)
        if postgresql:
            self.sources.append({"name": "tidegate", "kind": "postgresql"})
        self.write_sources()
        self.instance.start()

    def path(self, name):
        return self.instance.path("sources", f"{name}.db")

    def add(self, name, rows=100, **more):
        make_database(self.path(name), rows)
        self.open_up()
        self.sources.append({"name": name, "path": self.path(name), "description": f"the {name}", **more})

    def open_up(self):
        """As if the workers' user owned the sources: WAL needs to write beside them."""
        folder = self.instance.path("sources")
        for entry in os.listdir(folder):
            os.chmod(os.path.join(folder, entry), 0o666)

    def write_sources(self):
        os.chmod(self.instance.folder, 0o755)
        with open(self.instance.path("sources.json"), "w", encoding="utf-8") as file:
            json.dump(self.sources, file)
        os.chmod(self.instance.path("sources.json"), 0o644)

    def stop(self):
        self.instance.stop()

    def run(self, *names, status=0):
        done = self.instance.run("backup", "run", *names, check=False)
        assert done.returncode == status, f"{done.returncode}: {done.stdout}{done.stderr}"
        return done.stdout

    def rows(self, sql, *values):
        return self.instance.sql(sql, *values)

    def object(self, database):
        """The newest stored one: (key, size, sha256, verified, verify_error)."""
        found = self.rows("SELECT key, size, sha256, verified_at IS NOT NULL, verify_error FROM tidegate.backup_object WHERE database = %s AND state = 'stored' ORDER BY created_at DESC", database)
        return found[0] if found else None

    def blob(self, key):
        return self.instance.path("blobs", key)

    def copy(self, key):
        """Where the copy in the second store is, when that is a directory."""
        return self.instance.path("replica", "blobs", key)

    def job(self, kind, **arguments):
        """Runs one job of that kind to its end."""
        self.rows("SELECT tidegate.job_enqueue(%s, %s, '', %s, NULL)", kind, json.dumps(arguments), kind)
        wait_until(lambda: not self.rows("SELECT 1 FROM tidegate.job WHERE kind = %s AND state <> 'failed'", kind), 60, f"{kind} to end")
        assert not self.rows("SELECT last_error FROM tidegate.job WHERE kind = %s", kind)

    def wait_copied(self, count):
        return wait_until(lambda: self.rows("SELECT count(*) FROM tidegate.backup_object WHERE replicated_at IS NOT NULL AND state = 'stored'")[0][0] == count, 60, f"{count} copies")

    def spool(self):
        return sorted(os.listdir(self.instance.path("spool")))

    def api(self, method, path, role="admin", space=SPACE, **options):
        token = self.instance.token(role, f"{role}@ops", space=space) if role else None
        return self.instance.api(method, path, token=token, **options)

    def told(self, kind):
        """The data of every event of that type, the oldest first."""
        return [row[0] for row in self.rows("SELECT body::json -> 'data' FROM tidegate.event WHERE type = %s ORDER BY created_at", kind)]

    def wait_ended(self):
        wait_until(lambda: self.rows("SELECT count(*) FROM tidegate.backup_run WHERE state = 'running'")[0][0] == 0, 60, "no run to be under way")


def keys(folder, *names):
    public = []
    for name in names:
        subprocess.run(["age-keygen", "-o", os.path.join(folder, name)], check=True, capture_output=True)
        public.append(subprocess.run(["age-keygen", "-y", os.path.join(folder, name)], check=True, capture_output=True, text=True).stdout.strip())
    return public


def making(request):
    """For a fixture: Backups(…) that are stopped when the test is over, and whose logs are shown when it fails."""
    made = []
    request.node.instances = []

    def start(*arguments, **options):
        made.append(Backups(*arguments, **options))
        request.node.instances.append(made[-1].instance)
        return made[-1]
    yield start
    for backups in made:
        backups.stop()
