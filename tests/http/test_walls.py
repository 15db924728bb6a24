"""Promise 4, whose data: behind the tokens stands a second wall. These tests go around the program, straight to the database."""
import psycopg
import pytest

from instance import unique


def as_role(gate, role, space, query, *values):
    """Runs a query as a database role under a scope, as the program would; returns rows, or the SQLSTATE of the refusal."""
    with psycopg.connect(gate._conninfo("tidegate")) as connection:
        connection.execute("SELECT set_config('tidegate.space', %s, true), set_config('tidegate.sub', %s, true)", (space, space))
        connection.execute(f"SET LOCAL ROLE {role}")
        try:
            return connection.execute(query, values).fetchall()
        except psycopg.Error as error:
            return error.sqlstate


@pytest.fixture
def imported(gate):
    space = unique("wall")
    token = gate.token(sub=space, space=space)
    job = gate.create_job(b"email;nom\na@example.org;A\nnot-an-address;B\n", token=token)
    gate.wait_for(job, "mapping", token=token)
    gate.api("POST", f"/api/import/jobs/{job}/parse", json={}, token=token)
    gate.wait_for(job, "ready", token=token)
    gate.api("POST", f"/api/import/jobs/{job}/commit", json={}, token=token)
    gate.wait_for(job, "completed", token=token)
    return space


TABLES = ["tidegate.upload", "tidegate.import_job", "tidegate.import_row_of_space", "crm.lead", "crm.lead_history"]


@pytest.mark.parametrize("table", TABLES)
def test_another_space_sees_nothing(gate, imported, table):
    own = as_role(gate, "tidegate_api", imported, f"SELECT count(*) FROM {table}")
    other = as_role(gate, "tidegate_api", unique("stranger"), f"SELECT count(*) FROM {table}")
    assert own[0][0] >= 1, f"{table}: its own space must see its rows, got {own}"
    assert other[0][0] == 0, f"{table}: another space must see no row, got {other}"


@pytest.mark.parametrize("table", TABLES)
def test_no_scope_sees_nothing(gate, imported, table):
    assert as_role(gate, "tidegate_api", "", f"SELECT count(*) FROM {table}")[0][0] == 0, f"{table}: without a scope no row may be seen"


@pytest.mark.parametrize("query", [
    "SELECT * FROM tidegate.import_row", "SELECT * FROM tidegate.import_outcome", "DELETE FROM tidegate.job RETURNING 1",
    "SELECT tidegate.job_claim('{default}', 'x', '1 minute', 1)", "SELECT tidegate.import_partitions_drop(1)",
    "UPDATE crm.lead_history SET event_type = 'x' RETURNING 1", "CREATE TABLE tidegate.x (y int)", "INSERT INTO tidegate.migration VALUES ('x', 'y') RETURNING 1",
])
def test_the_request_role_may_not(gate, query):
    assert as_role(gate, "tidegate_api", "anybody", query) == "42501", f"tidegate_api must be refused (42501): {query}"


def test_a_row_cannot_be_moved_into_another_space(gate, imported):
    assert as_role(gate, "tidegate_api", imported, "UPDATE crm.lead SET space = 'elsewhere' RETURNING 1") == "42501"
