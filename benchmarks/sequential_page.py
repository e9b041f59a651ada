"""docs/speed.md from what benchmarks/sequential.py found: tables with ratios, and the bars they are held against."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

NAMES = {
    "recbench": "recbench",
    "shipped": "recbench, parameters as shipped",
    "quick": "recbench, sampled softmax, less dropout",
    "bf16": "trainer.precision=bf16-mixed",
    "compile": "trainer.compile=true",
    "hand": "loop by hand",
    "rectools": "RecTools",
    "replay": "RePlay",
    "recbole": "RecBole (a prefix a target)",
}
OURS = ("recbench", "shipped", "quick")
ALL_POSITIONS = ("rectools", "replay")  # rivals with a target at every position
INTRODUCTION = """# Speed

Written by `benchmarks/sequential.py`, which says how to run it again. Everybody trains a Transformer of the same shape
on the same histories: the newest events of each user, as many as the length and one. The shape is width 64, 2 blocks,
2 heads, a feed-forward layer of width 64, dropout 0.2 also on attention, Adam. Contestants run in turn on one thread,
each in a process of its own. The unit is CPU seconds of that process, imports apart; other work may share the machine,
so the ratios say more than the seconds. Targets count in the loss. recbench and the loop by hand also ask for a
window's first event, from a start token, and so have one target a user more. Where one epoch of recbench is timed it
holds the building of the network, where several are timed their checkpoints. "~" marks an epoch that is estimated from
some steps: every rival pads to the full length, so that all its whole batches cost the same.
"""

ADVICE = """`trainer.precision=bf16-mixed` is for processors that multiply bf16 (lscpu shows avx512_bf16 or amx_bf16) and
for GPUs, and was not timed on one: try an epoch of each. Elsewhere leave it off: bf16 is made of float32 and costs
several times as much. `trainer.compile=true` was not found to pay on a CPU: the large products and the loss run in
kernels that it does not change, and its own time comes first.

"""


def table(heads: list[str], rows: list[list[str]]) -> str:
    lines = [heads, ["---", *["---:"] * (len(heads) - 1)], *rows]
    return "\n".join("| " + " | ".join(row) + " |" for row in lines) + "\n"


def rate(found: dict[str, float]) -> float:
    """Targets a CPU second."""
    return found["targets"] / found["cpu"]


def under(record: dict[str, Any]) -> str:
    """Machine, versions and how often."""
    who = ", ".join(f"{NAMES[name].split(' (')[0]} {version}" for name, version in record["versions"].items())
    return (
        f"\n{record['machine']}; Python {record['python']}; load average {record['load']} at the end; medians of "
        f"{record['rounds']} rounds; {record['date']}. {who}.\n"
    )


def training(record: dict[str, Any]) -> str:
    found, shape = record["found"], record["shape"]
    base = rate(found["recbench"]) if "recbench" in found else None
    heads = ["", "targets an epoch", "CPU s an epoch", "ms a step", "targets a CPU s", "recbench is faster by"]
    heads += ["ranking all users, CPU s", "ratio", "peak MB"]
    rows = []
    for name, m in found.items():
        ratio = f"{base / rate(m):.2f}" if base else ""
        ranked = f"{m['ranking'] / found['recbench']['ranking']:.2f}" if base else ""
        about = "~" if "timed" in m and m["timed"] % m["steps"] else ""
        rows.append([NAMES[name], f"{m['targets']:,.0f}", f"{about}{m['cpu']:.2f}", f"{m['ms']:.0f}"])
        rows[-1] += [f"{rate(m):,.0f}", ratio, f"{m['ranking']:.2f}", ranked, f"{m['mb']:.0f}"]
    size = f"length {shape['length']}, batch {shape['batch']}"
    loss = {
        "softmax": "softmax over all items",
        "sampled": f"sampled softmax, {shape['negatives']} uniform negatives, which eight positions share "
        "(RePlay: a batch; RecTools: none)",
        "bce": "binary cross-entropy, one negative (RePlay: one a batch)",
    }[shape["loss"]]
    return f"\n## Training and ranking: {record['data']}, {size}, {loss}\n\n" + table(heads, rows) + under(record)


def first(record: dict[str, Any]) -> str:
    found = record["found"]
    rows = [
        [NAMES[n], f"{m['cpu']:.1f}", f"{m['seconds']:.1f}", f"{m['cpu'] / found['recbench']['cpu']:.2f}"]
        for n, m in found.items()
        if "recbench" in found
    ]
    text = (
        f"\n## From the command to the end of the first training step: {record['data']}\n\nImports included. recbench starts at "
        "its command line, with the data prepared once before; rivals start with the histories as arrays.\n\n"
    )
    return text + table(["", "CPU s", "wall s", "ratio"], rows) + under(record)


def reach(record: dict[str, Any]) -> str:
    rows = []
    for name, m in record["found"].items():
        cpu = f"{m['cpu']:.0f}" if m["reached"] else f"stopped at {m['cpu']:.0f}"
        rows.append([NAMES[name], cpu, f"{m['epochs']:.0f}", f"{m['valid']:.4f}"])
    heads = ["", "CPU s", "epochs", "best validation NDCG@10"]
    loss = {
        "softmax": "softmax over all items",
        "sampled": f"sampled softmax, {record['shape']['negatives']} negatives",
    }
    but = {
        "shipped": "as shipped (width 256, 1 block, 1 head, feed-forward of 4 widths, dropout 0.5, 0.3 of item vectors in the "
        "loss, batch 128, running average)",
        "quick": "the sampled softmax with less dropout (as shipped, but of width 64, 256 negatives, 0.2 as the only dropout)",
    }
    but = " and ".join(words for name, words in but.items() if name in record["found"])
    but = f", but for {but}" if but else ""
    title = (
        f"\n## From nothing to validation NDCG@10 of .050: {record['data']}, {loss[record['shape']['loss']]}\n\nImports, data "
        f"and an evaluation an epoch included; stopped after {record['limit']:.0f} CPU s. All in the shape above{but}.\n\n"
    )
    return title + table(heads, rows) + under(record)


def options(record: dict[str, Any]) -> str:
    """What a run may switch on, against the same run without."""
    found = record["found"]
    rows = [
        [
            NAMES[n],
            f"{m['cpu']:.2f}",
            f"{m['begin']:+.1f}",
            f"{found['recbench']['cpu'] / m['cpu']:.2f}",
            f"{m['ndcg']:.4f}",
        ]
        for n, m in found.items()
        if "recbench" in found
    ]
    heads = ["", "CPU s an epoch", "CPU s more for the first epoch", "faster by", "NDCG@10 then"]
    return f"\n## Precision and compilation: {record['data']}\n\n" + ADVICE + table(heads, rows) + under(record)


def metrics(record: dict[str, Any]) -> str:
    rows = [[NAMES[name], f"{m['cpu']:.3f}"] for name, m in record["found"].items()]
    title = "\n## NDCG, recall and MRR at 10 and 100 of 100,000 users' lists of 100\n\n"
    return title + table(["", "CPU s"], rows) + under(record)


def catalogue(record: dict[str, Any]) -> str:
    """One epoch and the lists of some users, at several numbers of interactions."""
    rows = []
    for users, m in record["found"].items():
        each = f"{1e6 * m['cpu'] / m['interactions']:.0f}"
        rows.append([f"{int(users):,}", f"{m['interactions']:,}", f"{m['cpu']:.0f}", each, f"{m['data_mb']:,.0f}"])
        rows[-1] += [f"{m['fit_mb']:,.0f}", f"{m['mb']:,.0f}", f"{1000 * m['ranking'] / m['asked']:.1f}"]
    heads = ["users", "interactions", "CPU s an epoch", "microseconds an interaction", "MB with the data"]
    heads += ["peak MB of training", "peak MB with ranking", "ms a user's list"]
    title = (
        f"\n## A catalogue of {record['items']:,} items\n\n`benchmarks/catalogue.py`: a simulated shop, the Transformer of "
        "width 64 (a sampled softmax at this size), one epoch, then the lists of 1,000 users over all items. The epoch holds "
        "the imports and the building of the tables.\n\n"
    )
    return title + table(heads, rows) + under(record)


def growth(found: dict[str, Any]) -> float:
    """Cost of one interaction more at the large end, in that at the small end: 1 where cost is linear."""
    sizes = sorted(found.values(), key=lambda m: m["interactions"])
    slopes = [(b["cpu"] - a["cpu"]) / (b["interactions"] - a["interactions"]) for a, b in pairwise(sizes)]
    return slopes[-1] / slopes[0]


def bars(kept: dict[str, Any]) -> Iterator[list[str]]:
    """What is asked, what was found, and whether that is enough."""
    for record in kept.values():
        found = record["found"]
        if record["job"] == "catalogue":
            where, peak = f"{record['items']:,} items", max(m["mb"] for m in found.values())
            yield [f"{where}: peak memory", "under 6,000 MB", f"{peak:,.0f} MB", verdict(peak < 6000)]
            if len(found) > 2:
                ratio = growth(found)
                yield [f"{where}: an interaction more costs the same", "1", f"{ratio:.2f}", verdict(ratio < 1.25)]
        if "recbench" not in found:
            continue
        shape = record["shape"]
        ours, where = found["recbench"], f"{record['data']}, length {shape['length']}, batch {shape['batch']}"
        rivals = {name: found[name] for name in ALL_POSITIONS if name in found}
        if record["job"] == "training" and shape["loss"] == "softmax":
            yield from _training_bars(record["data"], where, ours, rivals, found.get("hand"))
        elif record["job"] == "metrics":
            yield [
                "metrics of 100,000 users x top 100",
                "under 0.2 CPU s",
                f"{ours['cpu']:.3f}",
                verdict(ours["cpu"] < 0.2),
            ]
    yield from _reach_bars(kept)


def _reach_bars(kept: dict[str, Any]) -> Iterator[list[str]]:
    """On each data set the quickest way of recbench against the quickest way of the quickest rival."""
    runs: dict[str, list[tuple[bool, dict[str, Any]]]] = {}
    for record in kept.values():
        if record["job"] == "reach":
            runs.setdefault(record["data"], []).extend((n in OURS, m) for n, m in record["found"].items())
    for data, found in runs.items():
        ours, theirs = ([m for mine, m in found if mine is side] for side in (True, False))
        ours = [m for m in ours if m["reached"]]
        if not ours or not theirs:
            continue
        fastest = min(theirs, key=lambda m: m["cpu"])
        ratio = fastest["cpu"] / min(m["cpu"] for m in ours)
        held = verdict(ratio >= 5) if fastest["reached"] or ratio >= 5 else "open"
        least = "" if fastest["reached"] else "more than "
        yield [f"{data}: time to NDCG@10 of .050", "5 times shorter", f"{least}{ratio:.1f} times", held]


def _training_bars(
    data: str, where: str, ours: dict[str, float], rivals: dict[str, Any], hand: dict[str, float] | None
) -> Iterator[list[str]]:
    ratio = {name: rate(ours) / rate(m) for name, m in rivals.items()}
    if ratio and data == "ml-100k":
        for name, least in (("replay", 1.5), ("rectools", 2.2)):
            if name in ratio:
                yield [
                    f"{where}: faster than {NAMES[name]}",
                    f"{least}",
                    f"{ratio[name]:.2f}",
                    verdict(ratio[name] >= least),
                ]
    elif ratio:
        least, fastest = (8.0 if data == "amazon-beauty" else 1.5), min(ratio.values())
        yield [f"{where}: faster than the fastest rival", f"{least}", f"{fastest:.2f}", verdict(fastest >= least)]
    if hand:
        positions, slower = ours["targets"] / ours["steps"], rate(hand) / rate(ours)
        if positions >= 4096:
            bar, reached, held = "at most 1.3 times", f"{slower:.2f}", slower <= 1.3
        else:
            more = ours["ms"] - hand["ms"]
            bar, reached, held = "at most 3 ms a step more", f"{more:+.1f} of {hand['ms']:.0f} ms", more <= 3
        yield [f"{where} ({positions:,.0f} positions a batch): loop by hand", bar, reached, verdict(held)]
    if data == "amazon-beauty" and hand:
        reached = f"{ours['ranking']:.1f}; {ours['ranking'] / hand['ranking']:.2f} times the loop by hand"
        yield [f"{where}: ranking all users", "at most 7 CPU s", reached, verdict(ours["ranking"] <= 7)]


def verdict(held: bool) -> str:
    return "yes" if held else "**no**"


def page(kept: dict[str, Any]) -> str:
    """The whole page."""
    kinds = {
        "training": training,
        "first": first,
        "reach": reach,
        "options": options,
        "catalogue": catalogue,
        "metrics": metrics,
    }
    order = sorted(kept, key=lambda name: list(kinds).index(kept[name]["job"]))
    asked = table(["bar", "asked", "reached", "held"], [*bars({name: kept[name] for name in order})])
    return INTRODUCTION + "\n## Bars\n\n" + asked + "".join(kinds[kept[n]["job"]](kept[n]) for n in order)
