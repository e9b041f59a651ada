"""A parameter is declared once: conversion, range, choices and the table are read from that one place."""

from dataclasses import dataclass

import pytest

from recbench.errors import RecbenchError
from recbench.params import Params, checked, param, table


@dataclass(frozen=True)
class Knobs(Params):
    """One of each type."""

    width: int = param(8, "Width.", low=1, high=64, log=True, tune=True)
    rate: float = param(0.1, "Step.", low=0.0, high=1.0, unit="per step")
    rule: str = param("adam", "Rule.", choices=("adam", "sgd"), tune=True)
    bias: bool = param(True, "Bias.", tune=True)
    limit: float | None = param(None, "Bound.", low=0.0)
    count: int = param(1, "Count.", low=1, high=2**31)


@pytest.mark.parametrize(("name", "given", "expected"), [
    ("width", "16", 16), ("width", 16.0, 16), ("width", 1, 1), ("width", 64, 64),
    ("rate", 1, 1.0), ("rate", "1e-3", 0.001), ("rule", "sgd", "sgd"),
    ("bias", "False", False), ("bias", True, True), ("limit", None, None), ("limit", 3, 3.0),
])  # fmt: skip
def test_a_value_is_taken_in_its_type(name, given, expected):
    value = getattr(Knobs(**{name: given}), name)
    assert value == expected and type(value) is type(expected)


@pytest.mark.parametrize(("name", "given", "message"), [
    ("width", 0, "Knobs: width must be in 1 to 64; given 0"),
    ("width", 65, "in 1 to 64; given 65"),
    ("width", 2.5, "width must be a whole number; given 2.5"),
    ("width", True, "width must be a whole number; given True"),
    ("width", None, "width must be a whole number; given None"),
    ("rate", "fast", "rate must be a number; given 'fast'"),
    ("rate", float("nan"), "rate must be in 0 to 1; given nan"),
    ("rate", 1.5, "rate must be in 0 to 1; given 1.5"),
    ("rule", "sdg", "rule must be one of adam, sgd; given 'sdg'; did you mean 'sgd'?"),
    ("rule", 3, "rule must be one of adam, sgd; given 3"),
    ("rule", None, "rule must be text; given None"),
    ("count", 0, "count must be in 1 to 2147483648; given 0"),
    ("bias", "maybe", "bias must be true or false; given 'maybe'"),
    ("limit", -1, "limit must be in 0 to inf; given -1"),
])  # fmt: skip
def test_a_wrong_value_is_refused_in_one_line(name, given, message):
    with pytest.raises(RecbenchError) as caught:
        Knobs(**{name: given})
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_an_unknown_name_lists_the_known_and_the_nearest():
    with pytest.raises(RecbenchError) as caught:
        checked(Knobs, "widht", 3, "model=acme")
    text = "model=acme has no parameter 'widht'; did you mean 'width'? It has: width, rate, rule, bias, limit, count"
    assert str(caught.value) == text


def test_the_table_is_what_was_declared():
    rows = {row["name"]: row for row in table(Knobs)}
    assert rows["width"] == {
        "name": "width", "default": "8", "allowed": "1 to 64", "search": "1 to 64 (log)", "meaning": "Width.",
    }  # fmt: skip
    assert rows["rate"]["meaning"] == "Step. [per step]" and rows["rate"]["search"] == ""
    assert rows["rule"]["search"] == "adam, sgd" and rows["bias"]["search"] == "true, false"
    assert rows["limit"]["allowed"] == "0 to inf"


def test_as_dict_round_trips():
    given = Knobs(width=3, limit=2)
    assert Knobs(**given.as_dict()) == given and given.as_dict()["width"] == 3


@dataclass(frozen=True)
class Grown(Params):
    width: int = param(8, "Width.", low=1, high=64)
    young: bool = param(False, "Came after the first entries.", formerly=False)
    better: float = param(0.3, "Came later still, and is best on.", formerly=0.0)


def test_a_younger_parameter_is_told_only_where_it_is_not_as_it_was():
    assert Grown(width=3, better=0).as_dict() == {"width": 3}
    assert Grown(young=True).as_dict() == {"width": 8, "young": True, "better": 0.3}
    assert [row["name"] for row in table(Grown)] == ["width", "young", "better"]


def test_what_was_told_before_there_was_a_parameter_keeps_its_meaning():
    for given in (Grown(), Grown(young=True), Grown(better=0.0), Grown(young=True, better=0.7)):
        assert Grown.of(given.as_dict()) == given
    assert Grown.of({"width": 3}) == Grown(width=3, better=0.0) != Grown(width=3)
    with pytest.raises(RecbenchError, match="Grown has no parameter 'old'"):
        Grown.of({"old": 1})
