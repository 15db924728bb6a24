"""docs/storage.md says what is so: its commands, rules, rights and its example, as they stand there."""
import json
import os
import re
import subprocess
import xml.etree.ElementTree as tree

import pytest

from bucket import Bucket
from instance import BUILD, REPOSITORY, Instance, unique

PART = 5 << 20
HARNESS = """
const real = fetch, gate = process.env.GATE, stopAt = Number(process.env.STOP_AT);
let puts = 0;
globalThis.fetch = async (path, options) => {
	if (options.method === "PUT" && ++puts === stopAt)
		process.exit(7);
	return real(path.startsWith("/") ? gate + path : path, options);
};
const { readFileSync } = await import("node:fs");
const file = Object.assign(new Blob([readFileSync(process.env.FILE)]), { name: process.env.NAME });
const key = await upload(file, process.env.TOKEN);
console.log(JSON.stringify({ key, puts }));
"""


def blocks(language):
    """The fenced texts of one language, in their order."""
    with open(os.path.join(REPOSITORY, "docs", "storage.md"), encoding="utf-8") as file:
        return [text for name, text in re.findall(r"^```(\w*)\n(.*?)^```$", file.read(), re.MULTILINE | re.DOTALL) if name == language]


def rules(text):
    """A CORS document as lists of values by element."""
    found = {}
    for element in tree.fromstring(text).iter():
        if element.text and element.text.strip():
            found.setdefault(element.tag.rpartition("}")[2], []).append(element.text.strip().lower())
    return {name: sorted(values) for name, values in found.items()}


def test_the_example_goes_on_where_it_stopped(store, tmp_path):
    data = subprocess.run([os.path.join(BUILD, "sample"), "70000", "5"], check=True, capture_output=True).stdout
    assert 2 * PART < len(data) < 3 * PART
    (tmp_path / "upload.mjs").write_text(blocks("js")[0] + HARNESS)
    (tmp_path / "large.csv").write_bytes(data)
    (tmp_path / "small.csv").write_bytes(data[:1000])
    gate = Instance(storage__part_bytes=PART, storage__multipart_bytes=PART, **store.options()).start()
    try:
        def run(file, name, stop_at=0, status=0):
            done = subprocess.run(["node", tmp_path / "upload.mjs"], capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL, env={
                "PATH": os.environ["PATH"], "NODE_EXTRA_CA_CERTS": gate.path("cert.pem"), "GATE": gate.url, "TOKEN": gate.token(), "FILE": tmp_path / file,
                "NAME": name, "STOP_AT": str(stop_at)})
            assert done.returncode == status, f"expected the example to end with {status}, got {done.returncode}: {done.stdout} {done.stderr}"
            return json.loads(done.stdout) if status == 0 else None
        name = unique() + ".csv"
        run("large.csv", name, stop_at=3, status=7)
        whole = run("large.csv", name)
        assert whole["puts"] == 1, f"expected only the part that was missing to be sent, got {whole}"
        assert gate.object(whole["key"]) == data
        small = run("small.csv", unique())
        assert small["puts"] == 1 and gate.object(small["key"]) == data[:1000]
    finally:
        gate.stop()


def test_the_rules_that_setup_writes(shared_radosgw):
    with Bucket(shared_radosgw) as bucket:
        bucket.run("setup")
        status, _, written = shared_radosgw.request("GET", f"/{bucket.name}", query={"cors": ""})
        assert status == 200, f"expected the rules, got {status} {written}"
        said = blocks("xml")[0].replace("https://gate.example.com", "https://app.example.com").replace("  <AllowedOrigin>https://crm.example.com</AllowedOrigin>\n", "")
        assert rules(written) == rules(said)


def test_what_check_says(shared_radosgw, shared_swift):
    wanted, lacking = blocks("")[0].replace("gate.example.com", "app.example.com").strip().split("\n\n")
    with Bucket(shared_radosgw) as bucket:
        bucket.run("setup")
        assert bucket.run("check").strip() == wanted
    with Bucket(shared_swift, conditional_put="false") as bucket:
        assert lacking in bucket.run("check").splitlines()
    with Bucket(shared_swift) as bucket:
        assert lacking.replace("lacks", "WRONG").split(" (")[0] in bucket.run("check", status=4)
        assert "NotImplemented" in bucket.run("setup", status=65)


def test_exit_statuses(shared_radosgw):
    with open(os.path.join(REPOSITORY, "docs", "storage.md"), encoding="utf-8") as file:
        said = [int(number) for number in re.findall(r"^\| (\d+) \|", file.read(), re.MULTILINE)]
    with Bucket(shared_radosgw) as bucket, Bucket(shared_radosgw, bucket="bucket-missing") as missing, \
            Bucket(shared_radosgw, endpoint="http://127.0.0.1:1", bucket="none", deadline_s=1) as away, Bucket(shared_radosgw, bucket="none", driver="local") as local:
        bucket.put("try/a", b"a")
        met = {0: (bucket, "list"), 4: (missing, "check"), 64: (bucket, "lists"), 65: (bucket, "get", "try/none", bucket.path("none")), 69: (away, "list"),
               73: (bucket, "get", "try/a", bucket.path("in")), 78: (local, "list")}
        for status, (where, *arguments) in met.items():
            where.run(*arguments, status=status)
    assert said == list(met), f"expected the statuses {list(met)} to be explained, got {said}"


@pytest.fixture
def lesser(shared_radosgw):
    """The keys of somebody who may do nothing yet: (name, access key, secret key)."""
    name = unique("user")
    shared_radosgw._run("radosgw-admin", "-c", shared_radosgw.path("ceph.conf"), "user", "create", f"--uid={name}", f"--display-name={name}",
                        f"--access-key={name}", "--secret-key=lessersecret")
    return name, name, "lessersecret"


def test_the_rights_are_enough_and_no_more(shared_radosgw, lesser):
    name, access_key, secret_key = lesser
    owned = shared_radosgw.bucket()
    policy = json.loads(next(text for text in blocks("json") if '"Statement"' in text).replace("crm-objects", owned))
    for statement in policy["Statement"]:
        statement["Principal"] = {"AWS": [f"arn:aws:iam:::user/{name}"]}
    with Bucket(shared_radosgw, bucket=owned) as owner, Bucket(shared_radosgw, bucket=owned, access_key=access_key, secret_key=secret_key, part_bytes=PART,
                                                               multipart_bytes=PART) as bucket:
        owner.run("setup")
        assert "AccessDenied" in bucket.run("check", status=4)
        status, _, body = shared_radosgw.request("PUT", f"/{owned}", json.dumps(policy).encode(), query={"policy": ""})
        assert status in (200, 204), f"expected the policy to be taken, got {status} {body}"
        bucket.run("check")
        for key, data in (("imports/a/small.csv", b"a"), ("reports/a/large.csv", os.urandom(2 * PART + 1))):
            bucket.put(key, data)
            assert bucket.get(key) == data
            bucket.run("delete", key)
        bucket.put("other/a", b"a", status=65)
        bucket.run("setup", status=65)
        assert owner.list() == []
