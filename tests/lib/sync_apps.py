"""An app of an operator's own: keys of up to four columns, references to itself and in a circle, every type, natural keys, a catalogue."""
import json
import os
import shutil
import tempfile

from instance import REPOSITORY


def labels(text):
    return {"fr": text, "en": text}


def column(name, kind="text", nullable=False, **more):
    return {"name": name, "type": kind, "nullable": nullable, **more}


def club(version=1):
    """The declaration of version 1, or of version 2 with a column and a table more."""
    tables = {
        "member": {"columns": [column("id"), column("email"), column("mentor_id", nullable=True), column("team_id", "integer", True), column("country", nullable=True)],
                   "primaryKey": ["id"], "indexes": [{"name": "member_email", "unique": True, "columns": ["email"]}],
                   "references": [{"columns": ["mentor_id"], "table": "member", "to": ["id"]}, {"columns": ["team_id"], "table": "team", "to": ["id"]},
                                  {"columns": ["country"], "table": "country", "to": ["code"]}]},
        "team": {"columns": [column("id", "integer"), column("name"), column("captain_id", nullable=True)], "primaryKey": ["id"],
                 "references": [{"columns": ["captain_id"], "table": "member", "to": ["id"]}]},
        "score": {"columns": [column("team_id", "integer"), column("season", "uuid"), column("round", "bigint"), column("player"), column("points", "double", True),
                              column("money", "numeric", True), column("won", "boolean", default=False), column("day", "date", True), column("at", "timestamptz", True),
                              column("extra", "jsonb", True), column("select", nullable=True)],
                  "primaryKey": ["team_id", "season", "round", "player"], "references": [{"columns": ["team_id"], "table": "team", "to": ["id"], "onDelete": "cascade"}]},
        "comment": {"columns": [column("id", "uuid"), column("team_id", "integer"), column("season", "uuid"), column("round", "bigint"), column("player"), column("text")],
                    "primaryKey": ["id"],
                    "references": [{"columns": ["team_id", "season", "round", "player"], "table": "score", "to": ["team_id", "season", "round", "player"]}]},
        "link": {"columns": [column("a"), column("b")], "primaryKey": ["a", "b"],
                 "references": [{"columns": ["a"], "table": "member", "to": ["id"]}, {"columns": ["b"], "table": "member", "to": ["id"]}]},
        "country": {"columns": [column("code"), column("name")], "primaryKey": ["code"]},
    }
    if version > 1:
        tables["team"]["columns"].append(column("colour", default="white", since=2))
        tables["ground"] = {"columns": [column("id", "uuid"), column("team_id", "integer")], "primaryKey": ["id"],
                            "references": [{"columns": ["team_id"], "table": "team", "to": ["id"]}]}
    for name, table in tables.items():
        table["labels"] = labels(name)
        table["sync"] = {"scope": "catalogue" if name == "country" else "space"}
    if version > 1:
        tables["ground"]["sync"]["since"] = 2
    return {"app": "club", "sync": {"version": version, "oldest": 1}, "tables": tables}


class Declarations:
    """A folder of declarations that a server may read: the shipped ones and those of a test."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="tidegate-schema-", dir="/tmp")
        os.chmod(self.folder, 0o755)
        for name in os.listdir(os.path.join(REPOSITORY, "schema")):
            shutil.copy(os.path.join(REPOSITORY, "schema", name), self.folder)

    def write(self, declaration):
        with open(os.path.join(self.folder, declaration["app"] + ".json"), "w", encoding="utf-8") as file:
            json.dump(declaration, file)

    def remove(self):
        shutil.rmtree(self.folder, ignore_errors=True)
