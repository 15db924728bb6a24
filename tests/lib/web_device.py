"""Devices that run web/sync, the module for browsers, on SQLite WASM: under Node, or as the example page in Chromium. Built once by TypeScript's
compiler, SQLite and playwright-core from npm."""
import fcntl
import json
import os
import subprocess

from instance import BUILD, REPOSITORY, wait_until

PACKAGES = {"@sqlite.org/sqlite-wasm": "3.53.4-build2", "playwright-core": "1.65.1"}
EXAMPLE = os.path.join(REPOSITORY, "web", "sync", "example")


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
        missing = [f"{name}@{version}" for name, version in PACKAGES.items() if not _has(folder, name, version)]
        if missing:
            with open(os.path.join(folder, "package.json"), "w", encoding="utf-8") as file:
                file.write('{"private": true}')
            subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--no-save", "--ignore-scripts", "--silent",
                            *(f"{name}@{version}" for name, version in PACKAGES.items())], cwd=folder, check=True, timeout=300)
    return folder, os.path.join(folder, "sync")


def _has(folder, name, version):
    try:
        with open(os.path.join(folder, "node_modules", name, "package.json"), encoding="utf-8") as file:
            return json.load(file)["version"] == version
    except OSError:
        return False


def example(folder):
    """Makes a folder with the files of the example page."""
    packages, module = built()
    sqlite = os.path.join(packages, "node_modules", "@sqlite.org", "sqlite-wasm", "dist")
    subprocess.run([os.path.join(EXAMPLE, "build.sh"), folder, module, sqlite], check=True)
    return folder


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


class Browser:
    """Chromium, driven by tests/web/browser.mjs. A device is a context of its own; its tabs share a database."""

    def __init__(self, gate):
        packages, _ = built()
        self.gate, self.devices = gate, 0
        self.process = subprocess.Popen(["node", os.path.join(REPOSITORY, "tests", "web", "browser.mjs"), packages], text=True, bufsize=1,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def close(self):
        self.process.stdin.close()
        self.process.wait(30)
        self.process.stdout.close()

    def call(self, command, **arguments):
        self.process.stdin.write(json.dumps({"cmd": command, **arguments}) + "\n")
        line = self.process.stdout.readline()
        assert line, "the browser's driver has ended"
        answer = json.loads(line)
        assert "error" not in answer, f"{command} {arguments}: {answer['error']}"
        return answer["result"]

    def device(self, token):
        """A browser of its own, signed in with its first tab."""
        self.devices += 1
        return BrowserDevice(self, f"device-{self.devices}", token)


class BrowserDevice:
    def __init__(self, browser, name, token):
        self.browser, self.name, self.token = browser, name, token
        self.tabs = 0
        browser.call("device", name=name)

    def tab(self, sign_in=False):
        self.tabs += 1
        tab = Tab(self, f"{self.name}-tab-{self.tabs}")
        if self.tabs == 1 or sign_in:
            tab.sign_in(self.token)
        return tab

    def offline(self, offline):
        self.browser.call("offline", device=self.name, offline=offline)


class Tab:
    """One tab with the example page."""

    def __init__(self, device, name):
        self.device, self.browser, self.name = device, device.browser, name
        self.call("open", device=device.name, url=f"{self.browser.gate.url}/app/")

    def call(self, command, **arguments):
        return self.browser.call(command, tab=self.name, **arguments)

    def evaluate(self, expression):
        return self.call("evaluate", expression=expression)

    def sign_in(self, token):
        self.call("fill", selector="#token", text=token)
        self.call("click", selector="#sign-in button")

    def add(self, title, mode=""):
        self.call("fill", selector="#title", text=title)
        self.call("fill", selector="#mode", text=mode)
        self.call("click", selector="#add button")

    def _row(self, title):
        found = self.evaluate(f"[...document.querySelectorAll('#tunes li')].find((li) => li.querySelector('.title').value === {json.dumps(title)})?.dataset.id")
        assert found, f"expected a tune {title!r}, got {self.titles()}"
        return f'#tunes li[data-id="{found}"]'

    def rename(self, title, to):
        row = self._row(title)
        self.call("fill", selector=f"{row} .title", text=to)
        self.call("press", selector=f"{row} .title", key="Enter")

    def remove(self, title):
        self.call("click", selector=f"{self._row(title)} .remove")

    def titles(self):
        return self.evaluate("[...document.querySelectorAll('#tunes .title')].map((input) => input.value)")

    def status(self):
        """state, pending and leads, as the page shows them."""
        return self.evaluate("({ ...document.getElementById('status').dataset })")

    def leads(self):
        return self.status().get("leads") == "true"

    def saved(self):
        status = self.status()
        return status["state"] == "synced" and status["pending"] == "0"

    def verdict(self):
        self.call("click", selector="#check")
        return wait_until(lambda: (text := self.evaluate("document.getElementById('verdict').textContent")) not in ("", "…") and text, 20, "a verdict")

    def news(self):
        return self.evaluate("[...document.querySelectorAll('#news li')].map((li) => li.textContent)")

    def close(self):
        self.call("close")

    def crash(self):
        """Its process ends; close() what is left before the network of its device is changed."""
        self.call("crash")

    def picture(self, path):
        self.call("picture", path=path)
