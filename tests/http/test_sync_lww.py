"""Sync: last write wins, against a model of a few lines. Any pushes, in any order and any packets, leave what the model says."""
import datetime

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from test_sync import User, new_id, tune

BASE = datetime.datetime(2026, 6, 1, tzinfo=datetime.timezone.utc)
ROWS, DEVICES = 3, ("anna", "bert", "carl")

edits = st.tuples(st.integers(0, ROWS - 1), st.integers(0, 4), st.sampled_from(["set", "set", "delete"]), st.integers(0, 9))
pushes = st.lists(st.tuples(st.sampled_from(DEVICES), st.lists(edits, min_size=1, max_size=5)), min_size=1, max_size=8)


def at(second):
    return (BASE + datetime.timedelta(seconds=second)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def as_change(row_id, second, what, value):
    if what == "delete":
        return {"table": "tune", "rowId": row_id, "data": {"id": row_id}, "deleted": True, "lastModifiedAt": at(second)}
    return tune(row_id, f"value {value}", at(second))


class Model:
    """What the server must hold: per row (time, device), whether it is deleted, and its value."""

    def __init__(self):
        self.rows = {}

    def push(self, device, changes):
        """Within one push the newest of a row counts, of equal ones the last."""
        newest = {}
        for row, second, what, value in changes:
            if row not in newest or second >= newest[row][0]:
                newest[row] = (second, what == "delete", None if what == "delete" else f"value {value}")
        for row, (second, deleted, value) in newest.items():
            if row not in self.rows or (second, device) > self.rows[row][0]:
                self.rows[row] = ((second, device), deleted, value)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(pushes)
def test_the_server_holds_what_the_model_says(gate, plan):
    user, model = User(gate), Model()
    names = [new_id() for _ in range(ROWS)]
    views, since = {device: {} for device in DEVICES}, dict.fromkeys(DEVICES)
    for device, changes in plan:
        answer = user.push(*[as_change(names[row], *rest) for row, *rest in changes], device=device, since=since[device])
        model.push(device, changes)
        for row, _, what, value in changes:  # what the device shows meanwhile, its own newest edit of this push
            newest = [c for c in changes if c[0] == row]
            best = max(range(len(newest)), key=lambda n: (newest[n][1], n))
            views[device][names[row]] = None if newest[best][2] == "delete" else f"value {newest[best][3]}"
        for change in answer["changes"]:
            views[device][change["rowId"]] = None if change["deleted"] else change["data"]["title"]
        since[device] = answer["timestamp"]
    wanted = {names[row]: value for row, (_, deleted, value) in model.rows.items() if not deleted}
    assert dict(user.stored("tune", "id::text, title")) == wanted, "the server must hold the last write of every row"
    for device in DEVICES:
        for change in user.sync(device=device, since=since[device])["changes"]:
            views[device][change["rowId"]] = None if change["deleted"] else change["data"]["title"]
        view = {row: value for row, value in views[device].items() if value is not None}
        assert view == wanted, f"{device} must show what the server holds, after {plan}"
