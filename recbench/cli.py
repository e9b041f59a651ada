"""python -m recbench: a subcommand, or Hydra overrides that make a run; user errors are one line."""

from __future__ import annotations

import os
import shlex
import sys
from typing import Any

from recbench import registry
from recbench.errors import RecbenchError, nearest, one_line

USAGE = """recbench: recommenders, data and metrics as plugins; results that carry their own proof

  python -m recbench model=transformer data=ecommerce       one run and its place on the board
  python -m recbench -m model=popular,ease data=ecommerce   several runs
  python -m recbench model=ease board=ecommerce-repeat submit=true
  python -m recbench list                                   installed plugins
  python -m recbench show model=NAME | board=NAME           parameters of a model or data set; a protocol
  python -m recbench check model=NAME                       the conformance kit (also data=, metric=TASK.NAME)
  python -m recbench new-plugin model=NAME                  write a package that passes it (also data=, metric=)
"""
SUBCOMMANDS = ("list", "show", "check", "new-plugin")
failed: list[str] = []


def main(argv: list[str] | None = None) -> int:
    """Run the command line; the exit status is 0, 1 for a user error, 130 for Ctrl-C."""
    words = sys.argv[1:] if argv is None else argv
    try:
        if words and words[0] in SUBCOMMANDS:
            return {"list": _list, "show": _show, "check": _check, "new-plugin": _new_plugin}[words[0]](words[1:])
        if words and words[0] in registry.names("command"):
            return int(registry.find("command", words[0]).load()(words[1:]) or 0)
        if not words:
            print(USAGE)
            return 0
        return _hydra(words)
    except RecbenchError as error:
        print(f"recbench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(
            "recbench: interrupted; what was finished is kept: run the same command with resume=true to go on",
            file=sys.stderr,
        )
        return 130


def _hydra(words: list[str]) -> int:
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # errors come to us instead of being printed by Hydra
    import hydra
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    from recbench import config

    _refuse_unknown_flags(words)
    if {"--help", "-h"} & set(words):
        print(USAGE)
    config.register()
    overrides = [word for word in words if not word.startswith("-") and "=" in word]
    try:
        config.check_words(overrides)
        sys.argv = [sys.argv[0], *words]
        failed.clear()
        hydra.main(version_base="1.3", config_path=str(config.CONF), config_name="config")(_job)()
    except (HydraException, OmegaConfBaseException) as error:
        raise RecbenchError(one_line(error).partition(": ")[2]) from error
    return 1 if failed else 0


FLAGS = frozenset(
    [
        "--help",
        "-h",
        "--hydra-help",
        "--version",
        "--multirun",
        "-m",
        "--run",
        "-r",
        "--cfg",
        "-c",
        "--package",
        "-p",
        "--resolve",
        "--info",
        "-i",
        "--shell-completion",
        "-sc",
        "--config-path",
        "-cp",
        "--config-name",
        "-cn",
        "--config-dir",
        "-cd",
        "--experimental-rerun",
    ]
)


def _refuse_unknown_flags(words: list[str]) -> None:
    """Hydra would answer an unknown flag with a page of usage."""
    for word in words:
        flag = word.partition("=")[0]
        if word.startswith("-") and flag not in FLAGS:
            raise RecbenchError(f"unknown flag {flag}{nearest(flag, FLAGS) or '.'} Known: {', '.join(sorted(FLAGS))}")


def _job(composed: Any) -> None:
    """One composed configuration, run, printed and, if asked for, submitted; in a multirun a failure spares the others."""
    from hydra.core.hydra_config import HydraConfig

    try:
        _run(composed, dict(HydraConfig.get().runtime.choices))
    except RecbenchError as error:
        failed.append(str(error))
        print(f"recbench: {error}", file=sys.stderr)


def _run(composed: Any, chosen: dict[str, str]) -> None:
    from pathlib import Path

    from recbench import leaderboard
    from recbench.config import Settings, plan_of, settings_of
    from recbench.run import Surroundings, execute
    from recbench.track import tracker

    settings: Settings = settings_of(composed)
    plan = plan_of(composed, chosen)
    trackers = tracker(chosen["track"], **dict(composed.track or {}))
    command = shlex.join(["python", "-m", "recbench", *sys.argv[1:]])
    around = Surroundings(Path(settings.out), settings.cores, settings.progress, settings.resume, command, trackers)
    print(
        f"recbench: model={plan.model} board={plan.board.name} seed={plan.seed} -> {around.out / plan.key}", flush=True
    )
    entry = execute(plan, around)
    root = Path(settings.leaderboards)
    shown = leaderboard.submit(entry, plan.board, root) if settings.submit else root / plan.board.name
    entries = {e.key: e for e in leaderboard.read(shown)} if plan.on_board else {}
    board_rows = leaderboard.table(list((entries | {entry.key: entry}).values()), entry.key)
    _print_scores(entry)
    _print_rows(f"Board {plan.board.name}{'' if plan.on_board else ' (this run is off the board)'}", board_rows)
    for line in filter(None, [t.finish(entry, board_rows) for t in trackers]):
        print(line)


def _print_scores(entry: Any) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{entry.model} on {entry.board}: {entry.n_queries} queries, seed {entry.seed}")
    for name in ("metric", "test", "95% interval over users"):
        table.add_column(name, no_wrap=True)
    for label, s in entry.scores.items():
        table.add_row(label, f"{s['value']:.4f}", "" if s["low"] is None else f"{s['low']:.4f} to {s['high']:.4f}")
    Console().print(table)


def _print_rows(title: str, rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title)
    columns = [*list(rows[0])[:3], "seeds", "fit s"]
    for name in columns:
        table.add_column(name, no_wrap=True)
    for row in rows:
        table.add_row(*[str(row[c]) for c in columns], style="bold" if "this run" in row["model"] else "")
    Console().print(table)


def _list(words: list[str]) -> int:
    from rich.console import Console
    from rich.table import Table

    table = Table("kind", "name", "distribution", "version", "meaning")
    for kind in registry.KINDS:
        for plugin in registry.plugins(kind):
            try:
                meaning = plugin.meaning
            except RecbenchError as error:
                meaning = f"BROKEN: {error}"
            table.add_row(kind, plugin.name, plugin.distribution, plugin.version, meaning)
    Console().print(table)
    return 0


def _show(words: list[str]) -> int:
    import dataclasses

    from rich.console import Console
    from rich.table import Table

    kind, _, name = (words or [""])[0].partition("=")
    if kind == "board":
        from recbench.config import board

        table = Table("field", "value", title=f"board={name}")
        for field in dataclasses.fields(board(name)):
            table.add_row(field.name, str(getattr(board(name), field.name)))
    elif kind in ("model", "data"):
        from recbench import params

        plugin = registry.find(kind, name)
        table = Table("name", "default", "allowed", "search", "meaning", title=f"{kind}={name}: {plugin.meaning}")
        for row in params.table(plugin.load().Params):
            table.add_row(*row.values())
    else:
        raise RecbenchError("show what? write show model=NAME, show data=NAME or show board=NAME")
    Console().print(table)
    return 0


def _target(words: list[str], command: str) -> tuple[str, str]:
    """The kind and the name in `kind=name`."""
    kind, _, name = (words or [""])[0].partition("=")
    if kind not in ("model", "data", "metric") or not name:
        raise RecbenchError(f"{command} what? write {command} model=NAME, data=NAME or metric=NAME")
    return kind, name


def _check(words: list[str]) -> int:
    from recbench.testing.kit import run_checks

    plugin = registry.find(*_target(words, "check"))
    results = run_checks(plugin.load())
    for name, error in results:
        print(f"{'pass' if error is None else 'FAIL'}  {name}{'' if error is None else f': {error}'}")
    wrong = sum(error is not None for _, error in results)
    print(
        f"{plugin.kind}={plugin.name} from {plugin.distribution} {plugin.version}: {len(results) - wrong} passed, {wrong} failed"
    )
    return 1 if wrong else 0


def _new_plugin(words: list[str]) -> int:
    from pathlib import Path

    from recbench.scaffold import new_plugin

    kind, name = _target(words, "new-plugin")
    folder = Path(f"recbench-{kind}-{name}")
    for path in new_plugin(kind, name, folder):
        print(f"wrote {path}")
    shown = f"ranking.{name}" if kind == "metric" else name
    print(f"next: pip install -e {folder} && python -m recbench check {kind}={shown}")
    return 0
