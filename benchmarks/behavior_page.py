"""docs/behavior-speed.md from what benchmarks/behavior.py found: rows a second, ratios, memory, and the bars."""

from __future__ import annotations

from typing import Any

from sequential_page import table

NAMES = {
    "recbench": "**recbench**",
    "recbench as shipped": "recbench, fields as shipped",
    "fuxictr": "FuxiCTR",
    "rechub": "Torch-RecHub",
}
SCORING_MB, LARGE_BYTES = 200, 150
INTRODUCTION = """# Speed and memory of models of behaviours

Written by `benchmarks/behavior.py`, which says how to run it again. The log is simulated: {n_views:,} views of
{n_items:,} items in {n_categories} categories by {n_users:,} users, and likes; asked is whether a view is followed by
one. Everybody trains on the same questions with the same fields (user, item, category, hour, weekday), vectors of width
{dim}, {layers} hidden layers of width {width}, dropout {dropout:g}, Adam, no penalty; DIN reads the newest {length} events and
weighs them by a hidden layer of width {attention}. Contestants run in turn on one thread, each in a process of its own; the
unit is its CPU seconds for whole epochs, batching included, behind a first one that is not timed. Other work may share the
machine, so the ratios say more than the seconds.

What differs: FuxiCTR's DIN is that of its package, on its loader of long histories; its package has no DeepFM, which is put
together from its layers, on its loader of arrays. Torch-RecHub weighs the items and the categories of a history apart, has
Dice in DIN's hidden layers, and its DeepFM's linear part reads the vectors. recbench's DIN tells events apart by behaviour
and age as well, and its batches hold histories of like length; FuxiCTR pads to the longest of a batch, Torch-RecHub to
{length}. As shipped, but without statistics, recbench has a running average, forgets some ids in training, reads no user,
and its DeepFM reads the mean of the history beside the fields.
"""


def under(record: dict[str, Any]) -> str:
    """Machine, versions and how often."""
    who = ", ".join(f"{name} {version}" for name, version in record["versions"].items())
    return (
        f"\n{record['machine']}; Python {record['python']}; load average {record['load']} at the end; medians of "
        f"{record['rounds']} rounds; {record['date']}. {who}.\n"
    )


def rate(found: dict[str, float]) -> float:
    """Questions a CPU second."""
    return found["rows"] / found["cpu"]


def bars(kept: list[dict[str, Any]]) -> str:
    rows = []
    for record in kept:
        found, shape = record["found"], record["shape"]
        if record["job"] == "training" and "recbench" in found:
            for name in [name for name in NAMES if name in found and not name.startswith("recbench")]:
                ratio = rate(found["recbench"]) / rate(found[name])
                what = f"{record['model']}, batch {shape['batch']}: rows a second beside {NAMES[name]}"
                rows.append([what, "at least 1", f"{ratio:.2f}", held(ratio >= 1)])
    for few, many in scored(kept):
        more, answers = many["mb"] - few["mb"], (many["asked"] - few["asked"]) * 8 / 2**20
        what = f"{many['model']}: MB that {many['asked']:,.0f} questions take beyond those of {few['asked']:,.0f}"
        rows.append(
            [what, f"at most {answers + SCORING_MB:.0f}", f"{max(0.0, more):.0f}", held(more <= answers + SCORING_MB)]
        )
    for record in kept:
        if record["job"] == "large":
            found = record["found"]["recbench"]
            what = f"a log of {found['events']:,.0f} events: bytes an event to train {record['model']}"
            rows.append(
                [what, f"at most {LARGE_BYTES}", f"{found['fit_bytes']:.0f}", held(found["fit_bytes"] <= LARGE_BYTES)]
            )
    return "\n## Bars\n\n" + table(["bar", "asked", "reached", "held"], rows)


def held(is_held: bool) -> str:
    return "yes" if is_held else "**no**"


def scored(kept: list[dict[str, Any]]) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """For each model what the fewest and the most questions took."""
    by_model: dict[str, list[dict[str, Any]]] = {}
    for record in kept:
        if record["job"] == "scoring":
            by_model.setdefault(record["model"], []).append(record["found"]["recbench"] | {"model": record["model"]})
    ordered = [sorted(found, key=lambda one: one["asked"]) for found in by_model.values()]
    return [(found[0], found[-1]) for found in ordered if len(found) > 1]


def training(record: dict[str, Any]) -> str:
    found, shape = record["found"], record["shape"]
    rows = []
    for name in [name for name in NAMES if name in found]:
        one, base = found[name], found.get("recbench")
        ratio = f"{rate(base) / rate(one):.2f}" if base else ""
        rows.append(
            [
                NAMES[name],
                f"{one['rows']:,.0f}",
                f"{one['cpu']:.2f}",
                f"{one['batches']:.2f}",
                f"{rate(one):,.0f}",
                ratio,
            ]
        )
    heads = ["", "questions", "CPU s an epoch", "of it batching", "questions a CPU s", "recbench is faster by"]
    return f"\n## Training {record['model']}, batch {shape['batch']}\n\n" + table(heads, rows) + under(record)


def scoring(records: list[dict[str, Any]]) -> str:
    """recbench alone: answers in parts."""
    if not records:
        return ""
    text = (
        "\n## Answers to many questions\n\n`--job scoring`: `predict` of a fitted model, questions with their histories drawn from "
        f"the training part. Memory is what the process came to hold more at most; beside the answers, 8 bytes each, it may not "
        f"grow by more than {SCORING_MB} MB.\n\n"
    )
    rows = []
    for record in records:
        one = record["found"]["recbench"]
        each = 1e6 * one["cpu"] / one["asked"]
        rows.append([record["model"], f"{one['asked']:,.0f}", f"{one['cpu']:.1f}", f"{each:.0f}", f"{one['mb']:.0f}"])
    return text + table(["", "questions", "CPU s", "microseconds each", "MB more"], rows) + under(records[-1])


def large(records: list[dict[str, Any]]) -> str:
    """recbench alone: an epoch over a mapped log."""
    if not records:
        return ""
    text = (
        "\n## A large log\n\n`--job large`: a parquet file read by `data=file` into mapped columns, split, and one epoch of `deepfm` "
        "over the training part, batches of {batch_size:,}, histories of {max_length}. Memory is the process's own, mapped files "
        "apart, beyond what it held before. To put each question's history beside it as numbers of 8 bytes would take "
        "{history} bytes a question.\n\n"
    ).format(**records[-1]["shape"], history=8 * records[-1]["shape"]["max_length"])
    rows = []
    for record in records:
        one = record["found"]["recbench"]
        rows.append(
            [
                f"{one[key]:,.0f}"
                for key in ("events", "train", "questions", "split_cpu", "split_mb", "fit_cpu", "fit_mb")
            ]
        )
        rows[-1] += [f"{one['split_bytes']:.0f}", f"{one['fit_bytes']:.0f}"]
    heads = [
        "events",
        "to train on",
        "questions",
        "split, CPU s",
        "MB",
        "epoch, CPU s",
        "MB",
        "bytes an event, split",
        "epoch",
    ]
    return text + table(heads, rows) + under(records[-1])


def page(kept: dict[str, Any]) -> str:
    """The page in Markdown, a function of the record alone."""
    records = list(kept.values())
    trained = [record for record in records if record["job"] == "training"]
    told = INTRODUCTION.format(**trained[0]["shape"], **trained[0]["sizes"]) if trained else ""
    of = {job: [record for record in records if record["job"] == job] for job in ("scoring", "large")}
    return told + bars(records) + "".join(map(training, trained)) + scoring(of["scoring"]) + large(of["large"])
