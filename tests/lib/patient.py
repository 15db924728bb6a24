"""A client of a server that dies and comes back: it waits and asks again, as one does after a 503 or a cut connection."""
import psycopg
import requests

from instance import unique, wait_until
from space import JOBS, Space

COLUMNS = "external_id, first_name, last_name, email, phone, job_title, address, city, postal_code, country, status, notes"


def asked(call, what):
    """The answer of a call that is made again as long as a server is away."""
    def ask():
        try:
            answer = call()
        except requests.RequestException:
            return None
        return None if answer.status_code in (502, 503, 504) else [answer]
    return wait_until(ask, 60, f"an answer to {what}")[0]


def delivered(gate, issued, data):
    """PUT until it is acknowledged, or refused because it had been; the object's key."""
    def put():
        try:
            return gate.put(issued, data).status_code in (200, 201, 403, 412)
        except requests.RequestException:
            return False
    wait_until(put, 60, "the file to be taken")
    return issued["objectKey"]


class Client(Space):
    """One that does as a 503 or a cut connection tells: it asks again, a POST with its idempotency key."""

    def api(self, method, path, json=None, headers=None, **options):
        headers = {**({"Idempotency-Key": unique()} if method == "POST" else {}), **(headers or {})}
        return asked(lambda: Space.api(self, method, path, json, headers=headers, **options), f"{method} {path}")

    def upload(self, data, name):
        """PUT until it is acknowledged, or refused because it had been."""
        issued = self.api("POST", "/api/import/upload-url", {"fileName": name, "fileSize": len(data)}).json()
        return delivered(self.gate, issued, data)

    def create(self, data, name="leads.csv", **fields):
        data = data.encode() if isinstance(data, str) else data
        answer = self.api("POST", JOBS, {"objectKey": self.upload(data, name), "fileName": name, "fileSize": len(data), **fields})
        assert answer.status_code == 201, f"expected 201 for the job, got {answer.status_code} {answer.text}"
        return answer.json()["id"]

    def wait(self, job, status, seconds=0):
        end(self, job, status)
        return self.get(job)


def look(space, job):
    """(status, rows done, error code), or None while the database is away. Nobody waits for the back-off of a retry here."""
    try:
        space.gate.sql("UPDATE tidegate.job SET run_at = now() WHERE state = 'ready' AND run_at > now()")
        return space.gate.sql("SELECT status, phase_done, error_code FROM tidegate.import_job WHERE id = %s", job)[0]
    except psycopg.OperationalError:
        return None


def reach(space, job, phase, rows):
    """Waits until so many rows of the phase are done. False: it was over before."""
    def there():
        found = look(space, job)
        if not found or found[0] == "queued":
            return None
        if found[0] != phase:
            return "over"
        return "there" if found[1] >= rows else None
    return space.soon(there, f"{rows} rows of {phase}") == "there"


def end(space, job, status):
    def there():
        found = look(space, job)
        assert not found or found[0] not in ("failed", "cancelled"), f"expected {status}, got {found}:\n{space.gate.logs()}"
        return found and found[0] == status
    space.soon(there, f"the import to be {status}")


def content(space):
    """The leads of a space, to be compared with those that an undisturbed import of the same file makes."""
    return space.gate.sql(f"SELECT count(*), md5(string_agg(l::text, '' ORDER BY l::text)) FROM (SELECT {COLUMNS} FROM crm.lead WHERE space = %s) l", space.name)
