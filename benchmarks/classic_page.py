"""docs/classic-speed.md from what benchmarks/classic.py found: seconds, ratios, and the bars they are held against."""

from __future__ import annotations

from typing import Any

from sequential_page import table

NAMES = {
    "recbench": "**recbench**",
    "recbench keep=row": "recbench, `keep=row`",
    "recbench as shipped": "recbench, parameters as shipped",
    "implicit": "implicit",
    "implicit from histories": "implicit, `recalculate_user`",
    "rectools": "RecTools",
    "lenskit": "LensKit",
    "recbole": "RecBole",
    "cornac": "Cornac",
}
MODELS = {
    "item-knn": "{neighbours} neighbours, cosine, no shrinkage. In recbench as shipped each scored item keeps its "
    "neighbours, which is the rule of RecBole; with `keep=row` each item of a history keeps them, which is the rule of "
    "implicit and RecTools. Both count an item among its own neighbours and are given one more, so that NDCG agrees within "
    "each rule, but for ties. LensKit's and Cornac's rules are others; Cornac's predicts ratings, all of them 1 here.",
    "ease": "Penalty {l2:g}, all items. RecTools multiplies histories by the transposed weights, hence another NDCG.",
    "als": "{dim} factors, {epochs} epochs, a met pair weighing {confidence:g} and one not met 1, penalty {penalty:g}: "
    "`nu=0`. recbench and RecTools call implicit's solver, three steps of conjugate gradient from their own random beginnings; "
    "LensKit solves exactly. To list, implicit and RecTools look up the vector that the fit left for the user. recbench "
    "keeps no user and solves for the history, exactly, so that it answers new users too; implicit with "
    "`recalculate_user` does the same.",
}
SAME_SOLVER, EQUAL = {"als": ("implicit", "implicit from histories", "rectools")}, 1.25
LOOKS_UP = {"als": ("implicit", "rectools")}  # whom the fit has left the users' vectors
INTRODUCTION = """# Speed of classic models

Written by `benchmarks/classic.py`, which says how to run it again. Everybody learns the same pairs, those that the
leave-last-out board of the data fits on, with the same parameters, and lists 10 items for every user, what the user
met left out. Contestants run in turn on one thread, each in a process of its own, which fits a few made-up pairs first,
so that imports and compiling are not counted. The unit is CPU seconds; other work may share the machine, so the ratios
say more than the seconds. In brackets: how many times as long as **recbench** it took. Memory is the most that the
process held from the beginning of the fit on, and how much more that was than when the fit began. recbench's lists are
those of an evaluation, with ties drawn and counted, from the histories alone. NDCG@10 of everybody's lists is by
recbench's metric.
"""


def seconds(found: dict[str, Any], part: str, base: dict[str, Any], limit: float) -> str:
    """CPU seconds of the fit or of the lists, and the ratio to recbench."""
    if found.get("stopped") == part:
        return f"stopped at {limit:g}"
    if part not in found:
        return ""
    ratio = f" ({found[part] / base[part]:.2f})" if base.get(part) and found is not base else ""
    return f"{found[part]:.2f}{ratio}"


def measured(record: dict[str, Any]) -> str:
    """The table of one model on one data set, and under what it was taken."""
    found, base = record["found"], record["found"].get("recbench", {})
    rows = []
    for name, label in NAMES.items():
        if (mine := found.get(name)) is None:
            continue
        cells = [label, *(seconds(mine, part, base, record["limit"]) for part in ("fit", "recommend"))]
        done = "ndcg" in mine
        cells += [f"{mine['mb']:,.0f}", f"{mine['work_mb']:,.0f}", f"{mine['ndcg']:.4f}"] if done else [""] * 3
        rows.append(cells)
    heads = ["", "fit, CPU s", "lists, CPU s", "peak MB", "of it the work's", "NDCG@10"]
    title = f"\n## {record['model']} on {record['data']}\n\n{MODELS[record['model']].format(**record['shape'])}\n\n"
    return title + table(heads, rows) + under(record)


def under(record: dict[str, Any]) -> str:
    """Machine, versions and how often."""
    who = ", ".join(f"{NAMES.get(name, name).strip('*')} {version}" for name, version in record["versions"].items())
    where = f"{record['machine']}; Python {record['python']}; load average {record['load']} at the end"
    times = f"medians of {record['rounds']} rounds" if record["rounds"] > 1 else "one round"
    return f"\n{where}; {times}; {record['date']}. {who}.\n"


def bar(model: str, rival: str, part: str) -> float:
    """How many times as long as recbench the rival must take at least."""
    return 1 / EQUAL if part == "fit" and rival in SAME_SOLVER.get(model, ()) else 1.0


def held(record: dict[str, Any], rival: str, part: str) -> list[str]:
    """The ratio and whether its bar is held; a rival that was stopped took at least the limit."""
    ours, theirs = record["found"]["recbench"], record["found"][rival]
    if not ours.get(part) or (part not in theirs and theirs.get("stopped") != part):
        return ["", ""]
    ratio = theirs.get(part, record["limit"]) / ours[part]
    word = f"{'over ' if part not in theirs else ''}{ratio:.2f}"
    if part == "recommend" and rival in LOOKS_UP.get(record["model"], ()):
        return [word, "no bar"]
    least = bar(record["model"], rival, part)
    return [word, "yes" if ratio >= least else f"**no**, {least:.2f} asked" if least < 1 else "**no**"]


def bars(records: list[dict[str, Any]]) -> str:
    rows = []
    for record in records:
        rivals = [name for name in NAMES if name in record["found"] and not name.startswith("recbench")]
        for name in rivals if "recbench" in record["found"] else []:
            cells = [*held(record, name, "fit"), *held(record, name, "recommend")]
            rows.append([f"{record['model']}, {record['data']}", NAMES[name], *cells])
    if not rows:
        return ""
    rule = (
        "\n## Bars\n\nTo fit and to list, recbench must take no longer than each rival. In `als` the fit is implicit's own, "
        f"which RecTools runs as well: there it may take up to {EQUAL:g} times as long, and no bar is set to lists from "
        "vectors of users that the fit has left, since recbench solves for them from the histories.\n\n"
    )
    heads = ["", "rival", "fit, times as long", "held", "lists, times as long", "held"]
    return rule + table(heads, rows)


def sizes(records: list[dict[str, Any]]) -> str:
    """recbench alone on large catalogues, or the line with which it refuses."""
    if not records:
        return ""
    text = (
        "\n## Large catalogues\n\n`--job size`: simulated logs, an item as rare as the root of its number is large; recbench "
        "alone, parameters as above, lists for some of the users.\n\n"
    )
    rows, refusals = [], []
    for record in records:
        shape, found = record["shape"], record["found"]["recbench"]
        cells = [record["model"], *(f"{shape[key]:,}" for key in ("n_items", "n_users", "length"))]
        cells += [seconds(found, part, found, record["limit"]) for part in ("fit", "recommend")]
        done = "mb" in found
        cells += [f"{shape['n_asked']:,}", *(f"{found[key]:,.0f}" if done else "" for key in ("mb", "work_mb"))]
        rows.append(cells)
        if "refused" in found:
            refusals.append(f"\n{record['model']} refused: `{found['refused']}`\n")
    heads = [
        "",
        "items",
        "users",
        "draws a user",
        "fit, CPU s",
        "lists, CPU s",
        "of users",
        "peak MB",
        "of it the work's",
    ]
    return text + table(heads, rows) + "".join(refusals) + under(records[-1])


def page(kept: dict[str, Any]) -> str:
    """The page in Markdown, a function of the record alone."""
    speed = [record for record in kept.values() if record["job"] == "speed"]
    size = [record for record in kept.values() if record["job"] == "size"]
    return INTRODUCTION + bars(speed) + "".join(map(measured, speed)) + sizes(size)
