"""`tidegate store` on a bucket of a server of the test's choosing."""
import os
import shutil
import subprocess
import tempfile

from instance import BUILD


class Bucket:
    """endpoint None: that of the server. Options are those of tidegate.ini, section storage."""

    def __init__(self, server, endpoint=None, bucket=None, **options):
        self.server, self.name = server, bucket or server.bucket()
        self.folder = tempfile.mkdtemp(prefix="tidegate-bucket-", dir="/tmp")
        os.mkdir(self.path("spool"))
        self.options = {
            "driver": "s3", "root": self.folder, "endpoint": endpoint or server.endpoint, "bucket": self.name, "region": server.region,
            "access_key": server.access_key, "secret_key": server.secret_key, "deadline_s": 60, **({"ca_file": server.ca_file} if server.ca_file else {}), **options}
        with open(self.path("ini"), "w", encoding="utf-8") as file:
            file.write("[server]\npublic_url = https://app.example.com\n[storage]\n" + "".join(f"{name} = {value}\n" for name, value in self.options.items()))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.folder)

    def path(self, name):
        return os.path.join(self.folder, name)

    def run(self, *arguments, status=0):
        done = subprocess.run([os.path.join(BUILD, "tidegate"), "--config", self.path("ini"), "store", *arguments], capture_output=True, timeout=120)
        text = (done.stdout + done.stderr).decode()
        assert done.returncode == status, f"expected exit status {status} of store {' '.join(arguments)[:200]}, got {done.returncode}: {text}"
        return text

    def put(self, key, data, *arguments, status=0):
        with open(self.path("in"), "wb") as file:
            file.write(data)
        return self.run("put", self.path("in"), key, *arguments, status=status)

    def get(self, key):
        """The bytes of an object, through our driver."""
        if os.path.exists(self.path("out")):
            os.remove(self.path("out"))
        self.run("get", key, self.path("out"))
        with open(self.path("out"), "rb") as file:
            return file.read()

    def list(self, prefix=""):
        """(key, size) of every object, in the order of the list."""
        lines = self.run("list", prefix).splitlines()
        return [(line.split(None, 2)[2], int(line.split(None, 1)[0])) for line in lines]
