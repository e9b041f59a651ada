"""python -m recbench: a subcommand, or Hydra overrides that make a run; user errors are one line."""

from __future__ import annotations

import os
import shlex
import sys
from typing import Any

from recbench import __version__, registry, show
from recbench.errors import RecbenchError, nearest, one_line

USAGE = """recbench: recommenders, data and metrics as plugins; results with their proof

  python -m recbench model=transformer data=ecommerce           one run
  python -m recbench -m model=popular,ease data=ecommerce       several runs
  python -m recbench -m model=ease data=ecommerce sweep=bayes   tuned, then run
  python -m recbench model=ease board=ecommerce-repeat submit=true
  python -m recbench list                                       the plugins
  python -m recbench show model=NAME                            its parameters
  python -m recbench show board=NAME                            the protocol
  python -m recbench data list                                  sizes and terms
  python -m recbench data show NAME                             its data card
  python -m recbench check model=NAME                           conformance kit
  python -m recbench new-plugin model=NAME                      a new package
  python -m recbench new-plugin model=NAME task=behavior        of behaviours

show, check and new-plugin also take data=NAME and metric=TASK.NAME.
Tab completes the names after: eval "$(recbench -sc install=bash)" (or zsh).
"""
failed: list[str] = []


def main(argv: list[str] | None = None) -> int:
    """Run the command line; the exit status is 0, 1 for a user error, 130 for Ctrl-C."""
    words = sys.argv[1:] if argv is None else argv
    try:
        if words and words[0] in SUBCOMMANDS:
            return SUBCOMMANDS[words[0]](words[1:])
        if words and words[0] in registry.names("command"):
            return int(registry.find("command", words[0]).load()(words[1:]) or 0)
        if words in ([], ["help"]) or {"--help", "-h"} & set(words):
            print(USAGE)
            show.choices()
            return 0
        if "--version" in words:
            print(f"recbench {__version__}")
            return 0
        return _hydra(words)
    except RecbenchError as error:
        print(f"recbench: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # the reader, head for instance, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
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

    given = _parsed(words)
    config.register()
    try:
        if not given.shell_completion:  # whose words are a shell's, and half written
            config.check_words(given.overrides, given.multirun)
        # Overrides in one block, or argparse would refuse them; the name under which Tab completion is installed.
        own = given.overrides if given.shell_completion else config.of_each(given.overrides)
        sys.argv = ["recbench", *own, *[word for word in words if word not in given.overrides]]
        failed.clear()
        hydra.main(version_base="1.3", config_path=str(config.CONF), config_name="config")(_job)()
    except (HydraException, OmegaConfBaseException) as error:
        if given.shell_completion:  # nobody wants to read this while typing
            return 1
        raise RecbenchError(one_line(error).partition(": ")[2].partition(" Config search path:")[0]) from error
    except (FileExistsError, NotADirectoryError, PermissionError) as error:  # Hydra makes the folder of a multirun
        raise RecbenchError(
            f"cannot write {error.filename}: {error.strerror}; choose another folder with out=FOLDER"
        ) from error
    return 1 if failed else 0


def _parsed(words: list[str]) -> Any:
    """The words as Hydra's own parser reads them; RecbenchError where it would print a page of usage."""
    from hydra._internal.utils import get_args_parser

    parser = get_args_parser()
    flags = [flag for action in parser._actions for flag in action.option_strings]

    def refuse(message: str) -> None:
        wrong = message.rpartition(" ")[2]
        raise RecbenchError(f"{message}{nearest(wrong, flags)}; python -m recbench --hydra-help lists the flags")

    parser.error = refuse  # type: ignore[method-assign]
    given = parser.parse_intermixed_args(words)
    if sum(map(bool, (given.run, given.multirun, given.cfg, given.info, given.shell_completion))) > 1:
        raise RecbenchError("choose one of --run, --multirun (-m), --cfg, --info and --shell-completion")
    if given.experimental_rerun:
        raise RecbenchError("--experimental-rerun would read a pickle; run the command that the entry.json holds")
    commands = [*SUBCOMMANDS, *registry.names("command")]
    for word in given.overrides:
        if "=" not in word and not word.startswith("~"):
            raise RecbenchError(
                f"'{word}' is neither a command nor name=value{nearest(word, commands) or '.'} Commands: {', '.join(commands)}"
            )
    if given.shell_completion:  # `recbench show model=tr` completes as `recbench model=tr`
        line = os.environ.get("COMP_LINE", "").split(" ")
        os.environ["COMP_LINE"] = " ".join([*line[:1], *[word for word in line[1:] if word not in commands]])
    return given


def _job(composed: Any) -> None:
    """One composed configuration, run, printed and, if asked for, submitted; in a multirun a failure spares the others."""
    from hydra.core.hydra_config import HydraConfig

    from recbench.config import words_of

    job = HydraConfig.get()
    try:
        _run(composed, dict(job.runtime.choices), words_of(composed, job.overrides.task))
    except RecbenchError as error:
        failed.append(str(error))
        print(f"recbench: {error}", file=sys.stderr)


def _run(composed: Any, chosen: dict[str, str], words: list[str]) -> None:
    """One run; of a cell of a sweep, the search and a run of its winner a seed."""
    from functools import partial
    from pathlib import Path

    from recbench.config import plan_of, search_of, settings_of, space_of
    from recbench.origin import keyed
    from recbench.run import Surroundings
    from recbench.track import tracker

    (run, trainer), how = settings_of(composed), search_of(composed)
    given = plan_of(composed, chosen)
    plan = keyed(given, Path(run.out))
    for name, value in plan.model_params.items():  # runs by their keys, for a path is nobody else's business
        if value != given.model_params[name]:
            words = [f"model.{name}={value}" if word.startswith(f"model.{name}=") else word for word in words]
    trackers = tracker(chosen["track"], **dict(composed.track or {}))
    command = shlex.join(["python", "-m", "recbench", *(["-m"] if how else []), *words])
    around = Surroundings(Path(run.out), trainer.cores, trainer.progress, run.resume, command, trackers)
    say = partial(print, flush=True)
    if how is None:
        say(f"recbench: model={plan.model} board={plan.board.name} seed={plan.seed} -> {around.out / plan.key}")
        entry = _carried_out(plan, around, words)
        if entry is not None:
            _finish(entry, plan, run, trackers)
        return
    from recbench.tune import search

    if plan.devices > 1:
        raise RecbenchError(
            f"trainer.devices={plan.devices} is for one run, and a sweep tries many; leave one of them out"
        )
    seeds = [plan.seed] if any(word.lstrip("+").startswith("seed=") for word in words) else plan.board.seeds
    space = space_of(chosen["model"], words, how.kind, plan.board.task)
    for entry in search(plan, around, space, how.kind, how.trials, seeds, say):
        _finish(entry, plan, run, trackers)


def _carried_out(plan: Any, around: Any, words: list[str]) -> Any:
    """The entry of a run; None in a process that another one has started to assist it."""
    from dataclasses import replace

    from recbench.run import answering, assist, execute

    if plan.devices == 1:
        return execute(plan, around)
    answering(plan)  # what it refuses is refused before processes are started
    from recbench.neural.team import together

    with together(plan.devices, plan.device, words) as team:
        if team.number:
            return assist(plan, replace(around, team=team, trackers=(), progress=False))
        return execute(plan, replace(around, team=team))


def _finish(entry: Any, plan: Any, run: Any, trackers: Any) -> None:
    """Submit the entry if asked for, and print it with its board."""
    from pathlib import Path

    from recbench import leaderboard

    root = Path(run.leaderboards)
    shown = leaderboard.submit(entry, plan.board, root) if run.submit else root / plan.board.name
    others = leaderboard.read(shown) if plan.on_board else []
    same = {
        e.key: e for e in others if (e.protocol_hash, e.data_checksum) == (entry.protocol_hash, entry.data_checksum)
    }
    board_rows = leaderboard.table(list((same | {entry.key: entry}).values()), entry.key)
    show.scores(entry)
    title = f"Board {plan.board.name}{'' if plan.on_board else ' (this run is off the board)'}"
    show.table(board_rows, title, ["rank", "model", entry.headline, "seeds", "fit s"])
    for line in filter(None, [t.finish(entry, board_rows) for t in trackers]):
        print(line)


def _list(words: list[str]) -> int:
    for word in words:
        if word not in show.LISTED:
            hint, kinds = nearest(word, show.LISTED) or ".", ", ".join(show.LISTED)
            raise RecbenchError(f"list {word}: no such kind{hint} Kinds: {kinds}")
    show.installed(words)
    return 0


def _show(words: list[str]) -> int:
    kind, name = _target(words, "show", (*registry.KINDS[:3], "board"))
    if kind == "board":
        from recbench.boards import board

        show.board(board(name))
    else:
        show.plugin(kind, name)
    return 0


def _target(words: list[str], command: str, kinds: tuple[str, ...] = registry.KINDS[:3]) -> tuple[str, str]:
    """The kind and the name in `kind=name`."""
    kind, _, name = (words or [""])[0].partition("=")
    if kind not in kinds or not name or len(words) > 1:
        ways = ", ".join(f"{command} {kind}=NAME" for kind in kinds)
        raise RecbenchError(f"{command} what? write one of {ways}; python -m recbench list has the names")
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

    tasks = {word.removeprefix("task=") for word in words if word.startswith("task=")}
    kind, name = _target([word for word in words if not word.startswith("task=")], "new-plugin")
    if kind == "metric" and "." in name:
        task, name = name.split(".", 1)
        tasks.add(task)
    if len(tasks) > 1:
        raise RecbenchError(f"new-plugin writes for one task; given {' and '.join(map(repr, sorted(tasks)))}")
    folder, task = Path(f"recbench-{kind}-{name}"), next(iter(tasks), "ranking")
    for path in new_plugin(kind, name, folder, task):
        print(f"wrote {path}")
    shown = f"{task}.{name}" if kind == "metric" else name
    print(f"next: pip install -e {folder} && python -m recbench check {kind}={shown}")
    return 0


def _data(words: list[str]) -> int:
    from recbench.card.command import data

    return data(words)


SUBCOMMANDS = {"list": _list, "show": _show, "check": _check, "new-plugin": _new_plugin, "data": _data}
