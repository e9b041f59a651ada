"""Words to plan: Hydra composes, the plugins' own dataclasses are the schema. Only this module knows Hydra."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override, OverrideType, Sweep, ValueType
from hydra.core.plugins import Plugins
from hydra.errors import ConfigCompositionException
from hydra.plugins.config_source import ConfigResult, ConfigSource
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import DictConfig, OmegaConf

from recbench import registry
from recbench.boards import board
from recbench.errors import RecbenchError
from recbench.params import Params, checked, types_of
from recbench.plan import Plan
from recbench.settings import Run, Search, Trainer

GROUPS = ("model", "data")
CELLS = (*GROUPS, "board")
OTHER_GROUPS = ("sweep", "track", "trainer")
FORCED = "++"  # before a word: set, whether or not it is there
_HERE = Path(__file__).resolve().parent
CONF = _HERE / "conf" if (_HERE / "conf").is_dir() else _HERE.parent / "conf"


SETTINGS = {"run": Run, "trainer/default": Trainer}


class ClassConfigSource(ConfigSource):
    """Serves what classes declare: the settings above, and `model/NAME` and `data/NAME` from entry points.

    A plugin is imported only when it is chosen.
    """

    @staticmethod
    def scheme() -> str:
        return "recbench"

    def available(self) -> bool:
        return True

    def load_config(self, config_path: str) -> ConfigResult:
        path = self._normalize_file_name(config_path).removesuffix(".yaml")
        if path in SETTINGS:
            node = OmegaConf.create(SETTINGS[path]().as_dict())
        else:
            try:
                node = OmegaConf.structured(registry.find(*path.split("/", 1)).load().Params)
            except RecbenchError as error:
                raise ConfigCompositionException(str(error)) from error
            OmegaConf.set_readonly(node, None)  # a frozen dataclass arrives read-only and would refuse overrides
        return ConfigResult(
            provider=self.provider, path=f"recbench://{config_path}", config=node, header={"package": None}
        )

    def is_group(self, config_path: str) -> bool:
        return config_path in ("", "trainer", *GROUPS)

    def is_config(self, config_path: str) -> bool:
        path = config_path.removesuffix(".yaml")
        kind, _, name = path.partition("/")
        known = registry.plugins(kind) if kind in GROUPS else ()
        return path in SETTINGS or any(name in (p.name, f"{p.distribution}/{p.name}") for p in known)

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        groups, configs = {"": (["trainer", *GROUPS], ["run"]), "trainer": ([], ["default"])}.get(
            config_path, ([], registry.names(config_path) if config_path in GROUPS else [])
        )
        return [
            *(groups if results_filter != ObjectType.CONFIG else []),
            *(configs if results_filter != ObjectType.GROUP else []),
        ]


class ClassSearchPath(SearchPathPlugin):
    """Puts the classes behind conf/, so that a YAML of the user's comes first."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        search_path.append("recbench", "recbench://")


def register() -> None:
    """Make the source of classes known to Hydra; once, before composing."""
    for plugin in (ClassConfigSource, ClassSearchPath):
        Plugins.instance().register(plugin)


def check_words(words: list[str], multirun: bool = False) -> None:
    """Refuse unknown names, parameters, types and ranges before anything is composed, in our own words."""
    overrides = [o for o in _parsed(words) if o.type != OverrideType.DEL]
    chosen: dict[str, list[str]] = {}
    for o in overrides:
        if o.key_or_group in GROUPS:
            chosen[o.key_or_group] = [str(v) for v in _values(o)]
    for kind, given in chosen.items():
        for name in given:
            registry.find(kind, name).load()
    for o in overrides:
        if o.key_or_group in OTHER_GROUPS and o.value() is None:
            raise RecbenchError(f"{o.input_line}: leave {o.key_or_group}= out, or name one")
        if (kind := o.key_or_group.partition(".")[0]) in GROUPS and kind not in chosen:
            raise RecbenchError(f"{o.input_line} needs a {kind}; say which before it, as in {kind}=NAME")
    for o in overrides:
        kind, _, name = o.key_or_group.partition(".")
        for value in _values(o):
            if kind in GROUPS and name:
                for plugin in chosen.get(kind, []):
                    checked(registry.find(kind, plugin).load().Params, name, value, f"{kind}={plugin}")
            elif kind == "board":
                board(str(value))
            elif kind == "sweep":
                checked(Search, name or "kind", value, "sweep")
            elif kind == "trainer" and name:
                checked(Trainer, name, value, "trainer")
            elif kind not in (*GROUPS, *OTHER_GROUPS) and not name and "/" not in kind:
                checked(Run, kind, value, "a run")
    sweeps = [str(o.value()) for o in overrides if o.key_or_group == "sweep"]
    _check_sweep(overrides, sweeps[-1] if sweeps else "", multirun)
    if sweeps:
        for name in chosen.get("model", []):
            space_of(name, words, sweeps[-1])


def _parsed(words: Sequence[str]) -> list[Override]:
    return OverridesParser.create().parse_overrides(list(words))


def _values(override: Override) -> Iterator[Any]:
    """What an override says: its value, the values of a list or range, the bounds of an interval."""
    value = override.value()
    if isinstance(value, IntervalSweep):
        yield from (value.start, value.end)
    elif not isinstance(value, Sweep):
        yield getattr(value, "text", value)
    else:
        try:
            yield from (getattr(v, "text", v) for v in override.sweep_iterator())
        except ValueError as error:  # a range with step 0
            raise RecbenchError(f"{override.input_line}: {error}; write range(START,STOP,STEP)") from error


def _check_sweep(overrides: list[Override], kind: str, multirun: bool) -> None:
    """Refuse what `sweep=` cannot do, and what cannot do without it."""
    kinds = "grid, random or bayes"
    for o in overrides:
        key, line = o.key_or_group, o.input_line
        if not kind and key.startswith("sweep."):
            raise RecbenchError(f"{line} needs a sweep; add sweep={kinds}")
        if not kind and multirun and o.is_interval_sweep():
            raise RecbenchError(
                f"{line}: an interval has no list of values; add sweep=random or bayes, or write choice()"
            )
        if not kind or key in CELLS or not o.is_sweep_override():
            continue
        if key == "seed":
            raise RecbenchError(
                f"{line}: with sweep= the winner runs with each of the board's seeds; write one seed, or leave sweep= out"
            )
        if not key.startswith("model."):
            raise RecbenchError(
                f"{line}: with sweep= only {', '.join(CELLS)} may list several and only model.* is searched; write one value"
            )
        if o.value_type == ValueType.SIMPLE_CHOICE_SWEEP:
            listed = str(line).partition("=")[2]
            raise RecbenchError(
                f"{line}: with sweep= a comma list makes cells, of {', '.join(CELLS)} alone; write {key}=choice({listed}) "
                "to search it, or leave sweep= out for a run each"
            )
    if kind and not multirun:
        raise RecbenchError(f"sweep={kind} makes many runs: add -m, as in python -m recbench -m sweep={kind} ...")


def space_of(model: str, words: Sequence[str], kind: str, task: str = "") -> dict[str, dict[str, Any]]:
    """What is searched of a model on boards of a task: parameter -> choices, or low, high and log.

    It is the plugin's own space, less what says something in another task alone; a word such as `model.dim=choice(32,64)`
    replaces a parameter's, a value fixes it.
    """
    cls, owner, space = registry.find("model", model).load().Params, f"model={model}", {}
    given = {o.key_or_group: o for o in _parsed(words)}
    for f in dataclasses.fields(cls):
        override = given.get(f"model.{f.name}")
        if override is None:
            searched = f.metadata.get("tune") and f.metadata.get("task", "") in ("", task)
            axis = _own_axis(cls, f) if searched else None
        else:
            axis = _axis(cls, f, override, owner) if override.is_sweep_override() else None
        if axis:
            space[f.name] = axis
    endless = [name for name, axis in space.items() if "choices" not in axis]
    if kind == "grid" and endless:
        ways = " ".join(f"model.{name}=choice(...)" for name in endless)
        raise RecbenchError(
            f"{owner}: sweep=grid needs values for {', '.join(endless)}; write {ways}, range(...), or one value to fix it"
        )
    return space


def _own_axis(cls: type[Params], f: dataclasses.Field) -> dict[str, Any]:
    meta = f.metadata
    if meta["choices"] or types_of(cls)[f.name][0] is bool:
        return {"choices": list(meta["choices"] or (False, True))}
    return {bound: checked(cls, f.name, meta[bound]) for bound in ("low", "high")} | {"log": meta["log"]}


def _axis(cls: type[Params], f: dataclasses.Field, override: Override, owner: str) -> dict[str, Any]:
    values = [checked(cls, f.name, v, owner) for v in _values(override)]
    value: Any = override.value()
    if not isinstance(value, IntervalSweep):
        if not values:
            raise RecbenchError(f"{override.input_line} holds no value; the end of a range is not part of it")
        return {"choices": list(dict.fromkeys(values))}
    (low, high), log = values, f.metadata["log"] or "log" in value.tags
    if low > high or (log and low <= 0):
        raise RecbenchError(f"{override.input_line}: write interval(LOW,HIGH), LOW above 0 on a log scale")
    return {"low": low, "high": high, "log": log}


def plan_of(config: DictConfig, chosen: dict[str, str]) -> Plan:
    """A composed configuration as a plan; `chosen` holds the names of the `model` and `data` groups."""
    (run, trainer), data = settings_of(config), chosen.get("data") or ""
    if run.board:
        the_board = board(run.board)
    elif data:
        declared = registry.find("data", data).load().boards
        if not declared:
            why = registry.find("data", data).load().no_board
            raise RecbenchError(
                f"data={data} has no board{f': {why}' if why else ''}; give board=NAME or board=FILE.yaml"
            )
        the_board = declared[0]
    else:
        known = ", ".join(registry.names("data")) or "none"
        raise RecbenchError(f"say which data or which board, for instance data=ecommerce. Installed data: {known}")
    canonical = registry.find("data", data or the_board.data).load()
    data = data and canonical.info.name  # an alias such as social runs, and is recorded, as what it stands for
    wanted: Any = OmegaConf.to_container(config.data) if config.get("data") else {}
    params = canonical.Params(**(wanted or the_board.data_params)).as_dict()
    expected = canonical.Params(**the_board.data_params).as_dict()
    on_board = (not data or data == the_board.data) and {**params, "root": ""} == {**expected, "root": ""}
    if not chosen.get("model"):
        raise RecbenchError(
            f"say which model, for instance model=popular. Installed models: {', '.join(registry.names('model')) or 'none'}"
        )
    plugin = registry.find("model", chosen["model"])
    model_params: Any = OmegaConf.to_container(config.model)
    return Plan(
        board=the_board,
        on_board=on_board,
        data=data or the_board.data,
        data_params=params,
        model=plugin.name,
        model_params=plugin.load().Params(**model_params).as_dict(),
        distribution=plugin.distribution,
        version=plugin.version,
        seed=run.seed,
        precision=trainer.precision,
        device=trainer.device,
        max_minutes=trainer.max_minutes,
        devices=trainer.devices,
        compile=trainer.compile,
        calibration=run.calibration,
    )


def settings_of(config: DictConfig) -> tuple[Run, Trainer]:
    """The run's settings, checked; RecbenchError names the one that is wrong."""
    run = {f.name: checked(Run, f.name, config[f.name], "a run") for f in dataclasses.fields(Run)}
    trainer = {name: checked(Trainer, str(name), value, "trainer") for name, value in config.trainer.items()}
    return Run(**run), Trainer(**trainer)


def search_of(config: DictConfig) -> Search | None:
    """The settings of the sweep this job belongs to, None where it is a run of its own."""
    sweep = config.get("sweep")
    return Search(kind=sweep.kind, trials=sweep.trials) if sweep else None


def of_each(words: list[str]) -> list[str]:
    """The words as Hydra takes them where several models or data sets are named: what all jobs share it composes without
    any of them, and would know no parameter to set, so that `model.x=1` has to read `++model.x=1`. They were checked."""
    several = tuple(f"{o.key_or_group}." for o in _parsed(words) if o.key_or_group in GROUPS and o.is_sweep_override())
    return [FORCED + word if word.startswith(several) else word for word in words]


def words_of(config: DictConfig, overrides: Sequence[str]) -> list[str]:
    """The words of a job as the user would write them, its ranges back in place."""
    kept = [word.removeprefix(FORCED) for word in overrides if not word.startswith("+sweep.space=")]
    return [*kept, *(config.sweep.space if config.get("sweep") else [])]
