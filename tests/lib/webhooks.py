"""One organisation with webhook endpoints: its calls, its receivers, its log of deliveries."""
from instance import expect_problem, wait_until
from receiver import HOOKS, Receiver
from space import Space

PATIENCE = 60
# What the instances of these tests have open: receivers stand on 127.0.0.1, on any port.
OPEN = {"webhooks__allow_networks": "127.0.0.1", "webhooks__allow_ports": "1024-65535", "webhooks__timeout_s": 2, "webhooks__schedule_percent": 1}



def without_schedule(gate):
    """The schedule's own runs of the next hours count as done."""
    gate.sql("INSERT INTO tidegate.cron_run (name, slot) SELECT 'webhook.deliver', to_timestamp(floor(extract(epoch FROM now()) / 60) * 60 + n * 60) "
             "FROM generate_series(0, 300) n ON CONFLICT DO NOTHING")


class Hooks(Space):
    def __init__(self, gate, **options):
        super().__init__(gate, **options)
        self.receivers = []

    def receiver(self, answer=None, **options):
        self.receivers.append(Receiver(self.gate, answer, **options))
        return self.receivers[-1]

    def stop(self):
        for receiver in self.receivers:
            receiver.stop()

    def hook(self, method, path="", json=None, status=200, **options):
        answer = self.api(method, HOOKS + path, json=json, **options)
        assert answer.status_code == status, f"expected {status} for {method} {HOOKS}{path}, got {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def hook_refused(self, method, path, json, status, code):
        return expect_problem(self.api(method, HOOKS + path, json=json), status, code)

    def add(self, receiver, events=("*",), **fields):
        url = receiver if isinstance(receiver, str) else receiver.url
        return self.hook("POST", json={"url": url, "events": list(events), **fields}, status=201)

    def test(self, endpoint):
        return self.hook("POST", f"/{endpoint['id']}/test", status=202)

    def deliveries(self, endpoint, status=None):
        found, cursor = [], None
        while True:
            query = "&".join(f"{name}={value}" for name, value in (("status", status), ("cursor", cursor), ("limit", 100)) if value)
            page = self.hook("GET", f"/{endpoint['id']}/deliveries?{query}")
            found += page["items"]
            cursor = page["nextCursor"]
            if not cursor:
                return found

    def delivery(self, endpoint, one):
        return next(item for item in self.deliveries(endpoint) if item["id"] == one["id"])

    def ended(self, endpoint, one, status="succeeded"):
        """Waits until a delivery has that status; the delivery."""
        def look():
            found = self.delivery(endpoint, one)
            assert found["status"] in ("pending", status), f"expected {status}, got {found}"
            return found if found["status"] == status else None
        return wait_until(look, PATIENCE, f"delivery {one['id']} to be {status}, it is {self.delivery(endpoint, one)}")

    def attempted(self, endpoint, one, attempts=1):
        def look():
            found = self.delivery(endpoint, one)
            return found if found["attempts"] >= attempts else None
        return wait_until(look, PATIENCE, f"{attempts} attempts of delivery {one['id']}")

    def endpoint(self, endpoint):
        return self.hook("GET", f"/{endpoint['id']}")

    def emit(self, kind="offline.conflict", count=1, **data):
        """Events of the space, as whatever part of the system would write them."""
        return [row[0] for row in self.gate.sql(
            "SELECT 'evt_' || replace(tidegate.event_emit(%s, %s, jsonb_build_object('id', n::text, 'more', %s::text))::text, '-', '') FROM generate_series(1, %s) n",
            self.name, kind, data.get("more"), count)]

    def now(self, endpoint):
        """Nobody waits for the rest of a back-off: what is pending is due, and the endpoint is not left alone."""
        self.gate.sql("UPDATE tidegate.webhook_endpoint SET paused_until = NULL WHERE id = %s", endpoint["id"])
        self.gate.sql("UPDATE tidegate.webhook_delivery SET next_attempt_at = now() WHERE endpoint_id = %s AND state = 'pending'", endpoint["id"])
        self.gate.sql("SELECT tidegate.webhook_wake()")

    def came(self, receiver, ids, what="every event"):
        """Waits until all of these ids have come."""
        wait_until(lambda: set(ids) <= set(receiver.ids()), PATIENCE, f"{what} to come, {len(set(ids) - set(receiver.ids()))} are missing")
