"""Webhooks from end to end: what an import does reaches a real receiver, signed, once the change is committed."""
from instance import wait_until
from receiver import verify
from space import people


def test_an_import_tells_what_happens_to_it(hooks):
    receiver = hooks.receiver()
    made = hooks.add(receiver, ["import.*"])
    job = hooks.imported(people(3) + "Zoé,Petit,pas un mail,SNCF\n")["id"]
    hooks.undo(job)
    wait_until(lambda: len(receiver.calls) == 3, 30, f"three events, got {receiver.types()}")
    assert sorted(receiver.types()) == ["import.completed", "import.ready", "import.undone"]
    for call in receiver.calls:
        event = verify(made["secret"], call.headers, call.body)
        assert list(event) == ["type", "timestamp", "data"] and event["timestamp"].endswith("Z")
        assert event["data"]["id"] == job and event["data"]["fileName"] == "leads.csv" and event["data"]["error"] is None
        assert call.method == "POST" and call.headers["content-type"] == "application/json" and call.headers["user-agent"].startswith("Tidegate/")
    by_type = {call.event["type"]: call.event["data"] for call in receiver.calls}
    assert by_type["import.ready"]["counts"]["valid"] == 3 and by_type["import.ready"]["counts"]["invalid"] == 1
    assert by_type["import.completed"]["counts"]["inserted"] == 3 and by_type["import.completed"]["status"] == "completed"
    assert by_type["import.undone"]["counts"]["reversed"] == 3
    assert len(set(receiver.ids())) == 3, "each event has an id of its own"
