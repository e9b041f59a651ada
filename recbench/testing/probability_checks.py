"""What every metric of a behaviour board must keep, on answers about two behaviours, with ties.

Letters: Q questions, B behaviours asked about.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from recbench.metric import Metric, Probabilities
from recbench.testing.common import Check
from recbench.testing.metric_lists import train
from recbench.testing.snapshot import changed, snapshot

BEHAVIORS = ("click", "buy")
LABELS = (None, *BEHAVIORS)  # of what a metric may be asked


def chosen(cls: type[Metric]) -> list[Check]:
    """The checks that apply to a metric of behaviour: the direction only where it reads the probabilities."""
    checks: list[Check] = [
        probabilities_judged_finitely,
        exact_probabilities_are_best,
        order_of_answers_is_nothing,
        label_names_what_is_judged,
        whole_sample_has_the_value,
        sample_is_its_questions_repeated,
        leaves_answers_alone,
    ]
    return [*checks, opposite_probabilities_are_worse] if _reads_probabilities(cls) else checks


def _answers(seed: int = 0, drawn: bool = False) -> Probabilities:
    """Probabilities of one decimal for 90 questions of 12 users; `drawn`: some that came to nothing stand for three."""
    rng = np.random.default_rng(seed)
    user_Q = np.sort(rng.integers(12, size=90))
    true_QB = rng.random((90, 2)) < (0.4, 0.2)
    predicted_QB = np.clip(true_QB * 0.2 + rng.random((90, 2)), 0, 1).round(1)
    rate_Q = np.where(drawn & ~true_QB.any(axis=1), 1 / 3, 1.0)
    return Probabilities(predicted_QB, true_QB, user_Q, rate_Q, BEHAVIORS, np.array([0.5, 0.4]))


def _every() -> Iterator[tuple[str | None, Probabilities]]:
    for behavior in LABELS:
        for drawn in (False, True):
            yield behavior, _answers(drawn=drawn)


def _rows(answers: Probabilities, row: NDArray) -> Probabilities:
    columns = {name: getattr(answers, name)[row] for name in ("predicted_QB", "true_QB", "user_Q", "rate_Q")}
    return replace(answers, **columns)


def _values(cls: type[Metric], answers: Probabilities, behavior: str | None = None) -> NDArray:
    return np.asarray(cls("name", behavior=behavior)(answers, train()), dtype=np.float64)


def _value(cls: type[Metric], answers: Probabilities, behavior: str | None = None) -> float:
    return cls("name", behavior=behavior).of_mean(float(_values(cls, answers, behavior).mean()))


def _exact(answers: Probabilities) -> Probabilities:
    return replace(answers, predicted_QB=answers.true_QB.astype(np.float64))


def _reads_probabilities(cls: type[Metric]) -> bool:
    try:
        return _value(cls, _answers()) != _value(cls, _exact(_answers()))
    except Exception:
        return False  # the other checks say what is broken


def probabilities_judged_finitely(cls: type[Metric]) -> None:
    """One finite value a question, or one for all, also where all, or none, come true or one thing is said of all."""
    some = _answers()
    flat = [replace(some, predicted_QB=np.full((90, 2), p)) for p in (0.0, 0.3, 1.0)]
    alike = [replace(some, true_QB=np.full((90, 2), outcome)) for outcome in (False, True)]
    for answers in (some, _answers(drawn=True), *flat, *alike):
        for behavior in LABELS:
            found = _values(cls, answers, behavior)
            n = len(np.unique(answers.user_Q)) if cls.per_user else len(answers.user_Q)
            assert found.shape in ((n,), (1,)), f"{cls.__name__}: must give shape ({n},) or (1,); given {found.shape}"
            assert np.isfinite(found).all(), f"{cls.__name__}: values hold NaN or infinity"


def exact_probabilities_are_best(cls: type[Metric]) -> None:
    """No probabilities have a better value than those of who knows what happens."""
    for behavior, answers in _every():
        best = _value(cls, _exact(answers), behavior)
        for seed in range(1, 11):
            other = _value(cls, replace(answers, predicted_QB=_answers(seed).predicted_QB), behavior)
            right = best >= other - 1e-9 if cls.higher_is_better else best <= other + 1e-9
            assert right, f"{cls.__name__}: what happened has {best:g}, a guess {other:g}; is the direction right?"


def opposite_probabilities_are_worse(cls: type[Metric]) -> None:
    """What happened, turned into its opposite, has a worse value, as `higher_is_better` says."""
    for behavior, answers in _every():
        exact = _exact(answers)
        best = _value(cls, exact, behavior)
        worst = _value(cls, replace(exact, predicted_QB=1 - exact.predicted_QB), behavior)
        right = best > worst if cls.higher_is_better else best < worst
        assert right, f"{cls.__name__}: what happened has {best:g}, its opposite {worst:g}; is the direction right?"


def order_of_answers_is_nothing(cls: type[Metric]) -> None:
    """The same questions in another order come to the same value."""
    for behavior, answers in _every():
        order = np.random.default_rng(2).permutation(len(answers.user_Q))
        before, after = _value(cls, answers, behavior), _value(cls, _rows(answers, order), behavior)
        assert abs(before - after) < 1e-9, f"{cls.__name__}: the order of the questions changes {before:g} to {after:g}"


def label_names_what_is_judged(cls: type[Metric]) -> None:
    """`name@behaviour` is what it is written, and judges that behaviour alone, as `name` does where no other is asked."""
    for b, behavior in enumerate(BEHAVIORS):
        label = cls("name", behavior=behavior).label
        assert label == f"name@{behavior}", f"{cls.__name__}: label must be 'name@{behavior}'; given '{label}'"
        for answers in (_answers(), _answers(drawn=True)):
            columns = {name: getattr(answers, name)[:, [b]] for name in ("predicted_QB", "true_QB")}
            alone = replace(answers, **columns, threshold_B=answers.threshold_B[[b]], behaviors=(behavior,))
            among, by_itself = _value(cls, answers, behavior), _value(cls, alone)
            assert abs(among - by_itself) < 1e-9, (
                f"{cls.__name__}: name@{behavior} is {among:g} among others, but by itself it is {by_itself:g}"
            )


def whole_sample_has_the_value(cls: type[Metric]) -> None:
    """The sampler finds for the sample that holds each question once what the metric says of it."""
    for behavior, answers in _every():
        value_of = cls("name", behavior=behavior).sampler(answers, train())
        if value_of is not None:
            given, value = value_of(np.ones(len(answers.user_Q))), _value(cls, answers, behavior)
            assert abs(given - value) < 1e-9, f"{cls.__name__}: the sampler has {given:g}, the metric {value:g}"


def sample_is_its_questions_repeated(cls: type[Metric]) -> None:
    """The sampler finds for users drawn several times, or not at all, what the metric says of their questions so often."""
    for behavior, answers in _every():
        value_of = cls("name", behavior=behavior).sampler(answers, train())
        if value_of is None:
            continue
        for seed in range(5):
            times_Q = np.random.default_rng(seed).multinomial(12, [1 / 12] * 12)[answers.user_Q]
            given = value_of(times_Q.astype(np.float64))
            repeated = _value(cls, _rows(answers, np.repeat(np.arange(len(times_Q)), times_Q)), behavior)
            assert abs(given - repeated) < 1e-9, (
                f"{cls.__name__}: the sampler has {given:g} for a sample, the metric {repeated:g} for its questions"
            )


def leaves_answers_alone(cls: type[Metric]) -> None:
    """The answers are the same after the call: the next metric reads them too."""
    for behavior, answers in _every():
        before = snapshot(answers)
        _values(cls, answers, behavior)
        touched = changed(before, snapshot(answers))
        assert not touched, f"{cls.__name__}: changed {touched}; copy before you write"
