"""One organisation of one test: its token, its imports, its leads. What the tests of imports have in common."""
import csv
import io

from instance import expect_problem, unique, wait_until

JOBS = "/api/import/jobs"
PATIENCE = 120  # seconds until a step of an import must be done; a step takes well under one, unless sanitizers watch it


def table(rows, delimiter=",", line="\n"):
    """Rows of cells as the text of a CSV file; quotes only where they are needed."""
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, lineterminator=line).writerows(rows)
    return out.getvalue()


def people(count, start=0, domain="example.com"):
    """A small file of valid rows, each a person of its own."""
    return table([["Prénom", "Nom", "Email", "Entreprise"]] +
                 [["Ana", f"Durand{n}", f"p{n}@{domain}", "SNCF"] for n in range(start, start + count)])


def read_report(file, delimiter=";"):
    """An error report as rows of cells."""
    assert file.content.startswith(b"\xef\xbb\xbf"), "expected a byte order mark"
    return list(csv.reader(io.StringIO(file.content.decode("utf-8-sig"), newline=""), delimiter=delimiter))


class Space:
    def __init__(self, gate, sub=None, name=None):
        self.gate, self.name, self.sub = gate, name or unique("space"), sub or unique("user")
        self.token = gate.token(sub=self.sub, space=self.name)

    # ------------------------------------------------------------------------------------------------------------ calls

    def api(self, method, path, json=None, **options):
        return self.gate.api(method, path, json=json, token=self.token, **options)

    def call(self, job, what, status=202, method="POST", json=None, **options):
        """POST …/jobs/{job}/{what}; its answer."""
        answer = self.api(method, f"{JOBS}/{job}/{what}".rstrip("/"), json=json, **options)
        assert answer.status_code == status, f"expected {status} for {what}, got {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def refused(self, job, what, status, code, method="POST", json=None):
        return expect_problem(self.api(method, f"{JOBS}/{job}/{what}".rstrip("/"), json=json), status, code)

    def get(self, job):
        return self.call(job, "", 200, "GET")

    def wait(self, job, status, seconds=PATIENCE):
        return self.gate.wait_for(job, status, seconds, self.token)

    def failed(self, job, code, seconds=PATIENCE):
        """The import fails with that code (or one of several) and says why in both languages; none of it is left among the leads."""
        state = self.wait(job, ("failed", "mapping", "ready", "completed"), seconds)
        assert state["status"] == "failed", f"expected the failure {code}, got {state}"
        assert state["error"] and state["error"]["code"] in ((code,) if isinstance(code, str) else code), f"expected the failure {code}, got {state['error']}"
        said = {language: self.api("GET", f"{JOBS}/{job}", headers={"Accept-Language": language}).json()["error"]["message"] for language in ("fr", "en")}
        assert said["fr"] and said["en"] and said["fr"] != said["en"], f"expected a sentence in French and one in English, got {said}"
        assert not self.leads(), f"expected no lead of a failed import, got {self.leads()}"
        return state

    # ------------------------------------------------------------------------------------------------------------ steps

    def create(self, data, name="leads.csv", **fields):
        data = data.encode() if isinstance(data, str) else data
        return self.gate.create_job(data, name, token=self.token, **fields)

    def inspected(self, data, name="leads.csv", **fields):
        """Uploads a file and waits for the inspection; the import, in `mapping`."""
        return self.wait(self.create(data, name, **fields), "mapping")

    def parse(self, job):
        self.call(job, "parse")
        return self.wait(job, "ready")

    def parsed(self, data, name="leads.csv", mapping=None, **fields):
        job = self.inspected(data, name, **fields)["id"]
        if mapping is not None:
            self.call(job, "mapping", 200, "PUT", {"columns": mapping})
        return self.parse(job)

    def commit(self, job, strategy="skip", fields=None, assignment=None, defaults=None):
        body = {"duplicates": {"strategy": strategy}}
        if fields is not None:
            body["duplicates"]["fields"] = fields
        if assignment is not None:
            body["assignment"] = assignment
        if defaults is not None:
            body["defaults"] = defaults
        self.call(job, "commit", json=body)
        self.wait(job, "completed")
        return self.ledger(job)

    def imported(self, data, name="leads.csv", mapping=None, **options):
        """A file all the way; the completed import, its ledger checked."""
        return self.commit(self.parsed(data, name, mapping)["id"], **options)

    # ---------------------------------------------------------------------------------------------------------- results

    def rows(self, job, state=None, limit=500, language="en"):
        """Every row of a list, page after page."""
        found, cursor = [], None
        while True:
            query = "&".join(f"{name}={value}" for name, value in (("state", state), ("limit", limit), ("cursor", cursor)) if value is not None)
            page = self.call(job, f"rows?{query}", 200, "GET", headers={"Accept-Language": language})
            assert len(page["items"]) <= limit, f"expected at most {limit} rows a page, got {len(page['items'])}"
            found += page["items"]
            cursor = page["nextCursor"]
            if cursor is None:
                return found

    def leads(self, columns="email"):
        return self.gate.sql(f"SELECT {columns} FROM crm.lead WHERE space = %s ORDER BY created_at, email, phone, external_id, last_name", self.name)

    def add_lead(self, **values):
        """A lead that was there before any import; its id."""
        names = ["space", *values]
        return self.gate.sql(f"INSERT INTO crm.lead ({', '.join(names)}) VALUES ({', '.join(['%s'] * len(names))}) RETURNING id",
                             self.name, *values.values())[0][0]

    def add_profile(self, user, name=None):
        self.gate.sql("INSERT INTO crm.profile (space, id, display_name) VALUES (%s, %s, %s)", self.name, user, name or user.title())

    def number(self, job):
        return self.gate.sql("SELECT no FROM tidegate.import_job WHERE id = %s", job)[0][0]

    def ledger(self, job):
        """Every source row in exactly one place, and what the API counts is what stands in the tables. Returns the import."""
        sql, state = self.gate.sql, self.get(job)
        counts, number = state["counts"], self.number(job)
        ended = sum(counts[name] for name in ("inserted", "updated", "skipped", "invalid", "failed", "cancelled"))
        assert counts["total"] == ended, f"expected the ends of all rows to add up to the total, got {counts}"
        assert counts["total"] == counts["valid"] + counts["invalid"], f"expected total = valid + invalid, got {counts}"
        stored = sql("SELECT count(*), count(DISTINCT row_no), count(DISTINCT row_id), count(*) FILTER (WHERE state = 2) "
                     "FROM tidegate.import_row WHERE job_no = %s", number)[0]
        assert stored == (counts["total"],) * 3 + (counts["invalid"],), f"expected {counts}, got rows, row numbers, row ids, invalid {stored}"
        leads = sql("SELECT count(*), count(DISTINCT id) FROM crm.lead WHERE import_job_id = %s AND space = %s", job, self.name)[0]
        assert leads == (counts["inserted"],) * 2, f"expected {counts['inserted']} leads of this import, each once, got {leads}"
        history = sql("SELECT count(*) FILTER (WHERE event_type = 'imported'), count(*) FILTER (WHERE event_type = 'updated'), count(*), "
                      "count(DISTINCT lead_id) FROM crm.lead_history WHERE job_id = %s AND space = %s", job, self.name)[0]
        wanted = (counts["inserted"], counts["updated"]) + (counts["inserted"] + counts["updated"],) * 2
        assert history == wanted, f"expected imported, updated, all, leads {wanted} in the history, got {history}"
        loose = sql("SELECT count(*) FROM (SELECT id FROM crm.lead WHERE import_job_id = %s "
                    "EXCEPT SELECT row_id FROM tidegate.import_row WHERE job_no = %s AND state = 1) l", job, number)[0][0]
        assert loose == 0, f"expected every lead to stand for a valid row, got {loose} without"
        return state

    def undo(self, job):
        """Takes an import back; what it is then, its ledger checked."""
        self.call(job, "undo")
        self.wait(job, "undone")
        return self.undone(job)

    def undone(self, job):
        """Every record that the import wrote in exactly one place, all of its history kept, and the rows that say what became of them. Returns the import."""
        sql, state = self.gate.sql, self.get(job)
        counts, number = state["counts"], self.number(job)
        ended = {name: counts[name] for name in ("reversed", "kept", "errored")}
        assert sum(ended.values()) == counts["inserted"] + counts["updated"], f"expected every record to end in one of three places, got {counts}"
        assert counts["total"] == sum(counts[name] for name in ("inserted", "updated", "skipped", "invalid", "failed", "cancelled")), f"expected the ledger of the import to stay, got {counts}"
        noted = sql("SELECT count(*) FILTER (WHERE result = 1), count(*) FILTER (WHERE result = 2), count(*) FROM tidegate.import_undo WHERE job_no = %s", number)[0]
        assert noted == (counts["kept"], counts["errored"], counts["kept"] + counts["errored"]), f"expected the exceptions noted and no others, got {noted} for {counts}"
        for name, count in ended.items():
            if count <= 2000:  # each page is checked against the contract, which takes its time
                listed = len(self.rows(job, name))
                assert listed == count, f"expected {count} rows listed as {name}, got {listed}"
        lines = sql("SELECT count(*) FILTER (WHERE event_type = 'imported'), count(*) FILTER (WHERE event_type = 'updated'), "
                    "count(*) FILTER (WHERE event_type = 'import_undone') - count(DISTINCT lead_id) FILTER (WHERE event_type = 'import_undone') "
                    "FROM crm.lead_history WHERE job_id = %s AND space = %s", job, self.name)[0]
        assert lines == (counts["inserted"], counts["updated"], 0), f"expected all of the history to stay and at most one line of undo for a record, got {lines} for {counts}"
        back = sql("SELECT count(*) FROM crm.lead_history h JOIN crm.lead l ON l.id = h.lead_id WHERE h.job_id = %s AND h.event_type = 'import_undone' "
                   "AND l.import_job_id = %s", job, job)[0][0]
        assert back == 0, f"expected no lead that this import made and that history calls taken back, got {back}"
        return state

    def report(self, job):
        """The error report as bytes, and what was said of it."""
        answer = self.call(job, "error-report", 200)
        file = self.gate.session.get(answer["downloadUrl"], timeout=30)
        assert file.status_code == 200, f"expected the report, got {file.status_code} {file.text[:300]}"
        return file, answer

    def soon(self, condition, what, seconds=PATIENCE):
        return wait_until(condition, seconds, what)
