"""Writes an SQLite database with one table of ROWS rows x 13 cells (9 integers, a real, a text, a blob), the same for the same seed: sqlite_rows.py FILE ROWS SEED

160 bytes a row: 3 000 000 rows are half a gigabyte. Nothing but the standard library.
"""
import random
import sqlite3
import sys

NOTE = "a note about this frame with some text in it, " * 2


def main():
    path, rows, rand = sys.argv[1], int(sys.argv[2]), random.Random(int(sys.argv[3]))
    db = sqlite3.connect(path)
    db.execute("PRAGMA journal_mode = OFF")
    db.execute("PRAGMA synchronous = OFF")
    db.execute("CREATE TABLE frame(_id INTEGER PRIMARY KEY, gameFk INTEGER, weekFk INTEGER, leagueFk INTEGER, ballFk INTEGER, frameNum INTEGER, pins INTEGER, scores INTEGER, "
               "score INTEGER, flags INTEGER, date REAL, notes TEXT, raw BLOB)")
    db.executemany("INSERT INTO frame VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?)", (
        (i, i // 12, i // 36, i // 900, rand.randrange(9), i % 12, rand.randrange(1 << 20), rand.randrange(171), 0, 193, 1.6e12 + rand.random() * 1e10,
         NOTE[: 40 + rand.randrange(52)], rand.randbytes(46)) for i in range(1, rows + 1)))
    db.commit()
    db.close()


if __name__ == "__main__":
    main()
