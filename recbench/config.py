"""Words to plan: Hydra composes, the plugins' own dataclasses are the schema. Only this module knows Hydra."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import OverrideType, Sweep
from hydra.core.plugins import Plugins
from hydra.errors import ConfigCompositionException
from hydra.plugins.config_source import ConfigResult, ConfigSource
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import DictConfig, OmegaConf

from recbench import registry
from recbench.errors import RecbenchError, nearest, one_line
from recbench.params import Params, checked, param
from recbench.plan import Board, Plan

GROUPS = ("model", "data")
_HERE = Path(__file__).resolve().parent
CONF = _HERE / "conf" if (_HERE / "conf").is_dir() else _HERE.parent / "conf"


class PluginConfigSource(ConfigSource):
    """Serves `model/NAME` and `data/NAME` from entry points; a plugin is imported only when chosen."""

    @staticmethod
    def scheme() -> str:
        return "recbench"

    def available(self) -> bool:
        return True

    def load_config(self, config_path: str) -> ConfigResult:
        kind, _, name = self._normalize_file_name(config_path).removesuffix(".yaml").partition("/")
        try:
            node = OmegaConf.structured(registry.find(kind, name).load().Params)
        except RecbenchError as error:
            raise ConfigCompositionException(str(error)) from error
        OmegaConf.set_readonly(node, None)  # a frozen dataclass arrives read-only and would refuse overrides
        return ConfigResult(
            provider=self.provider, path=f"recbench://{config_path}", config=node, header={"package": None}
        )

    def is_group(self, config_path: str) -> bool:
        return config_path in ("", *GROUPS)

    def is_config(self, config_path: str) -> bool:
        kind, _, name = config_path.removesuffix(".yaml").partition("/")
        return (
            kind in GROUPS
            and bool(name)
            and any(name in (p.name, f"{p.distribution}/{p.name}") for p in registry.plugins(kind))
        )

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        if config_path == "":
            return [] if results_filter == ObjectType.CONFIG else list(GROUPS)
        return registry.names(config_path) if config_path in GROUPS and results_filter != ObjectType.GROUP else []


class PluginSearchPath(SearchPathPlugin):
    """Puts the plugins behind conf/, so that a YAML of the user's comes first."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        search_path.append("recbench-plugins", "recbench://")


def register() -> None:
    """Make the plugin source known to Hydra; once, before composing."""
    for plugin in (PluginConfigSource, PluginSearchPath):
        Plugins.instance().register(plugin)


def check_words(words: list[str]) -> None:
    """Refuse unknown names, parameters, types and ranges before anything is composed, in our own words."""
    overrides = [o for o in OverridesParser.create().parse_overrides(words) if o.type == OverrideType.CHANGE]
    chosen: dict[str, list[str]] = {}
    for o in overrides:
        if o.key_or_group in GROUPS:
            chosen[o.key_or_group] = [str(v) for v in _values(o)]
    for kind, given in chosen.items():
        for name in given:
            registry.find(kind, name).load()
    for o in overrides:
        kind, _, parameter = o.key_or_group.partition(".")
        if kind in GROUPS and parameter:
            for name in chosen.get(kind, []):
                cls = registry.find(kind, name).load().Params
                for value in _values(o):
                    checked(cls, parameter, value, f"{kind}={name}")
        elif kind == "board":
            for name in _values(o):
                board(str(name))


def _values(override: Any) -> list[Any]:
    value = override.value()
    if not isinstance(value, Sweep):
        return [getattr(value, "text", value)]
    try:
        return [getattr(v, "text", v) for v in override.sweep_iterator()]
    except Exception:  # an interval has no list of values; its bounds are the sweeper's to check
        return []


def boards() -> dict[str, Board]:
    """Every board that an installed data plugin declares, by name; broken plugins hurt nobody else."""
    found: dict[str, Board] = {}
    for plugin in registry.plugins("data"):
        try:
            found |= {b.name: b for b in plugin.load().boards}
        except RecbenchError:
            continue
    return found


def board(name: str) -> Board:
    """The board called `name`, or the one in a YAML file; RecbenchError with the nearest names."""
    if name.endswith((".yaml", ".yml")):
        return _board_file(Path(name))
    known = boards()
    if name not in known:
        raise RecbenchError(
            f"board={name} is unknown{nearest(name, known) or '.'} Installed: {', '.join(sorted(known)) or 'none'}, or a YAML file"
        )
    return known[name]


def _board_file(path: Path) -> Board:
    if not path.is_file():
        raise RecbenchError(f"board={path}: no such file")
    try:
        fields: Any = OmegaConf.to_container(OmegaConf.load(path))
    except Exception as error:
        raise RecbenchError(f"board={path} is not readable YAML ({one_line(error)})") from error
    if not isinstance(fields, dict):
        raise RecbenchError(f"board={path} must hold the fields of a board, as name: value")
    names = [f.name for f in dataclasses.fields(Board)]
    for name in fields:
        if name not in names:
            raise RecbenchError(
                f"board={path} has no field '{name}'{nearest(name, names) or '.'} It has: {', '.join(names)}"
            )
    missing = [n for n in ("name", "data", "metrics", "headline") if n not in fields]
    if missing:
        raise RecbenchError(f"board={path} lacks {', '.join(missing)}; compare python -m recbench show board=ecommerce")
    values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}
    return Board(**values)


def plan_of(config: DictConfig, chosen: dict[str, str]) -> Plan:
    """A composed configuration as a plan; `chosen` holds the names of the `model` and `data` groups."""
    settings, data = settings_of(config), chosen.get("data") or ""
    if config.get("board"):
        the_board = board(str(config.board))
    elif data:
        declared = registry.find("data", data).load().boards
        if not declared:
            raise RecbenchError(f"data={data} declares no board; give one as board=NAME or board=FILE.yaml")
        the_board = declared[0]
    else:
        known = ", ".join(registry.names("data")) or "none"
        raise RecbenchError(f"say which data or which board, for instance data=ecommerce. Installed data: {known}")
    canonical = registry.find("data", data or the_board.data).load()
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
        seed=settings.seed,
        precision=settings.precision,
        device=settings.device,
        max_minutes=settings.max_minutes,
    )


@dataclasses.dataclass(frozen=True)
class Settings(Params):
    """What conf/config.yaml and conf/trainer/ say beside the plugins, with their legal values; defaults stand there."""

    seed: int = param(1, "Seed of the run.", low=0, high=2**31 - 1)
    submit: bool = param(False, "Copy the entry to the board.")
    resume: bool = param(False, "Go on from the last checkpoint.")
    out: str = param("runs", "Folder of the runs.")
    leaderboards: str = param("leaderboards", "Folder of the boards.")
    threads: int | None = param(None, "Threads; empty: all cores.", low=1, high=1024)
    precision: str = param(
        "32-true", "Precision of training.", choices=("32-true", "bf16-mixed", "16-mixed", "64-true")
    )
    device: str = param("cpu", "Where to train.")
    max_minutes: float | None = param(None, "Bound on training time.", low=0.0, unit="minutes")
    progress: bool = param(True, "Show a progress bar.")

    @property
    def cores(self) -> int:
        return self.threads or len(os.sched_getaffinity(0))


def settings_of(config: DictConfig) -> Settings:
    """The run's settings, checked; RecbenchError names the one that is wrong."""
    found: dict[str, Any] = {}
    for f in dataclasses.fields(Settings):
        at_top = f.name in config
        value = config[f.name] if at_top else config.trainer[f.name]
        found[f.name] = checked(Settings, f.name, value, "this run" if at_top else "trainer")
    return Settings(**found)
