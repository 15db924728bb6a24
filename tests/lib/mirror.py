"""What stands in the mirror of a batch, as the API shows it, and what must not be left of one."""
from urllib.parse import quote

from phone import BATCHES


def mirror_of(phone, state):
    """What stands in the mirror of a batch, by table: names of columns, and rows with their keys, classes and cells."""
    found = {}
    for table in state["progress"]["tables"]:
        items, page = phone.pages(raw(state["batchId"], table["name"]))
        assert page["rows"] == len(items) == table["rows"], f"expected {table['rows']} rows of {table['name']}, got {len(items)} of {page['rows']}"
        assert [item["row"] for item in items] == list(range(1, len(items) + 1))
        found[table["name"]] = [column["name"] for column in page["columns"]], [(item["key"], item["classes"], item["cells"]) for item in items]
    return found


def raw(batch, table):
    return f"{BATCHES}/{batch}/raw/{quote(table, safe='')}"


def nothing_left(gate, batch):
    """No row, table, chunk or dataset of a batch that failed."""
    number = gate.sql("SELECT no FROM tidegate.sqlite_batch WHERE id = %s", batch)[0][0]
    left = gate.sql("SELECT (SELECT count(*) FROM tidegate.sqlite_row WHERE batch_no = %s), (SELECT count(*) FROM tidegate.sqlite_table WHERE batch_no = %s), "
                    "(SELECT count(*) FROM tidegate.sqlite_chunk WHERE batch_no = %s), (SELECT count(*) FROM tidegate.dataset WHERE batch_id = %s)", *[number] * 3, batch)[0]
    assert left == (0, 0, 0, 0), f"expected nothing to be left of a failed batch, got rows, tables, chunks, datasets {left}"
