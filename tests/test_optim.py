"""Optimizers and the course of the learning rate: exact values, and the same course after a stop and in a refit."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from recbench import registry
from recbench.errors import RecbenchError
from recbench.model import Context
from recbench.neural import choices
from recbench.neural.choices import TrainParams
from recbench.plan import Board, Plan
from recbench.run import Surroundings, execute
from recbench.testing.worlds import chain
from recbench.track import FilesTracker

torch = pytest.importorskip("torch")
torch.set_num_threads(1)

from recbench_sequential.transformer import Transformer, TransformerParams  # noqa: E402
from torch import Tensor, nn  # noqa: E402
from torch.optim.optimizer import register_optimizer_step_pre_hook  # noqa: E402

from recbench.neural import optim  # noqa: E402

N_STEPS = 20


def rates(n: int = N_STEPS, n_falls: int = 0, **kind: object) -> list[float]:
    params = TrainParams(patience=5, **kind)
    return [optim.share_of_rate(params, step, n, n_falls) for step in range(n)]


# The course of the rate.


def test_constant_and_warmup() -> None:
    assert rates() == [1.0] * N_STEPS
    assert rates(schedule="warmup", warmup_steps=4)[:6] == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]
    assert rates(schedule="warmup", warmup_steps=0) == [1.0] * N_STEPS


def test_cosine_falls_to_nothing_at_the_last_of_all_epochs() -> None:
    course = rates(schedule="cosine", warmup_steps=4)
    assert course[:5] == [0.25, 0.5, 0.75, 1.0, 1.0]
    assert course[12] == pytest.approx(0.5), "half way between 4 and 20"
    assert course[8] == pytest.approx(0.5 + math.sqrt(0.125)), "a quarter"
    assert course[19] == pytest.approx(0.5 - 0.5 * math.cos(math.pi / 16))
    assert optim.share_of_rate(TrainParams(schedule="cosine", warmup_steps=4), 20, N_STEPS) == 0
    assert rates(n=3, schedule="cosine", warmup_steps=5) == [0.2, 0.4, 0.6], "fewer steps than the rise has"


def test_inverse_square_root() -> None:
    course = rates(schedule="inverse-sqrt", warmup_steps=4)
    assert course[:4] == [0.25, 0.5, 0.75, 1.0]
    assert course[8] == pytest.approx(2 / 3) and course[15] == 0.5
    assert rates(schedule="inverse-sqrt", warmup_steps=0)[:4] == [1.0, math.sqrt(1 / 2), math.sqrt(1 / 3), 0.5]


@pytest.mark.parametrize(
    ("headlines", "patience", "expected"),
    [
        ([], 1, ()),
        ([0.1, 0.2, 0.3], 1, ()),
        ([0.5, 0.4, 0.6, 0.6, 0.5], 1, (2, 4, 5)),  # as good is not better
        ([0.5, 0.4, 0.3, 0.2, 0.1, 0.0], 2, (3, 5)),  # the row begins anew
        ([0.5, 0.4, 0.6, 0.4, 0.4, 0.4, 0.7, 0.1], 3, (6,)),
        ([0.0, 0.0], 1, (2,)),
    ],
)
def test_plateau_falls_behind_epochs_that_brought_nothing(
    headlines: list[float], patience: int, expected: tuple[int, ...]
) -> None:
    assert optim.falls(headlines, patience) == expected


def test_plateau_halves() -> None:
    assert rates(n=2, schedule="plateau") == [1.0, 1.0]
    assert rates(n=2, n_falls=3, schedule="plateau") == [0.125, 0.125]
    assert rates(n=2, n_falls=3) == [1.0, 1.0], "falls are plateau's alone"


def test_a_plateau_that_never_acts_is_refused() -> None:
    with pytest.raises(RecbenchError) as error:
        TrainParams(schedule="plateau", plateau_patience=3, patience=3)
    assert str(error.value) == (
        "TrainParams: plateau_patience=3 never acts, training stops after patience=3 such epochs; lower plateau_patience "
        "or raise patience"
    )
    assert TrainParams(plateau_patience=3, patience=3).plateau_patience == 3, "where plateau is not asked for"


# The update.


class Two(nn.Module):
    """A matrix, which decays, and a bias, which does not."""

    def __init__(self) -> None:
        super().__init__()
        self.matrix = nn.Parameter(torch.tensor([[1.0, -2.0], [0.5, 3.0]], dtype=torch.float64))
        self.bias = nn.Parameter(torch.tensor([1.0, -1.0], dtype=torch.float64))
        self.frozen = nn.Parameter(torch.ones(2, 2), requires_grad=False)


GRADIENTS = [0.5, -1.0, 2.0]  # of three steps, the same for every number
RATE, DECAY = 0.1, 0.2


def adam(x: Tensor, decay: float, coupled: bool) -> Tensor:
    m = v = torch.zeros_like(x)
    for t, g in enumerate(GRADIENTS, 1):
        g = g + decay * x if coupled else torch.full_like(x, g)
        x = x if coupled else x - RATE * decay * x
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        x = x - RATE * (m / (1 - 0.9**t)) / ((v / (1 - 0.999**t)).sqrt() + 1e-8)
    return x


def adagrad(x: Tensor, decay: float) -> Tensor:
    total = torch.zeros_like(x)
    for g in GRADIENTS:
        g = g + decay * x
        total = total + g**2
        x = x - RATE * g / (total.sqrt() + 1e-10)
    return x


def sgd(x: Tensor, decay: float) -> Tensor:
    momentum = None
    for g in GRADIENTS:
        g = g + decay * x
        momentum = g if momentum is None else 0.9 * momentum + g
        x = x - RATE * (g + 0.9 * momentum)
    return x


UPDATES: dict[str, Callable[[Tensor, float], Tensor]] = {
    "adamw": lambda x, decay: adam(x, decay, coupled=False),
    "adam": lambda x, decay: adam(x, decay, coupled=True),
    "adagrad": adagrad,
    "sgd": sgd,
}


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("name", choices.OPTIMIZERS)
def test_three_steps_of_each_optimizer(name: str, fused: bool) -> None:
    network, untouched = Two(), Two()
    rule = optim.optimizer(network, TrainParams(optimizer=name, learning_rate=RATE, weight_decay=DECAY), fused)
    assert all(group["fused"] == fused for group in rule.param_groups)
    for g in GRADIENTS:
        for weight in (network.matrix, network.bias):
            weight.grad = torch.full_like(weight, g)
        rule.step()
    torch.testing.assert_close(network.matrix.data, UPDATES[name](untouched.matrix.data, DECAY), rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(network.bias.data, UPDATES[name](untouched.bias.data, 0.0), rtol=1e-9, atol=1e-12)
    assert torch.equal(network.frozen, untouched.frozen)


def test_every_name_has_an_optimizer() -> None:
    assert tuple(optim.RULES) == choices.OPTIMIZERS


# In a training.


SMALL = TransformerParams(
    dim=8, epochs=5, batch_size=48, max_length=7, dropout=0.2, patience=9, learning_rate=1e-2, warmup_steps=4
)
WORLD = chain(48).dataset
HEADLINES = [0.5, 0.4, 0.6, 0.5, 0.4]  # plateau falls behind epochs 2, 4 and 5; the third is the best
PER_EPOCH = 2


@contextmanager
def noted() -> Iterator[list[float]]:
    """The rate at each step that any optimizer makes meanwhile."""
    seen: list[float] = []
    handle = register_optimizer_step_pre_hook(lambda rule, *_: seen.append(rule.param_groups[-1]["lr"]))
    try:
        yield seen
    finally:
        handle.remove()


def fitted(params: TransformerParams, scripted: bool = True, **context: object) -> Transformer:
    model, headlines = Transformer(params), iter(HEADLINES)
    evaluate = {"evaluate": lambda _: next(headlines)} if scripted else {}
    model.fit(WORLD, Context(**{"seed": 3, **evaluate, **context}))
    return model


def weights(model: Transformer) -> dict[str, np.ndarray]:
    return {name: value.numpy() for name, value in model.net.state_dict().items()}


def assert_same(one: Transformer, two: Transformer) -> None:
    assert all(np.array_equal(value, weights(two)[name]) for name, value in weights(one).items())


@pytest.mark.parametrize("schedule", choices.SCHEDULES)
def test_a_training_follows_the_course_and_a_refit_repeats_it(schedule: str) -> None:
    params = replace(SMALL, schedule=schedule)
    with noted() as seen:
        chosen = fitted(params)
    n_falls = [0, 0, 1, 1, 2] if schedule == "plateau" else [0] * 5
    steps = range(5 * PER_EPOCH)
    course = [optim.share_of_rate(params, step, 5 * PER_EPOCH, n_falls[step // PER_EPOCH]) for step in steps]
    assert seen == [1e-2 * share for share in course]
    assert chosen.chosen_epochs == 3 and chosen.rate_falls == (
        (2, 4, 5) if schedule == "plateau" else chosen.rate_falls
    )
    with noted() as again:
        refit = fitted(params, scripted=False, epochs=3, rate_falls=chosen.rate_falls)
    assert again == seen[: 3 * PER_EPOCH]
    assert_same(refit, chosen)


@pytest.mark.parametrize(
    ("optimizer", "schedule"),
    [*((name, "constant") for name in choices.OPTIMIZERS), *(("adamw", name) for name in choices.SCHEDULES[1:])],
)
def test_a_training_stopped_at_every_step_ends_as_an_unbroken_one(
    optimizer: str, schedule: str, tmp_path: Path
) -> None:
    params = replace(SMALL, optimizer=optimizer, schedule=schedule, weight_decay=0.1)
    with noted() as seen:
        unbroken = fitted(params)
    headlines, parts = iter(HEADLINES), []
    context = Context(seed=3, max_minutes=0.0, resume=True, folder=tmp_path, evaluate=lambda _: next(headlines))
    with noted() as pieces:
        while not parts or parts[-1].stopped_by == "max_minutes":
            parts.append(Transformer(params))
            parts[-1].fit(WORLD, context)
    model = parts[-1]
    assert len(parts) == 5 * PER_EPOCH and pieces == seen
    assert model.curve == unbroken.curve and model.rate_falls == unbroken.rate_falls
    assert_same(model, unbroken)


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_a_clipped_gradient_moves_the_weights_no_further(precision: str) -> None:
    """One step of Nesterov's momentum is 1.9 times rate times gradient."""
    moved = {}
    for clip in (0.0, 0.01):
        params = replace(SMALL, optimizer="sgd", learning_rate=0.1, clip=clip, epochs=1, batch_size=1000, averaging=0.0)
        torch.manual_seed(3)
        before = {name: value.numpy().copy() for name, value in Transformer(params).network(WORLD).state_dict().items()}
        after = weights(fitted(params, scripted=False, precision=precision))
        moved[clip] = math.sqrt(sum(((after[name] - before[name]) ** 2).sum() for name in before))
    assert moved[0.01] == pytest.approx(1.9 * 0.1 * 0.01, rel=1e-3) and moved[0.0] > 2 * moved[0.01]


def test_a_run_hands_the_falls_on_to_its_refit(tmp_path: Path) -> None:
    """The rates of both trainings, in the order of their steps, follow from the curve that the run has written."""
    source, plugin = registry.find("data", "acme-shop"), registry.find("model", "transformer")
    board = Board(
        name="refitted",
        data="acme-shop",
        metrics=("ndcg@10",),
        headline="ndcg@10",
        split="leave_last_out",
        ask="last",
        target="first",
        repeat="any",
        candidates="all",
        fit_on="train+valid",
    )
    params = replace(SMALL, schedule="plateau", learning_rate=1e-3, epochs=12, patience=4, batch_size=1000)
    data_params = source.load().Params().as_dict()
    plan = Plan(
        board, True, "acme-shop", data_params, "transformer", params.as_dict(), plugin.distribution, plugin.version, 1
    )
    with noted() as seen:
        entry = execute(plan, Surroundings(out=tmp_path, trackers=[FilesTracker()]))
    lines = (tmp_path / plan.key / "curve.jsonl").read_text().splitlines()
    headlines = [json.loads(line)["headline"] for line in lines]
    fallen = optim.falls(headlines, params.plateau_patience)
    course = [1e-3 * 0.5 ** sum(fall <= epoch for fall in fallen) for epoch in range(len(headlines))]
    assert seen == course + course[: entry.epochs], "a batch an epoch"
    assert fallen and fallen[0] < entry.epochs, "the refit has a fall to repeat"
