"""Hydra's side of a sweep: model, data and board make cells, and each cell is one job that searches by itself.

Hydra loads this file at every start and wants a sweeper under `hydra_plugins`: nothing heavy belongs here.
"""

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Quote, QuotedString


class CellSweeper(BasicSweeper):
    """Hands ranges on `model.*` to the job as the words they are; what is left for Hydra's product are the cells."""

    def sweep(self, arguments):
        """Launch one job a cell."""
        given = OverridesParser.create().parse_overrides(arguments)
        ranges = [str(o.input_line) for o in given if o.key_or_group.startswith("model.") and o.is_sweep_override()]
        words = ",".join(QuotedString(line, Quote.single).with_quotes() for line in ranges)
        return super().sweep([*(line for line in arguments if line not in ranges), f"+sweep.space=[{words}]"])


ConfigStore.instance().store(
    group="hydra/sweeper",
    name="recbench",
    node={"_target_": "hydra_plugins.recbench_sweeper.CellSweeper", "max_batch_size": None, "params": None},
    provider="recbench",
)
