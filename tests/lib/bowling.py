"""An independent reading of bowling backups: what the refinement of a file must say, worked out frame by frame from SQLite itself."""
import sqlite3

import pinpal

NEAR = {1: (2, 3), 2: (1, 3, 4, 5), 3: (1, 2, 5, 6), 4: (2, 5, 7, 8), 5: (2, 3, 4, 6, 8, 9), 6: (3, 5, 9, 10), 7: (4, 8), 8: (4, 5, 7, 9), 9: (5, 6, 8, 10), 10: (6, 9)}


def standing(mask):
    return {pin for pin in range(1, 11) if mask >> (pin - 1) & 1}


def is_split(mask):
    """The head pin is down, and those that stand do not all touch."""
    pins = standing(mask)
    if not pins or 1 in pins:
        return False
    group, todo = set(), [min(pins)]
    while todo:
        pin = todo.pop()
        if pin not in group:
            group.add(pin)
            todo += [near for near in NEAR[pin] if near in pins]
    return group != pins


def down(mask):
    return 10 - len(standing(mask & 1023))


def balls(pins):
    """Rolls of one row: pins standing after the first ball, and after the second."""
    first = down(pins)
    return [10] if first == 10 else [first, down(pins >> 10) - first]


def rolls_of(rows):
    """Rolls of each played frame, by its number from 1. rows: pins by frameNum."""
    frames = {number + 1: balls(rows[number]) for number in range(9) if number in rows}
    if 9 in rows:
        tenth = balls(rows[9])
        if tenth == [10]:
            if 10 in rows:
                bonus = balls(rows[10])
                tenth += bonus if len(bonus) == 2 else bonus + ([down(rows[11])] if 11 in rows else [])
        elif sum(tenth) == 10 and 10 in rows:
            tenth.append(down(rows[10]))
        frames[10] = tenth
    return frames


def scores_of(frames):
    """Running scores as long as every frame before was played and its bonus balls were thrown."""
    flat, begins, scores, total = [], {}, {}, 0
    for number in sorted(frames):
        begins[number] = len(flat)
        flat += frames[number]
    for number in range(1, 11):
        if number not in frames:
            break
        own = frames[number]
        if number == 10:
            whole = len(own) == (3 if own[0] == 10 or sum(own[:2]) == 10 else 2)
            count = 3 if whole else None
        else:
            count = 3 if own == [10] or sum(own) == 10 else 2
        at = begins[number]
        if count is None or (number < 10 and len(flat) < at + count):
            break
        total += sum(flat[at:at + count])
        scores[number] = total
    return scores


def expected(path, ios=False):
    """{source id: game} of a file as pinpal.py writes them."""
    data = open(path, "rb").read()[pinpal.CONTAINER if ios else 0:]
    with open(path + ".plain", "wb") as file:
        file.write(data)
    key = "pk" if ios else "_id"
    db = sqlite3.connect(path + ".plain")
    db.row_factory = sqlite3.Row
    names = {row[key]: row["name"] for row in db.execute("SELECT * FROM ball")}
    games = {}
    for game in db.execute("SELECT * FROM game"):
        rows = db.execute("SELECT * FROM frame WHERE gameFk = ? AND flags <> 0 ORDER BY frameNum", (game[key],)).fetchall()
        frames = rolls_of({row["frameNum"]: row["pins"] for row in rows})
        scores = scores_of(frames)
        lane = game["lane"] if not ios else 0
        if not frames and not game["score"] and not game["notes"] and not lane:
            continue
        switches, ball = [], game["ballFk"]
        for row in rows:
            if row["ballFk"] not in (ball, 0, -1):
                switches.append((min(row["frameNum"] + 1, 10), names[row["ballFk"]]))
            ball = row["ballFk"]
        masks = {row["frameNum"] + 1: row["pins"] & 1023 for row in rows if row["frameNum"] < 10}
        games[str(game[key])] = {
            "total_score": scores.get(10, min(max(game["score"], 0), 400)), "recomputed": 10 in scores, "frames": frames, "scores": scores,
            "strikes": sum(f[0] == 10 for f in frames.values()), "spares": sum(f[0] < 10 and sum(f[:2]) == 10 for f in frames.values()),
            "opens": sum(f[0] < 10 and sum(f[:2]) < 10 for f in frames.values()), "splits": sum(is_split(mask) for mask in masks.values()),
            "switches": switches, "notes": game["notes"] or None, "lane": lane if 1 <= lane <= 99 else None, "session": str(game["weekFk"])}
    db.close()
    return games
