"""Backups of phones with something broken in them, and a search with them: mutate.py --seconds 60 [--seed 1] [--at-once 4]

Every batch of a mutant has to end, completed or failed with a reason that is the file's, at its first attempt; no worker may die, no
reader crash, and nothing of a failed batch stay. Same seed, same mutants. What breaks it is kept in BUILD/crashes.
"""
import argparse
import collections
import concurrent.futures
import itertools
import json
import os
import random
import re
import struct
import sys
import tempfile
import time

from instance import BUILD, Instance
from mirror import nothing_left
from phone import Phone, backup
from sqlite_files import make

PAGE = 4096
# What the reader says when it is broken, or we are: no file may lead there.
FAULTS = {"internal", "reader_crashed", "reader_killed_by_sandbox", "reader_protocol_error", "ledger_mismatch", "worker_died", "file_gone", "file_unreadable"}


def bases(folder):
    """(name, profile, bytes) of the files that are broken: small, so that a byte counts."""
    path = os.path.join(folder, "base.db")
    yield "android", "bowling", backup(path, games=12, seed=1, extensions=True, optional=True)
    os.remove(path)
    yield "ios", "bowling", backup(path, games=12, seed=2, ios=True)
    os.remove(path)
    chance = random.Random(3)

    def fill(db):
        db.executemany("INSERT INTO t VALUES(?, ?)", ((chance.random(), chance.randbytes(chance.randrange(9000))) for _ in range(40)))
        db.executemany("INSERT INTO w VALUES(?, ?)", ((f"key {n}", "é" * n) for n in range(200)))
    yield "mixed", "mirror", make("CREATE TABLE t(a, b)", "CREATE TABLE w(k TEXT PRIMARY KEY, v) WITHOUT ROWID", "CREATE INDEX i ON t(a)", "CREATE VIEW v AS SELECT 1",
                                  "CREATE VIRTUAL TABLE f USING fts5(x)", "INSERT INTO f VALUES('a note')", before=("PRAGMA page_size = 1024", "PRAGMA auto_vacuum = FULL"), fill=fill)
    yield "wide", "mirror", make("CREATE TABLE u(a TEXT, b)", before=("PRAGMA encoding = 'UTF-16le'",), fill=lambda db: db.executemany("INSERT INTO u VALUES(?, ?)", ((f"é {n}", n * 0.1) for n in range(300))))


def flip(data, chance):
    for _ in range(chance.choice((1, 1, 2, 5, 30))):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def flip_headers(data, chance):
    """Headers of pages and their cell pointers: where a tree is told from noise."""
    for _ in range(chance.choice((1, 2, 4))):
        place = chance.randrange(0, len(data), 512) + chance.randrange(24)
        if place < len(data):
            data[place] = chance.choice((0, 1, 2, 5, 10, 13, 0x7F, 0x80, 0xFF, chance.randrange(256)))


def write_number(data, chance):
    """A number of four bytes that may be the address of a page or a length."""
    place = chance.randrange(0, len(data) - 4, 4)
    struct.pack_into(">I", data, place, chance.choice((0, 1, 2, 3, len(data) // PAGE, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)))


def break_header(data, chance):
    start = bytes(data).find(b"SQLite format 3\0")
    data[max(start, 0) + chance.randrange(16, 112)] = chance.randrange(256)


def break_schema(data, chance):
    """In the texts of CREATE TABLE."""
    words = [b"INTEGER", b"CREATE", b"TABLE", b"TEXT", b"gameFk", b"PRIMARY KEY", b"frame", b"(", b","]
    word = chance.choice(words)
    places = [found.start() for found in itertools.islice(re.finditer(re.escape(word), bytes(data)), 50)] or [0]
    place = chance.choice(places)
    data[place:place + len(word)] = bytes(chance.choice((chance.randrange(256), chance.choice(b"'\"()[];,- \0\xff"))) for _ in word)


def cut(data, chance):
    del data[chance.choice((chance.randrange(len(data)), chance.randrange(len(data) // 512 + 1) * 512)):]


def cut_and_say_so(data, chance):
    """Fewer pages, and a header that agrees."""
    start = max(bytes(data).find(b"SQLite format 3\0"), 0)
    size = struct.unpack_from(">H", data, start + 16)[0] or PAGE
    pages = chance.randrange(1, max((len(data) - start) // max(size, 512), 2))
    del data[start + pages * size:]
    if len(data) >= start + 32:
        struct.pack_into(">I", data, start + 28, pages)


def swap_pages(data, chance):
    size = chance.choice((1024, PAGE))
    one, other = (chance.randrange(max(len(data) // size, 1)) * size for _ in range(2))
    if max(one, other) + size <= len(data):
        data[one:one + size], data[other:other + size] = data[other:other + size], data[one:one + size]


def repeat_page(data, chance):
    size = chance.choice((1024, PAGE))
    one, other = (chance.randrange(max(len(data) // size, 1)) * size for _ in range(2))
    if max(one, other) + size <= len(data):
        data[one:one + size] = data[other:other + size]


def fill_page(data, chance):
    size = chance.choice((512, 1024, PAGE))
    place = chance.randrange(max(len(data) // size, 1)) * size
    data[place:place + size] = chance.choice((b"\0" * size, b"\xff" * size, chance.randbytes(size)))[:len(data) - place]


def insert(data, chance):
    place = chance.randrange(len(data))
    data[place:place] = chance.randbytes(chance.choice((1, 7, 512, PAGE)))


WAYS = (flip, flip, flip_headers, flip_headers, write_number, break_header, break_schema, cut, cut_and_say_so, swap_pages, repeat_page, fill_page, insert)


def mutants(seed, folder):
    """Without end: (name, profile, bytes)."""
    whole = list(bases(folder))
    for number in itertools.count():
        chance = random.Random(f"{seed} {number}")
        base, profile, good = chance.choice(whole)
        data, ways = bytearray(good), []
        for way in chance.sample(WAYS, chance.choice((1, 1, 1, 2, 3))):
            if len(data) > 64:
                way(data, chance)
                ways.append(way.__name__)
        yield f"{seed}-{number}-{base}-{'-'.join(ways)}", chance.choice((profile, "mirror")), bytes(data) or b"\0"


def events(gate, name):
    """Lines of the pool's log that are this event."""
    return [line for line in gate.log_text("pool").splitlines() if f'"event":"{name}"' in line.replace(" ", "")]


class Search:
    """Sends mutants, several at a time, each from a phone of its own; keeps those with which something goes wrong."""

    def __init__(self, gate, seed):
        self.gate, self.seed = gate, seed
        self.outcomes, self.wrong = collections.Counter(), []

    def one(self, mutant):
        name, profile, data = mutant
        phone = Phone(self.gate)
        state = phone.wait(phone.create(data, profile=profile)["batchId"])
        error = state["error"]
        trouble = error and error["reason"] in FAULTS or state["status"] == "completed" and error or state["status"] == "failed" and not error
        if state["status"] == "failed":
            nothing_left(self.gate, state["batchId"])
        attempts = self.gate.sql("SELECT max(attempt) FROM (SELECT attempt, args FROM tidegate.job UNION ALL SELECT attempt, args FROM tidegate.job_history) j WHERE args ->> 'id' = %s",
                                 state["batchId"])[0][0]
        if trouble or attempts != 1:
            self.keep(name, data, f"{state['status']} {error} after {attempts} attempts")
        self.outcomes[error["reason"] if error else "completed"] += 1

    def keep(self, name, data, why):
        folder = os.path.join(BUILD, "crashes")
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, f"sqlite-{name}.db"), "wb") as file:
            file.write(data)
        self.wrong.append(f"{name}: {why}")

    def safe(self, mutant):
        try:
            self.one(mutant)
        except Exception as error:  # whatever it is, the mutant is worth keeping
            self.keep(mutant[0], mutant[2], repr(error)[:500])

    def run(self, at_once, count=None, seconds=None):
        """So many mutants, or for so long."""
        until = time.monotonic() + (seconds or 10 ** 9)
        with tempfile.TemporaryDirectory() as folder, concurrent.futures.ThreadPoolExecutor(at_once) as pool:
            waiting = set()
            for mutant in itertools.islice(mutants(self.seed, folder), count):
                if time.monotonic() > until:
                    break
                waiting.add(pool.submit(self.safe, mutant))
                if len(waiting) >= 2 * at_once:
                    waiting = concurrent.futures.wait(waiting, return_when=concurrent.futures.FIRST_COMPLETED).not_done
        died = [line for line in events(self.gate, "child_ended") if json.loads(line).get("level") == "warn"]
        self.wrong += [f"a process died: {line}" for line in died]
        return self


def main():
    parser = argparse.ArgumentParser(description="Searches for SQLite backups that break their import.")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--seed", default=str(random.SystemRandom().randrange(10 ** 9)))
    parser.add_argument("--at-once", type=int, default=4)
    args = parser.parse_args()
    gate = Instance(worker__max_jobs=1000000000).start()
    try:
        search = Search(gate, args.seed).run(args.at_once, seconds=args.seconds)
    finally:
        gate.stop()
    print(f"seed {args.seed}: {sum(search.outcomes.values())} mutants in {args.seconds} s")
    for outcome, number in search.outcomes.most_common():
        print(f"{number:8} {outcome}")
    print("\n".join(search.wrong) or "none breaks it")
    return 1 if search.wrong or not search.outcomes else 0


if __name__ == "__main__":
    sys.exit(main())
