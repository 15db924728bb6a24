"""Devices that run web/sync, the module for browsers, on SQLite WASM under Node: built once by TypeScript's compiler, SQLite from npm."""
import fcntl
import json
import os
import subprocess

from instance import BUILD, REPOSITORY

SQLITE_WASM = "@sqlite.org/sqlite-wasm@3.53.4-build2"


class Failed(Exception):
    def __init__(self, error):
        self.status, self.code = error["status"], error["code"]
        super().__init__(f"{error['status']} {error['code']} {error['message']}")


def built():
    """Folders with the compiled module and with node_modules, made when they are missing or old."""
    folder = os.path.join(BUILD, "web")
    source = os.path.join(REPOSITORY, "web", "sync")
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "lock"), "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        newest = max(os.path.getmtime(os.path.join(source, "src", name)) for name in os.listdir(os.path.join(source, "src")))
        stamp = os.path.join(folder, "sync", "index.js")
        if not os.path.exists(stamp) or os.path.getmtime(stamp) < newest:
            subprocess.run(["tsc", "-p", source, "--outDir", os.path.join(folder, "sync")], check=True)
            with open(os.path.join(folder, "sync", "package.json"), "w", encoding="utf-8") as file:
                file.write('{"type": "module"}')
            os.utime(stamp)
        if not os.path.exists(os.path.join(folder, "node_modules", "@sqlite.org", "sqlite-wasm", "dist", "node.mjs")):
            with open(os.path.join(folder, "package.json"), "w", encoding="utf-8") as file:
                file.write('{"private": true}')
            subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--silent", SQLITE_WASM], cwd=folder, check=True, timeout=300)
    return folder, os.path.join(folder, "sync")


class WebDevice:
    def __init__(self, gate, token, app="tunes"):
        packages, module = built()
        self.gate, self.token, self.app = gate, token, app
        self.process = subprocess.Popen(["node", os.path.join(REPOSITORY, "tests", "web", "device.mjs"), packages, module], text=True, bufsize=1,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, "NODE_EXTRA_CA_CERTS": gate.path("cert.pem")})

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(20)
        self.process.stdout.close()

    def call(self, command, **arguments):
        self.process.stdin.write(json.dumps({"cmd": command, **arguments}) + "\n")
        answer = json.loads(self.process.stdout.readline())
        if "error" in answer:
            raise Failed(answer["error"])
        return answer["result"]

    def start(self, hints=False, **options):
        self.call("start", url=self.gate.url, app=self.app, options=options, hints=hints, **{"as": self.token})
        return self

    def sql(self, sql, *values):
        return self.call("sql", sql=sql, values=list(values))

    def run(self, sql):
        self.call("run", sql=sql)

    def sync(self):
        self.call("sync")

    def seen(self):
        return self.call("seen")

    def states(self):
        return [status["state"] for status in self.seen()["statuses"]]

    def pushes(self):
        """Bodies of the calls that pushed something."""
        return [request["body"] for request in self.seen()["requests"] if request["body"] and request["body"].get("changes")]
