"""The checks a plugin class must pass, chosen by its kind and traits; inside pytest and outside."""

from __future__ import annotations

from functools import partial
from typing import Any

from recbench.dataset import DatasetSource
from recbench.errors import RecbenchError, one_line
from recbench.metric import Metric
from recbench.model import Recommender
from recbench.testing import data_checks, metric_checks, model_checks
from recbench.testing.common import Check


def checks_of(cls: type) -> list[Check]:
    """The check functions that apply to a plugin class, cheapest first; RecbenchError where it is no plugin class."""
    if isinstance(cls, type) and issubclass(cls, Recommender):
        return model_checks.chosen(cls)
    if isinstance(cls, type) and issubclass(cls, DatasetSource):
        return data_checks.chosen(cls)
    if isinstance(cls, type) and issubclass(cls, Metric):
        return metric_checks.chosen(cls)
    raise RecbenchError(f"checks need a Recommender, DatasetSource or Metric class; given {cls!r}")


def checks(cls: type) -> Any:
    """Decorator: `@checks(Acme)` runs `def test_contract(check): check()` once for each check, under its name."""
    import pytest

    return pytest.mark.parametrize("check", [pytest.param(partial(c, cls), id=c.__name__) for c in checks_of(cls)])


def run_checks(cls: type) -> list[tuple[str, str | None]]:
    """(name, None or what is wrong in one line) for each check of the class."""
    return [(check.__name__, failure(check, cls)) for check in checks_of(cls)]


def failure(check: Check, cls: type) -> str | None:
    """What a check finds wrong with a class, in one line, or None."""
    try:
        check(cls)
    except AssertionError as error:
        return " ".join(str(error).split()) or check.__name__
    except Exception as error:
        return one_line(error)
    return None
