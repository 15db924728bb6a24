"""Backups of PinPal as phones write them, the same bytes for the same seed: pinpal.py OUT --games 1400 --seed 1 [--ios] [--extensions] [--optional]

Android: a plain database, keys `_id`, dates in milliseconds at local midnight. iOS: a property list of 4096 bytes, then a
database with keys `pk`, dates in seconds, and without the columns it does not know. Each game has twelve rows of frames,
pins as masks of those standing. --extensions adds the bj_… tables, --optional the columns that other writers add.
`scorer` writes the backup of another program under the same name.
"""
import argparse
import datetime
import json
import os
import random
import sqlite3
import tempfile

ANDROID_SENTINEL = (1 << 20) - 1
IOS_SENTINEL = (1 << 30) - 1
STRIKE, PLAYED = 0xC1, 0xC3
CONTAINER = 4096
PLIST = b"""<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0"><dict><key>application</key><string>PinPal</string><key>version</key><integer>8</integer></dict></plist>
"""
HOUSES = ["Bowling de Paris", "Royal Lanes", "Plaza Bowl", "Kegelbahn Süd", "O'Neil's \"Alley\""]
BALLS = ["Phaze II", "Black Widow", "Hy-Road", "Spare ball", "Zen Master", "Quantum Évo"]
PATTERNS = ["House shot", "Chameleon", "Shark", "Scorpion"]
LEAGUES = ["Thursday Trios", "Ligue d’été", "City Open", "Senior Classic", "Corporate Cup"]
ANDROID_ONLY = {"sortOrder", "lane", "pocket", "footBoard", "targetBoard"}
TABLES = {
    "house": "name TEXT, sortOrder INTEGER, flags INTEGER",
    "pattern": "name TEXT, sortOrder INTEGER, flags INTEGER",
    "ball": "name TEXT, sortOrder INTEGER, flags INTEGER",
    "league": "ballFk INTEGER, patternFk INTEGER, houseFk INTEGER, name TEXT, games INTEGER, notes TEXT, sortOrder INTEGER, flags INTEGER",
    "week": "leagueFk INTEGER, ballFk INTEGER, patternFk INTEGER, houseFk INTEGER, date REAL, notes TEXT, lane INTEGER",
    "game": "weekFk INTEGER, leagueFk INTEGER, ballFk INTEGER, patternFk INTEGER, houseFk INTEGER, score INTEGER, frame INTEGER, flags INTEGER, "
    "singlePinSpareScore INTEGER, notes TEXT, lane INTEGER",
    "frame": "gameFk INTEGER, weekFk INTEGER, leagueFk INTEGER, ballFk INTEGER, frameNum INTEGER, pins INTEGER, scores INTEGER, score INTEGER, "
    "flags INTEGER, pocket INTEGER, footBoard INTEGER, targetBoard INTEGER",
}
OPTIONAL = {"house": "location TEXT", "pattern": "length INTEGER", "ball": "brand TEXT, coverstock TEXT", "game": "date REAL"}
EXTENSIONS = """
CREATE TABLE bj_meta(key TEXT PRIMARY KEY, value TEXT);
CREATE TABLE bj_session_ext(weekFk INTEGER PRIMARY KEY, laneContextJson TEXT, notesJson TEXT);
CREATE TABLE bj_game_ext(gameFk INTEGER PRIMARY KEY, laneContextJson TEXT, ballSwitchesJson TEXT, handicap INTEGER, notesJson TEXT);
"""


def pins_down(mask):
    return 10 - bin(mask).count("1")


def throw(rand, standing, skill):
    """The mask of what still stands after a ball at these pins."""
    if rand.random() < skill:
        return 0
    return sum(1 << pin for pin in range(10) if standing >> pin & 1 and rand.random() < 0.3)


def two_balls(rand):
    first = throw(rand, 0x3FF, 0.35)
    return first, throw(rand, first, 0.6) if first else 0


class Row:
    """A row of the table frame: pins, scores, flags. second None: one ball was thrown at this rack, or a strike."""

    def __init__(self, first, second):
        rest = first if second is None else second
        roll1, roll2 = pins_down(first), pins_down(rest) - pins_down(first)
        self.pins = first | rest << 10
        self.scores = min(10, roll1 + roll2) << 4 | roll1
        self.flags = STRIKE if first == 0 else PLAYED
        self.rolls = [roll1] if first == 0 or second is None else [roll1, roll2]


def tenth(rand):
    """Rows 9, 10 and 11; None is an unused one."""
    first, second = two_balls(rand)
    row = Row(first, second)
    if first and second:
        return [row, None, None]
    bonus, bonus_second = two_balls(rand)
    if first:
        return [row, Row(bonus, None), None]
    if bonus:
        return [row, Row(bonus, bonus_second), None]
    return [row, Row(0, None), Row(throw(rand, 0x3FF, 0.35), None)]


def score_of(rows):
    rolls = [roll for row in rows if row for roll in row.rolls]
    total, at = 0, 0
    for _ in range(10):
        if at >= len(rolls):
            break
        if rolls[at] == 10:
            total += sum(rolls[at : at + 3])
            at += 1
        elif sum(rolls[at : at + 2]) == 10:
            total += sum(rolls[at : at + 3])
            at += 2
        else:
            total += sum(rolls[at : at + 2])
            at += 2
    return total


def play(rand, frames):
    """Twelve rows of which `frames` frames are played."""
    rows = [Row(*two_balls(rand)) for _ in range(min(frames, 9))]
    rows += [None] * (9 - len(rows))
    return rows + (tenth(rand) if frames == 10 else [None] * 3)


class Backup:
    def __init__(self, path, games=100, seed=1, ios=False, extensions=False, optional=False):
        self.rand, self.ios, self.extensions, self.optional, self.games = random.Random(seed), ios, extensions, optional, games
        self.key = "pk" if ios else "_id"
        self.db = sqlite3.connect(path)
        self.columns = {}

    def create(self):
        for table, columns in TABLES.items():
            listed = columns.split(", ") + (OPTIONAL.get(table, "").split(", ") if self.optional and table in OPTIONAL else [])
            listed = [column for column in listed if not (self.ios and column.split()[0] in ANDROID_ONLY)]
            self.columns[table] = [self.key] + [column.split()[0] for column in listed]
            self.db.execute(f"CREATE TABLE {table}({self.key} INTEGER PRIMARY KEY, {', '.join(listed)})")
        if not self.ios:
            self.db.execute("CREATE TABLE android_metadata(locale TEXT)")
            self.db.execute("INSERT INTO android_metadata VALUES('en_US')")
        if self.extensions:
            self.db.executescript(EXTENSIONS)
            self.db.execute("INSERT INTO bj_meta VALUES('exportVersion', '1')")
        self.db.execute("PRAGMA user_version = 8")

    def insert(self, table, **values):
        """Columns without a value are 0: PinPal does not bear NULL in integers."""
        names = self.columns[table]
        row = [values.get("id" if name == self.key else name, 0) for name in names]
        self.db.execute(f"INSERT INTO {table} VALUES({', '.join('?' * len(names))})", row)

    def lists(self):
        for table, names, extra in (("house", HOUSES, {"location": "Lyon"}), ("pattern", PATTERNS, {"length": 40}), ("ball", BALLS, {"brand": "Storm", "coverstock": "hybrid"})):
            for i, name in enumerate(names, 1):
                self.insert(table, id=i, name=name, sortOrder=i, flags=0, **extra)
        for i, name in enumerate(LEAGUES, 1):
            self.insert("league", id=i, ballFk=i, patternFk=self.rand.choice([0, -1, 1, 2]), houseFk=1 + i % len(HOUSES), name=name, games=3, notes="", sortOrder=i, flags=int(i == 3))

    def date(self, week):
        day = datetime.datetime(2019, 9, 5, tzinfo=datetime.timezone(datetime.timedelta(hours=-5))) + datetime.timedelta(days=7 * week)
        seconds = day.timestamp()
        return seconds + self.rand.random() * 3600 if self.ios else seconds * 1000

    def frames(self, game, week, league, ball, rows):
        current = ball
        for number, row in enumerate(rows):
            if row and self.rand.random() < 0.03:
                current = 1 + self.rand.randrange(len(BALLS))
            values = {"pins": row.pins, "scores": row.scores, "flags": row.flags, "pocket": self.rand.randrange(2), "footBoard": self.rand.randrange(40),
                      "targetBoard": self.rand.randrange(40)} if row else {"pins": IOS_SENTINEL if self.ios else ANDROID_SENTINEL}
            self.insert("frame", id=12 * (game - 1) + number + 1, gameFk=game, weekFk=week, leagueFk=league, ballFk=current, frameNum=number, **values)

    def game(self, game, week, league, house, lane):
        rand = self.rand
        frames = rand.choices([10, rand.randrange(1, 10), 0], [94, 5, 1])[0]
        rows, ball = play(rand, frames), 1 + rand.randrange(len(BALLS))
        notes = rand.choice(["", "", "", "good carry", "left lane dry — moved 2 & 1"]) if frames else ""
        self.insert("game", id=game, weekFk=week, leagueFk=league, ballFk=ball, patternFk=rand.choice([0, 1, 2]), houseFk=house, score=score_of(rows), frame=frames,
                    flags=1 if frames == 10 else 2, singlePinSpareScore=rand.randrange(11), notes=notes, lane=lane if frames else 0, date=self.date(week))
        self.frames(game, week, league, ball, rows)
        if self.extensions:
            context = json.dumps({"startingLane": lane, "lanePair": f"{lane}/{lane + 1}"}) if lane else None
            self.db.execute("INSERT INTO bj_game_ext VALUES(?,?,?,?,?)", (game, context, "[]", rand.choice([None, 20]), None))

    def fill(self):
        self.lists()
        for week in range(1, (self.games + 2) // 3 + 1):
            league = self.rand.choice([-1, 1, 2, 3, 4, 5])
            house, lane = 1 + self.rand.randrange(len(HOUSES)), self.rand.randrange(0, 40)
            self.insert("week", id=week, leagueFk=league, ballFk=0, patternFk=0, houseFk=house, date=self.date(week), notes=self.rand.choice(["", "", "substitute night"]), lane=lane)
            if self.extensions:
                self.db.execute("INSERT INTO bj_session_ext VALUES(?,?,?)", (week, None, json.dumps({"text": "ok"})))
            for game in range(3 * week - 2, min(3 * week, self.games) + 1):
                self.game(game, week, league, house, lane)
        self.db.commit()
        self.db.close()


def write(path, games=100, seed=1, ios=False, extensions=False, optional=False):
    """A backup at this path."""
    with tempfile.TemporaryDirectory() as folder:
        plain = os.path.join(folder, "Backup.db")
        backup = Backup(plain, games, seed, ios, extensions, optional)
        backup.create()
        backup.fill()
        with open(plain, "rb") as file, open(path, "wb") as out:
            if ios:
                out.write(PLIST.ljust(CONTAINER, b"\0"))
            out.write(file.read())


def scorer(path):
    """The backup of Bowling Scorer: another schema under the same file name."""
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE T_Games(ID INTEGER PRIMARY KEY, Game INTEGER, Frame INTEGER, T1 INTEGER, T2 INTEGER, Foul1 INTEGER, Foul2 INTEGER, Split INTEGER, Renzoku INTEGER, Pin INTEGER)")
    db.execute("CREATE TABLE T_Event(ID INTEGER PRIMARY KEY, EventName TEXT)")
    db.execute("INSERT INTO T_Event VALUES(1, 'Open')")
    db.executemany("INSERT INTO T_Games VALUES(?,1,?,8,2,0,0,0,0,1000000001)", ((i, i) for i in range(1, 11)))
    db.commit()
    db.close()


def main():
    parser = argparse.ArgumentParser(description="Writes a backup of PinPal.")
    parser.add_argument("out")
    parser.add_argument("--games", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    for flag in ("ios", "extensions", "optional"):
        parser.add_argument(f"--{flag}", action="store_true")
    args = parser.parse_args()
    write(args.out, args.games, args.seed, args.ios, args.extensions, args.optional)


if __name__ == "__main__":
    main()
