"""The Transformer: what a state may know, what is read of items and events, and worlds that need its options."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recbench.data import Interactions, Queries, Ragged
from recbench.dataset import Dataset, DatasetInfo
from recbench.errors import RecbenchError
from recbench.model import Context

torch = pytest.importorskip("torch")
torch.set_num_threads(1)

from recbench_sequential.transformer import Transformer, TransformerParams  # noqa: E402

from recbench.neural import columns  # noqa: E402
from recbench.neural.batches import Batch, Windows, question  # noqa: E402
from recbench.neural.blocks import (  # noqa: E402
    gap_buckets,
)
from recbench.neural.causal import CausalTransformer  # noqa: E402
from recbench.neural.columns import Column, column_of, item_columns, scaled  # noqa: E402
from recbench.neural.losses import loss_of  # noqa: E402
from recbench.neural.network import Asked  # noqa: E402

BLOCKS = ("sasrec", "ligr", "hstu")
SMALL = TransformerParams(**Transformer.small)
ITEMS, DAY = 12, 86400


def dataset(item_UL: np.ndarray, time_UL: np.ndarray, n_items: int, clock: str = "seconds", **given: object) -> Dataset:
    """Every user's row of items and times, with a behaviour each where `behavior` gives them."""
    n, length = item_UL.shape
    behavior = np.asarray(given.pop("behavior", np.zeros((n, length)))).ravel().astype(np.int8)
    user, names = np.repeat(np.arange(n), length), ("view", "buy")[: behavior.max() + 1]
    log = Interactions.sorted(
        user, item_UL.ravel(), time_UL.ravel(), behavior=behavior, behaviors=names, n_users=n, n_items=n_items
    )
    return Dataset(
        DatasetInfo("world", "test", clock, "none", "made here"), log, np.arange(n), np.arange(n_items), **given
    )


def ask(items: list[list[int]], times: list[list[int]], moment: list[int], behaviors: list, n_items: int) -> Queries:
    rows, places = Ragged.from_rows(items), np.arange(len(items))
    values = Ragged.from_rows(times, np.int64)
    everything = np.ones(n_items, bool)
    return Queries(places, np.array(moment), rows, Ragged.from_rows(behaviors), values, rows, everything, True)


def plain(*items: list[int], n_items: int = ITEMS) -> Queries:
    """Questions a day after histories of one event a day."""
    times = [[DAY * t for t in range(len(row))] for row in items]
    return ask(list(items), times, [DAY * len(row) for row in items], [[0] * len(row) for row in items], n_items)


def fitted(data: Dataset, params: TransformerParams = SMALL, **context: object) -> Transformer:
    model = Transformer(params)
    model.fit(data, Context(**{"seed": 3, **context}))
    return model


def chain_world() -> Dataset:
    item_UL = (np.arange(60)[:, None] + np.arange(12)) % ITEMS
    return dataset(item_UL, np.tile(DAY * np.arange(12), (60, 1)), ITEMS)


# Time and positions.


def test_a_question_has_the_gaps_that_training_had() -> None:
    time_UL = np.array([[0, 5, 5, 400, 90_000, 90_100]])
    log = dataset(np.array([[3, 1, 4, 1, 5, 9]]), time_UL, ITEMS).interactions
    trained = Windows(log, 9, new_only=False, reads=("times",))[np.array([0])]
    asked = question(
        ask([[3, 1, 4, 1, 5], [2] * 7], [[0, 5, 5, 400, 90_000], [1] * 7], [90_100, 50], [[0] * 5, [0] * 7], ITEMS),
        9, ("times",),
    )  # fmt: skip
    one, two = (gap_buckets(b.times_BL, b.target_times_BL, b.last_B)[0, :6, :6].tril() for b in (trained, asked))
    assert torch.equal(one, two) and one[:, 1:].max() > 30


# What a state may know.

WORDS = Column("colour", 5, np.random.default_rng(0).integers(0, 5, (ITEMS, 3)).astype(np.int32))
VECTORS = Column("vector", 0, np.random.default_rng(1).normal(size=(ITEMS, 4)).astype(np.float32))
OPTIONS = {
    "plain": {},
    "end": {"positions": "end"},
    "none": {"positions": "none"},
    "time": {"time": True},
    "all": {"positions": "end", "time": True, "n_behaviors": 3, "columns": [WORDS, VECTORS]},
}


def network(block: str, option: str, **changes: object) -> CausalTransformer:
    """An untrained network whose weights are large enough that all it reads shows."""
    torch.manual_seed(0)
    given = dict(OPTIONS[option])
    params = replace(SMALL, block=block, blocks=2, heads=2, dim=8, positions=given.pop("positions", "start"))
    params = replace(params, **changes)
    net = CausalTransformer(ITEMS, params, **given).eval()
    for weight in net.parameters():
        torch.nn.init.normal_(weight, std=0.5)
    return net


def batch(lengths: list[int]) -> Batch:
    """Rows of random events, read behind the start token."""
    longest, rng = max(lengths) + 1, torch.Generator().manual_seed(1)
    shape = (len(lengths), longest)
    items_BL = torch.randint(ITEMS, shape, generator=rng)
    items_BL[:, 0] = ITEMS
    behaviors_BL = torch.randint(3, shape, generator=rng)
    times_BL = torch.randint(10**6, shape, generator=rng).sort(dim=1).values
    targets_BL = torch.cat([times_BL[:, 1:], times_BL[:, -1:] + 9], dim=1)
    nothing = torch.zeros(shape, dtype=torch.long)
    return Batch(items_BL, nothing, nothing, nothing.bool(), torch.tensor(lengths), times_BL, targets_BL, behaviors_BL)


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("block", BLOCKS)
def test_what_comes_later_never_changes_a_state(block: str, option: str) -> None:
    """Position p has read p events and knows when it is asked: the items and behaviours behind them, and later times,
    have no say; the last event read has."""
    net, whole = network(block, option), batch([9, 9])
    with torch.no_grad():
        before_BLD = net.encode(whole)
        for p in range(9):
            changed = Batch(*(None if column is None else column.clone() for column in whole))
            changed.items_BL[:, p + 1 :] = (changed.items_BL[:, p + 1 :] + 5) % ITEMS
            changed.behaviors_BL[:, p + 1 :] = (changed.behaviors_BL[:, p + 1 :] + 1) % 3
            changed.times_BL[:, p + 2 :] += 10**7
            changed.target_times_BL[:, p + 1 :] += 10**7
            after_BLD = net.encode(changed)
            assert torch.equal(after_BLD[:, : p + 1], before_BLD[:, : p + 1])
            assert not torch.equal(after_BLD[:, p + 1], before_BLD[:, p + 1])


@pytest.mark.parametrize("option", ["time", "all"])
@pytest.mark.parametrize("block", BLOCKS)
def test_the_moment_of_asking_is_known(block: str, option: str) -> None:
    net, whole = network(block, option), batch([9, 9])
    later = whole._replace(target_times_BL=whole.target_times_BL + 10**7)
    with torch.no_grad():
        assert not torch.equal(net.last(later), net.last(whole))
        assert torch.equal(net.encode(later)[:, :9], net.encode(whole)[:, :9])


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("block", BLOCKS)
def test_padding_has_no_say(block: str, option: str) -> None:
    net, lengths = network(block, option), [0, 3, 9]
    together = batch(lengths)
    with torch.no_grad():
        states_BD = net.last(together)
        for row, length in enumerate(lengths):
            alone = Batch(
                *(
                    None if c is None else c[row : row + 1, : length + 1] if c.dim() > 1 else c[row : row + 1]
                    for c in together
                )
            )
            torch.testing.assert_close(net.last(alone)[0], states_BD[row], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("block", BLOCKS)
def test_the_answering_state_is_the_last_of_all_states(block: str, option: str) -> None:
    net, asked = network(block, option), batch([0, 3, 9, 1])
    with torch.no_grad():
        torch.testing.assert_close(net.last(asked), net.encode(asked)[torch.arange(4), asked.last_B])


def test_positions_from_the_end_do_not_count_what_was_cut_away() -> None:
    """Without attention to the start token's side nothing tells a long history from its end, but the counting."""
    states = {}
    for positions in ("start", "end"):
        net = network("sasrec", "plain" if positions == "start" else "end")
        with torch.no_grad():
            states[positions] = [
                net.events(batch([n]))[0, n] - net.scale * net.item_vectors(batch([n]).items_BL[0, n]) for n in (3, 6)
            ]
    assert torch.allclose(*states["end"]) and not torch.allclose(*states["start"])


def test_what_is_read_is_scaled_and_what_is_compared_is_not() -> None:
    """Items and behaviours are read times the root of the width, 8; start token and places are not."""
    asked, states = batch([4]), []
    for scale_read in (False, True):
        net = network("sasrec", "all", scale_read=scale_read)
        with torch.no_grad():
            states.append((net.events(asked)[0], net.compared()))
    read = net.item_vectors(asked.items_BL[0, 1:]) + net.behaviors(asked.behaviors_BL[0, 1:])
    (plain_LD, compared_ID), (scaled_LD, same_ID) = states
    assert torch.equal(compared_ID, same_ID) and torch.equal(plain_LD[0], scaled_LD[0])
    torch.testing.assert_close((scaled_LD - plain_LD)[1:], (8**0.5 - 1) * read)


@pytest.mark.parametrize("loss", ["softmax", "sampled", "gbce", "bce", "bpr"])
def test_every_loss_drops_numbers_of_the_vectors_it_compares_with_and_answers_drop_none(loss: str) -> None:
    net = network("sasrec", "plain", vector_dropout=0.25)
    params, states_PD = replace(SMALL, dim=8, loss=loss, sampling="uniform"), torch.randn(6, 8)
    asked = Asked(states_PD, torch.arange(6))

    def value() -> float:
        torch.manual_seed(5)  # the same negatives, which are drawn before the mask
        return loss_of(asked, net, params, None).item()

    assert torch.equal(net.compared(), net.item_vectors()), "not in training: what answers is whole"
    whole = value()
    net.train()
    with torch.no_grad():
        rows_ID = torch.stack([net.compared() for _ in range(2000)])
    assert value() != whole
    assert abs(float((rows_ID == 0).float().mean()) - 0.25) < 0.01
    torch.testing.assert_close(rows_ID.mean(0), net.item_vectors(), atol=0.15, rtol=0)


# Item columns.


def test_words_of_a_column(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "WORDS", 2)
    monkeypatch.setattr(columns, "WORDS_PER_ITEM", 3)
    cells = pd.Series(["red|big", "red", None, "big|red|new|red", "new|old|big|red"])
    words = column_of("w", cells)  # red 4, big 3, then new 2 beyond the limit of two words, and old alone
    assert words.values.tolist() == [[2, 3, 0], [2, 0, 0], [0, 0, 0], [3, 2, 1], [1, 1, 3]]
    assert words.n_words == 4 and words.values.dtype == np.int32
    lists = column_of("w", pd.Series([["red", "big"], ["red"], None, ["big", "red", "new"], ["new", "old", "big"]]))
    assert lists.values.tolist() == words.values.tolist()
    assert column_of("w", pd.Series([None, None], dtype=object)).values.tolist() == [[0], [0]]


def test_a_word_of_one_item_is_rare() -> None:
    assert column_of("w", pd.Series(["a", "b", "b"]))[1:2] == (3,)
    assert column_of("w", pd.Series(["a", "b", "b"])).values.tolist() == [[1], [2], [2]]


def test_vectors_are_centred_and_of_length_one_in_the_mean() -> None:
    found = scaled(np.array([[1, 0], [3, 0], [np.nan, 7], [2, np.inf]], np.float32))
    assert found.tolist() == [[-1, 0], [1, 0], [0, 0], [0, 0]] and found.dtype == np.float32
    assert scaled(np.full((3, 2), 5.0, np.float32)).tolist() == [[0, 0]] * 3
    year = column_of("year", pd.Series([1990, 2010, 2000]))
    np.testing.assert_allclose(year.values[:, 0], np.array([-1, 1, 0]) * np.sqrt(1.5), rtol=1e-6)
    arrays = column_of("v", pd.Series([np.array([1.0, 0.0]), None, [3.0, 0.0]]))
    assert arrays.values.tolist() == [[-1, 0], [0, 0], [1, 0]] and arrays.n_words == 0


def test_the_start_token_is_no_item() -> None:
    net, whole = network("sasrec", "all"), batch([4])
    other = whole._replace(behaviors_BL=whole.behaviors_BL.clone())
    other.behaviors_BL[:, 0] = 2 - other.behaviors_BL[:, 0].clamp(max=1)
    with torch.no_grad():
        before_BLD = net.events(whole)
        torch.testing.assert_close(before_BLD[0, 0], net.start + net.positions.weight[4])
        assert torch.equal(net.events(other), before_BLD)


def test_the_input_norm_makes_small_rows_as_loud_as_large_ones() -> None:
    """Without a bias of the norm, what is read has mean 0 and variance 1 at each position, whatever its rows' size."""
    params = replace(SMALL, dim=16, blocks=1, input_norm=True, positions="none")
    quiet = CausalTransformer(ITEMS, params).eval()
    with torch.no_grad():
        read_BLD = quiet.norm_read(quiet.events(batch([4])))
        torch.testing.assert_close(read_BLD.mean(-1), torch.zeros(1, 5), atol=1e-5, rtol=0)
        torch.testing.assert_close(read_BLD.var(-1, unbiased=False), torch.ones(1, 5), atol=0.05, rtol=0)
        before_BLD = quiet.encode(batch([4]))
        quiet.items.weight *= 8
        quiet.start *= 8
        torch.testing.assert_close(quiet.encode(batch([4])), before_BLD, atol=0.05, rtol=0.05)
    assert not any(name.startswith("norm_read") for name in CausalTransformer(ITEMS, SMALL).state_dict())


def test_item_vectors_add_the_columns_to_the_items_rows() -> None:
    net = network("sasrec", "all")
    words, vectors = net.columns
    with torch.no_grad():
        whole_ID = net.item_vectors()
        for i in range(ITEMS):
            rows = [words.table.weight[w] for w in WORDS.values[i] if w]
            bag = torch.stack(rows).mean(0) if rows else torch.zeros(8)
            hand = net.items.weight[i] + bag + vectors.table.weight @ torch.from_numpy(VECTORS.values[i])
            torch.testing.assert_close(whole_ID[i], hand)
        for chosen in (torch.tensor([3, 3, 0]), torch.tensor([[1, 2], [11, 2]]), torch.arange(24).view(2, 12) % 7):
            torch.testing.assert_close(net.item_vectors(chosen), whole_ID[chosen])


def test_sampled_losses_compute_the_columns_of_the_items_they_need() -> None:
    net, rows = network("sasrec", "all"), []
    net.columns[0].register_forward_hook(lambda _, __, out: rows.append(out.shape[:-1].numel()))
    asked = net.asked(batch([3])._replace(mask_BL=torch.ones(1, 4, dtype=torch.bool)))
    loss_of(asked, net, replace(SMALL, loss="sampled", sampling="uniform", negatives=5), None).backward()
    assert rows[0] == 4 and 1 < rows[1] <= 4 + 5  # what is read, then the targets and negatives that differ
    assert net.columns[1].table.weight.grad.abs().sum() > 0 < net.columns[0].table.weight.grad.abs().sum()


# Worlds.


def accuracy(model: Transformer, queries: Queries, right: list[int] | np.ndarray) -> float:
    return float((model.recommend(queries, 1).items_QK[:, 0] == np.asarray(right)).mean())


@pytest.mark.parametrize(
    ("block", "positions"), [*((block, "start") for block in BLOCKS), ("sasrec", "end"), ("sasrec", "none")]
)
def test_a_first_order_chain_is_learned(block: str, positions: str) -> None:
    norm = positions == "end"
    model = fitted(chain_world(), replace(SMALL, block=block, positions=positions, epochs=10, input_norm=norm))
    histories = [[(i - 1) % ITEMS, i] for i in range(ITEMS)]
    assert accuracy(model, plain(*histories), (np.arange(ITEMS) + 1) % ITEMS) >= 0.95


@pytest.mark.parametrize("block", BLOCKS)
def test_an_event_is_told_from_its_twin_by_its_behaviour(block: str) -> None:
    """A view leads to the next item, a purchase three items on."""
    rng = np.random.default_rng(0)
    behavior = rng.integers(2, size=(60, 11))
    item_UL = np.cumsum(np.c_[rng.integers(ITEMS, size=60), 1 + 2 * behavior[:, :-1]], axis=1) % ITEMS
    world = dataset(item_UL, np.tile(DAY * np.arange(11), (60, 1)), ITEMS, behavior=behavior)
    asked = [[i] for i in range(ITEMS)] * 2
    known = [[b] for b in (0, 1) for _ in range(ITEMS)]
    queries = ask(asked, [[0]] * 24, [DAY] * 24, known, ITEMS)
    right = [(i + 1 + 2 * b) % ITEMS for (i,), (b,) in zip(asked, known, strict=True)]
    params = replace(SMALL, block=block, epochs=20, target_days=0.0)
    told = fitted(world, replace(params, behaviors=True))
    assert accuracy(told, queries, right) >= 0.95
    if block == "sasrec":
        assert accuracy(fitted(world, params), queries, right) <= 0.5


@pytest.mark.parametrize("block", BLOCKS)
def test_a_gap_in_time_is_told(block: str) -> None:
    """After ten seconds comes the next item, after ten days the one three on."""
    rng = np.random.default_rng(0)
    late = rng.integers(2, size=(64, 11))
    time_UL = np.cumsum(np.where(late, 10 * DAY, 10), axis=1)
    item_UL = np.cumsum(np.c_[rng.integers(ITEMS, size=64), 1 + 2 * late[:, 1:]], axis=1) % ITEMS
    world = dataset(item_UL, time_UL, ITEMS)
    asked = [[(i - 1) % ITEMS, i] for i in range(ITEMS)] * 2
    slow = np.repeat([0, 1], ITEMS)
    queries = ask(asked, [[0, 10]] * 24, list(np.where(slow, 10 * DAY, 10) + 10), [[0, 0]] * 24, ITEMS)
    right = [(row[-1] + 1 + 2 * s) % ITEMS for row, s in zip(asked, slow, strict=True)]
    params = replace(SMALL, block=block, epochs=20, heads=2, batch_size=16, learning_rate=2e-2, positions="none")
    timed = fitted(world, replace(params, target_days=0.0, time_bias="always"))
    assert accuracy(timed, queries, right) >= 0.9
    timed.net.biases = torch.nn.ModuleList()  # all that told the gap
    assert accuracy(timed, queries, right) <= 0.5


def colours(**given: object) -> tuple[Dataset, Queries, np.ndarray]:
    """Users keep to one of two colours; the last four items were never met, and only a column tells their colour."""
    rng = np.random.default_rng(0)
    item_UL = 2 * rng.integers(8, size=(80, 10)) + np.arange(80)[:, None] % 2
    world = dataset(item_UL, np.tile(DAY * np.arange(10), (80, 1)), 20, **given)
    return world, plain(*item_UL[:20, -5:].tolist(), n_items=20), np.arange(20) % 2


def cold_skill(model: Transformer, queries: Queries, colour_Q: np.ndarray) -> float:
    """How often a cold item of the user's colour stands above one of the other."""
    cold_QI = model.score(queries)[:, 16:]
    return float(np.mean([(s[c::2][:, None] > s[1 - c :: 2]).mean() for s, c in zip(cold_QI, colour_Q, strict=True)]))


def test_columns_and_text_vectors_help_cold_items(tmp_path: Path) -> None:
    colour_I = np.arange(20) % 2
    vector = [np.array([7.0 + c, 3.0, 1.0 - c]) for c in colour_I]
    table = pd.DataFrame({"colour": np.where(colour_I, "red", "blue"), "vector": vector, "number": colour_I * 100})
    pd.DataFrame({"item_id": np.arange(20)[::-1], "vector": vector[::-1]}).to_parquet(tmp_path / "v.parquet")
    world, queries, colour_Q = colours(items=table)
    params = replace(SMALL, epochs=8, target_days=0.0)
    for name in table.columns:
        assert cold_skill(fitted(world, replace(params, item_features=name)), queries, colour_Q) >= 0.95, name
    given = replace(params, text_vectors=str(tmp_path / "v.parquet"), loss="sampled")
    assert cold_skill(fitted(world, given), queries, colour_Q) >= 0.95
    without = [cold_skill(fitted(world, params, seed=seed), queries, colour_Q) for seed in range(6)]
    assert 0.2 <= np.mean(without) <= 0.8, "chance, in the mean of some beginnings"


@pytest.mark.parametrize("block", BLOCKS)
def test_saved_and_loaded_with_all_that_it_reads(block: str, tmp_path: Path) -> None:
    vectors = tmp_path / "v.parquet"
    pd.DataFrame({"item_id": ["3", "4"], "vector": [[1.0, 2.0], [3.0, 4.0]]}).to_parquet(vectors)
    world, queries, _ = colours(
        items=pd.DataFrame({"colour": ["red", "blue"] * 10, "size": np.arange(20.0)}),
        behavior=np.random.default_rng(0).integers(2, size=(80, 10)),
    )
    model = fitted(world, replace(
        SMALL, block=block, epochs=1, time_bias="always", behaviors=True, item_features="colour, size",
        text_vectors=str(vectors), attention_dropout=0.2, positions="end",
    ))  # fmt: skip
    np.testing.assert_allclose(model.net.columns[2].values[3:6], np.array([[-1, -1], [1, 1], [0, 0]]) / np.sqrt(2))
    vectors.unlink()  # read when it was fitted, never again
    model.save(tmp_path / "model")
    again = Transformer.load(tmp_path / "model")
    assert fitted(world, replace(SMALL, epochs=1)).net.reads == ()
    assert again.net.reads == ("times", "behaviors") and len(again.net.columns) == 3
    assert np.array_equal(again.score(queries), model.score(queries))


def test_training_broken_off_goes_on_as_if_nothing_had_been(tmp_path: Path) -> None:
    params = replace(SMALL, block="hstu", epochs=4, dropout=0.3, attention_dropout=0.3, positions="end")

    def stop(step: int, _: dict) -> None:
        if step == 3:
            raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        fitted(chain_world(), params, folder=tmp_path, report=stop)
    steps: list[int] = []
    resumed = fitted(chain_world(), params, folder=tmp_path, resume=True, report=lambda step, _: steps.append(step))
    whole = fitted(chain_world(), params)
    assert steps == [3, 4] and [loss for *_, loss in resumed.curve] == [loss for *_, loss in whole.curve]
    assert np.array_equal(resumed.score(plain([1, 2])), whole.score(plain([1, 2])))


# What is refused, and what does nothing.


def test_where_nothing_is_to_be_told_the_options_do_nothing() -> None:
    ordered = replace(chain_world(), info=replace(chain_world().info, clock="order"))
    one, two = (fitted(ordered, replace(SMALL, epochs=1, behaviors=b)) for b in (False, True))
    assert np.array_equal(one.score(plain([1])), two.score(plain([1]))) and two.net.reads == ()
    hstu = fitted(ordered, replace(SMALL, epochs=1, block="hstu"))
    assert hstu.net.reads == () and hstu.net.biases[0].by_gap is None
    assert fitted(chain_world(), replace(SMALL, epochs=1, block="hstu")).net.reads == ("times",)
    assert fitted(chain_world(), replace(SMALL, epochs=1)).net.reads == ()


def refused(data: Dataset, **params: object) -> str:
    with pytest.raises(RecbenchError) as error:
        fitted(data, replace(SMALL, **params))
    assert "\n" not in str(error.value)
    return str(error.value)


def test_what_the_data_cannot_give_is_refused(tmp_path: Path) -> None:
    world = chain_world()
    ordered = replace(world, info=replace(world.info, clock="order"))
    assert refused(ordered, time_bias="always") == (
        "time_bias=always needs moments in time; data=world has clock=order; use time_bias=auto"
    )
    assert refused(world, item_features="brand") == (
        "item_features=brand: data=world has no table of items; leave item_features empty"
    )
    table = pd.DataFrame({"colour": ["red"] * ITEMS, "v": [[1.0]] * (ITEMS - 1) + [[1.0, 2.0]]})
    tabled = replace(world, items=table)
    assert refused(tabled, item_features="colour,color") == (
        "item_features=color is no column of the items of data=world; did you mean 'colour'? It has: colour, v"
    )
    assert refused(tabled, item_features="v") == (
        "item_features=v: vectors must be arrays of one width; found 1, 2; give each item's in full"
    )
    pd.DataFrame({"item_id": [str(i) for i in range(ITEMS)], "vector": [["a", "b"]] * ITEMS}).to_parquet(
        tmp_path / "words.parquet"
    )
    assert refused(world, text_vectors=str(tmp_path / "words.parquet")).startswith(
        "text_vectors=words.parquet: vectors must be arrays of numbers of one width ("
    )
    assert refused(world, text_vectors=str(tmp_path / "no.parquet")).startswith(
        "text_vectors=no.parquet cannot be read ("
    )
    pd.DataFrame({"item_id": ["x"], "vector": [[1.0]]}).to_parquet(tmp_path / "x.parquet")
    assert refused(world, text_vectors=str(tmp_path / "x.parquet")) == (
        "text_vectors=x.parquet holds none of the 12 items of data=world; item_id must be as in the data"
    )
    with pytest.raises(RecbenchError, match="block must be one of sasrec, ligr, hstu"):
        replace(SMALL, block="lstm")
    assert item_columns(world, " , ", "") == []


def test_loading_the_class_imports_no_network() -> None:
    code = "import sys, recbench_sequential.transformer; print([m for m in sys.modules if m in %r])"
    heavy = ["torch", "pandas", *(f"recbench_sequential.{name}" for name in ("network", "blocks", "inputs"))]
    out = subprocess.run([sys.executable, "-c", code % heavy], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"
