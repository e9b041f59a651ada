"""What is done to training windows: exact small tables, what always holds, contrastive losses by a double loop, and
models that still learn and resume with each option on."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from test_neural import SMALL, fitted, hits

from recbench.data import Interactions, Queries, Ragged
from recbench.neural.choices import TrainParams

torch = pytest.importorskip("torch")
torch.set_num_threads(1)

from recbench.neural import augment, contrast  # noqa: E402
from recbench.neural.batches import Batch, Windows, question  # noqa: E402
from recbench.neural.network import Network  # noqa: E402

READS = ("times", "behaviors")


def windows(*rows: tuple[list[int], list[int]], new_only: bool = False, max_length: int = 20) -> Batch:
    """The batch of users with these (items, times); an event's behaviour is its item modulo 3."""
    user = np.concatenate([np.full(len(item), u) for u, (item, _) in enumerate(rows)])
    item, time = (np.concatenate([row[c] for row in rows]) for c in (0, 1))
    log = Interactions.sorted(
        user, item, time, n_users=len(rows), n_items=100, behavior=item % 3, behaviors=("view", "cart", "buy")
    )
    made = Windows(log, max_length, new_only=new_only, reads=READS)
    return made[np.arange(len(made))]


def numbers(*values: int) -> torch.Tensor:
    return torch.tensor(values)


def lists(batch: Batch) -> dict[str, list]:
    return {name: None if column is None else column.tolist() for name, column in batch._asdict().items()}


TWO = windows(([10, 11, 12, 13, 14], [1, 2, 2, 3, 4]), ([20, 21, 22], [1, 2, 3]))


def test_a_batch_as_it_is():
    assert lists(TWO) == {
        "items_BL": [[100, 10, 11, 12, 13], [100, 20, 21, 22, 100]],
        "targets_BL": [[10, 11, 12, 13, 14], [20, 21, 22, 100, 100]],
        "asked_BL": [[0, 1, 1, 3, 4], [0, 1, 2, 0, 0]],
        "mask_BL": [[True] * 5, [True, True, True, False, False]],
        "last_B": [4, 2],
        "times_BL": [[1, 1, 2, 2, 3], [1, 1, 2, 3, 3]],
        "target_times_BL": [[1, 2, 2, 3, 4], [1, 2, 3, 3, 3]],
        "behaviors_BL": [[0, 1, 2, 0, 1], [0, 2, 0, 1, 1]],
        "target_behaviors_BL": [[1, 2, 0, 1, 2], [2, 0, 1, 1, 1]],
    }
    assert augment.augmented(TWO, TrainParams()) is TWO


def test_a_crop_is_the_window_that_begins_later():
    """Event 12 ties with 11, which is lost: both were asked behind 10, so that 12 has no past left and does not count."""
    assert lists(augment.cropped(TWO, numbers(2, 0), numbers(2, 2))) == {
        "items_BL": [[100, 12, 13, 100, 100], [100, 20, 21, 100, 100]],
        "targets_BL": [[12, 13, 14, 100, 100], [20, 21, 22, 100, 100]],
        "asked_BL": [[0, 1, 2, 0, 0], [0, 1, 2, 0, 0]],
        "mask_BL": [[False, True, True, False, False], [True, True, True, False, False]],
        "last_B": [2, 2],
        "times_BL": [[2, 2, 3, 3, 3], [1, 1, 2, 2, 2]],
        "target_times_BL": [[2, 3, 4, 4, 4], [1, 2, 3, 3, 3]],
        "behaviors_BL": [[0, 0, 1, 1, 1], [0, 2, 0, 0, 0]],
        "target_behaviors_BL": [[0, 1, 2, 2, 2], [2, 0, 1, 1, 1]],
    }


def test_a_shuffled_stretch_is_one_moment():
    torch.manual_seed(3)
    after = augment.reordered(TWO, numbers(1, 0), numbers(4, 0))
    assert lists(after) == lists(TWO) | {
        "items_BL": [[100, 10, 13, 11, 12], [100, 20, 21, 22, 100]],
        "targets_BL": [[10, 13, 11, 12, 14], [20, 21, 22, 100, 100]],
        "asked_BL": [[0, 1, 1, 1, 4], [0, 1, 2, 0, 0]],
        "behaviors_BL": [[0, 1, 1, 2, 0], [0, 2, 0, 1, 1]],
        "target_behaviors_BL": [[1, 1, 2, 0, 2], [2, 0, 1, 1, 1]],
    }


def test_a_hidden_event_keeps_its_place_and_moment_and_stays_a_target():
    hide = torch.zeros(2, 5, dtype=torch.bool)
    hide[0, 2] = hide[1, 1] = True
    assert lists(augment.hidden(TWO, hide)) == lists(TWO) | {
        "items_BL": [[100, 10, 100, 12, 13], [100, 100, 21, 22, 100]],
        "behaviors_BL": [[0, 1, 0, 0, 1], [0, 0, 0, 1, 1]],
    }


def test_without_times_and_behaviours_there_are_none_afterwards():
    bare = TWO._replace(times_BL=None, target_times_BL=None, behaviors_BL=None, target_behaviors_BL=None)
    after = augment.augmented(bare, TrainParams(crop=1.0, reorder=1.0, item_dropout=0.5))
    assert after[5:] == (None,) * 4 and after.items_BL.shape == bare.items_BL.shape


def random_batch(seed: int, n_rows: int = 40) -> Batch:
    """Windows whose items are all different, with many ties, so that an item names its event."""
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(n_rows):
        n = int(rng.integers(1, 12))
        rows.append((rng.permutation(100)[:n], np.sort(rng.integers(0, 8, n))))
    return windows(*rows)


def moments(batch: Batch) -> list[dict[int, int]]:
    """Of each row, item -> its moment, as the untouched batch tells it."""
    last_B = batch.last_B.tolist()
    rows = zip(batch.targets_BL.tolist(), batch.target_times_BL.tolist(), last_B, strict=True)
    return [dict(zip(item[: last + 1], time[: last + 1], strict=True)) for item, time, last in rows]


@pytest.mark.parametrize("options", [
    {"crop": 1.0}, {"reorder": 1.0}, {"item_dropout": 0.4}, {"crop": 0.5, "reorder": 0.6, "item_dropout": 0.2},
])  # fmt: skip
@pytest.mark.parametrize("seed", range(5))
def test_what_is_read_came_before_what_is_asked(options, seed):
    batch = random_batch(seed)
    torch.manual_seed(seed)
    after = augment.augmented(batch, TrainParams(**options))
    changed = 0
    for row, moment in enumerate(moments(batch)):
        items, targets, asked, mask = (
            getattr(after, n)[row].tolist() for n in ("items_BL", "targets_BL", "asked_BL", "mask_BL")
        )
        last = int(after.last_B[row])
        assert items[0] == 100 and set(items[last + 2 :]) <= {100} and not any(mask[last + 1 :])
        assert asked[: last + 1] == sorted(asked[: last + 1]) and all(a <= p for p, a in enumerate(asked))
        for place in np.flatnonzero(mask):
            read = [item for item in items[1 : asked[place] + 1] if item != 100]
            assert all(moment[item] < moment[targets[place]] for item in read)
        times = after.times_BL[row].tolist()
        assert times == sorted(times) and times[0] == times[min(1, last)]
        changed += items != batch.items_BL[row].tolist()
    assert changed > 10


@pytest.mark.parametrize("seed", range(5))
def test_a_crop_keeps_a_suffix_and_counts_every_target_that_has_a_past(seed):
    batch = random_batch(seed)
    torch.manual_seed(seed)
    after = augment.augmented(batch, TrainParams(crop=1.0))
    for row in range(len(batch.last_B)):
        before, last = int(batch.last_B[row]), int(after.last_B[row])
        lost = before - last
        assert (1 <= lost < before) if before > 1 else lost == 0
        assert after.targets_BL[row, : last + 1].tolist() == batch.targets_BL[row, lost : before + 1].tolist()
        assert after.items_BL[row, 1 : last + 1].tolist() == batch.items_BL[row, lost + 1 : before + 1].tolist()
        with_past = (batch.asked_BL[row, : before + 1] > lost) if lost else batch.mask_BL[row]
        assert after.mask_BL[row].sum() == with_past.sum()
        assert after.target_behaviors_BL[row, last] == batch.target_behaviors_BL[row, before]


def test_every_suffix_is_kept_about_as_often():
    batch = windows((list(range(9)), list(range(9))))
    many = Batch(*(column.repeat(4000, *[1] * (column.dim() - 1)) for column in batch))
    torch.manual_seed(0)
    kept = np.bincount(augment.augmented(many, TrainParams(crop=0.7)).last_B, minlength=9)
    assert kept[0] == 0 and abs(kept[8] / 4000 - 0.3) < 0.03 and np.all(np.abs(kept[1:8] / 4000 - 0.1) < 0.02)


@pytest.mark.parametrize("seed", range(5))
def test_reordering_keeps_items_and_targets_and_hiding_keeps_targets(seed):
    batch = random_batch(seed)
    torch.manual_seed(seed)
    after = augment.augmented(batch, TrainParams(reorder=1.0))
    for name in ("items_BL", "targets_BL", "mask_BL"):
        assert torch.equal(getattr(after, name).sort(1).values, getattr(batch, name).sort(1).values)
    for row, last in enumerate(batch.last_B.tolist()):  # the last event is asked, never read: no history holds it
        assert after.targets_BL[row, last] == batch.targets_BL[row, last]
        assert after.items_BL[row, 1 : last + 1].tolist() == after.targets_BL[row, :last].tolist()
        of_item = dict(zip(after.targets_BL[row].tolist(), after.target_behaviors_BL[row].tolist(), strict=True))
        assert all(behavior == item % 3 for item, behavior in of_item.items() if item < 100)
    hiding = augment.augmented(batch, TrainParams(item_dropout=0.5))
    for name in ("targets_BL", "asked_BL", "mask_BL", "last_B", "times_BL", "target_times_BL", "target_behaviors_BL"):
        assert torch.equal(getattr(hiding, name), getattr(batch, name)), name
    real = batch.items_BL < 100
    gone = real & (hiding.items_BL == 100)
    assert torch.equal(hiding.items_BL[~gone], batch.items_BL[~gone])
    assert 0.35 < gone.sum() / real.sum() < 0.65 and not hiding.behaviors_BL[gone].any()


def test_long_stretches_are_shuffled_to_the_end():
    n = 4000  # moments beyond 2 ** 11, where a fraction added to a place would lose its digits
    batch = windows((list(np.arange(n) % 100), list(range(n))), max_length=n)
    torch.manual_seed(0)
    after = augment.reordered(batch, numbers(2000), numbers(n - 1))
    order = after.behaviors_BL[0, 2001:] * 100 + after.items_BL[0, 2001:]
    assert abs(np.corrcoef(np.arange(n - 2001), order[: n - 2001])[0, 1]) < 0.1
    assert torch.equal(after.items_BL[0, :2001], batch.items_BL[0, :2001])


def naive_info_nce(states: list[list[float]], group: list[int], temperature: float) -> float:
    def likeness(a: int, b: int) -> float:
        return sum(x * y for x, y in zip(states[a], states[b], strict=True)) / temperature

    losses = []
    for a in range(len(states)):
        negatives = sum(math.exp(likeness(a, n)) for n in range(len(states)) if group[n] != group[a])
        own = []
        for p in range(len(states)):
            if p != a and group[p] == group[a]:
                own.append(-math.log(math.exp(likeness(a, p)) / (math.exp(likeness(a, p)) + negatives)))
        losses.append(sum(own) / len(own))
    return sum(losses) / len(losses)


@pytest.mark.parametrize("group", [[0, 1, 2, 3], [7, 7, 1, 7], [5, 5, 5, 5]])
@pytest.mark.parametrize("temperature", [1.0, 0.3])
def test_info_nce_is_the_double_loop(group, temperature):
    states = torch.from_numpy(np.random.default_rng(len(set(group))).normal(size=(8, 3))).requires_grad_()
    loss = contrast.info_nce(states, torch.tensor(group * 2), temperature)
    assert loss.item() == pytest.approx(naive_info_nce(states.tolist(), group * 2, temperature), abs=1e-9)
    loss.backward()
    assert torch.isfinite(states.grad).all()
    assert torch.autograd.gradcheck(lambda x: contrast.info_nce(x, torch.tensor(group * 2), temperature), states)


def test_a_history_is_the_question_of_that_history():
    length = numbers(3, 1)
    made = contrast.history(TWO, length)
    rows = {"items": ([10, 11, 12], [20]), "times": ([1, 2, 2], [1]), "behaviors": ([1, 2, 0], [2])}
    asked = {name: Ragged.from_rows(list(values)) for name, values in rows.items()}
    moments = np.array([3, 2])  # of the events 13 and 21, which come next
    queries = Queries(np.zeros(2, np.int32), moments, values=asked["items"], candidates=np.ones(100, bool), seen_allowed=True, **asked)  # fmt: skip
    expected, shown = question(queries, 20, READS), lists(made)
    for name, column in lists(expected).items():
        cut = [row[:4] for row in shown[name]] if name != "last_B" else shown[name]
        assert cut == column, name


@pytest.mark.parametrize("seed", range(3))
def test_views_leave_hide_and_shuffle_the_shares_they_should(seed):
    batch = random_batch(seed)
    whole = contrast.history(batch, batch.last_B)
    torch.manual_seed(seed)
    made = {op: contrast.view(whole, torch.full_like(batch.last_B, op)) for op in range(3)}
    moved = 0
    for row, n in enumerate(batch.last_B.tolist()):
        events = whole.items_BL[row, 1 : n + 1].tolist()
        views = [made[op].items_BL[row].tolist() for op in range(3)]
        lengths = [int(made[op].last_B[row]) for op in range(3)]
        crop, mask, reorder = (view[1 : length + 1] for view, length in zip(views, lengths, strict=True))
        assert all(set(view[length + 1 :]) <= {100} for view, length in zip(views, lengths, strict=True))
        left = min(n, max(1, int(0.6 * n)))
        assert len(crop) == left and any(events[i : i + left] == crop for i in range(n - left + 1))
        assert [a for a, b in zip(mask, events, strict=True) if a != b] == [100] * int(0.3 * n)
        assert sorted(reorder) == sorted(events)
        differs = [i for i in range(n) if reorder[i] != events[i]]
        assert not differs or differs[-1] - differs[0] < int(0.6 * n)
        moved += bool(differs)
    assert moved > 5


class Bag(Network):
    """Answers with the sum of the vectors of the events read: what `contrast` makes of it can be worked out by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.items = torch.nn.Embedding.from_pretrained(torch.linspace(-1, 1, 300).view(100, 3) ** 3, freeze=False)
        self.asked_for: list[Batch] = []

    def last(self, batch: Batch) -> torch.Tensor:
        self.asked_for.append(batch)
        read = (batch.items_BL < 100).unsqueeze(-1)
        return (self.items(batch.items_BL.clamp(max=99)) * read).sum(1)


def test_duorec_pulls_histories_of_one_target_together():
    """With two events a window there is one history of one event, so that nothing is left to chance."""
    batch = windows(([1, 50], [1, 2]), ([2, 51], [1, 2]), ([3, 50], [1, 2]), ([4], [1]), ([5, 50], [2, 2]))
    network = Bag()
    loss = contrast.contrast(network, batch, TrainParams(ssl="duorec", ssl_temperature=0.5))
    rows = [network.items.weight[i].tolist() for i in (1, 2, 3)]  # of the others one read nothing, one a tie
    assert loss.item() == pytest.approx(naive_info_nce(rows * 2, [50, 51, 50] * 2, 0.5), rel=1e-5)


def test_duorec_draws_among_the_targets_that_count():
    batch = windows(([1, 2, 2, 3], [1, 2, 3, 4]), ([4, 5, 5, 6], [1, 2, 3, 4]), new_only=True)
    network = Bag()
    torch.manual_seed(0)
    for _ in range(40):
        contrast.contrast(network, batch, TrainParams(ssl="duorec"))
    lengths = {int(n) for asked in network.asked_for for n in asked.last_B}
    assert lengths == {1, 3}  # before the first 2 and before 3; the second 2 is no target


def test_cl4srec_compares_two_different_views_of_each_history():
    batch = windows(*[(list(range(10 * u, 10 * u + 10)), list(range(10))) for u in range(6)])
    network = Bag()
    torch.manual_seed(0)
    loss = contrast.contrast(network, batch, TrainParams(ssl="cl4srec", ssl_temperature=2.0))
    (asked,) = network.asked_for
    states = network.last(asked).tolist()
    assert loss.item() == pytest.approx(naive_info_nce(states, [*range(6)] * 2, 2.0), rel=1e-5)

    def operation(items: list[int], n: int) -> str:
        read = items[1 : n + 1]
        return "crop" if n < 9 else "mask" if 100 in read else "reorder" if read != sorted(read) else "none"

    done = [operation(row.tolist(), int(n)) for row, n in zip(asked.items_BL, asked.last_B, strict=True)]
    assert set(done) == {"crop", "mask", "reorder"} and all(done[u] != done[u + 6] for u in range(6))
    assert all({i // 10 for i in row.tolist() if i < 100} == {u % 6} for u, row in enumerate(asked.items_BL))


@pytest.mark.parametrize("ssl", ["cl4srec", "duorec"])
def test_one_history_alone_costs_nothing(ssl):
    network = Bag()
    loss = contrast.contrast(network, windows(([1, 2, 3], [1, 2, 3]), ([4], [1])), TrainParams(ssl=ssl))
    assert loss.item() == 0 and network.asked_for == []


OPTIONS = [{"crop": 0.8}, {"reorder": 0.5}, {"item_dropout": 0.4}, {"ssl": "cl4srec"}, {"ssl": "duorec"}]


@pytest.mark.slow
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_the_chain_is_still_learned(options):
    assert hits(fitted(replace(SMALL, epochs=8, **options))) >= 0.95


@pytest.mark.parametrize("ssl", ["cl4srec", "duorec"])
def test_the_contrastive_loss_is_added_by_its_weight(ssl):
    """One step whose draws are the same whatever the weight: its loss grows with the weight along a line."""
    one = replace(SMALL, epochs=1, batch_size=512, ssl=ssl, crop=0.5, scale_read=False)  # all states are alike at first
    losses = [fitted(replace(one, ssl_weight=weight)).curve[0][2] for weight in (0.0, 0.5, 2.0)]
    assert losses[0] == pytest.approx(fitted(replace(one, ssl="none")).curve[0][2], abs=1e-6)
    assert losses[1] - losses[0] > 0.5 * math.log(20)  # some 180 windows: a state is hardly told from all the others
    assert losses[2] - losses[0] == pytest.approx(4 * (losses[1] - losses[0]), rel=1e-4)


@pytest.mark.parametrize("ssl", ["cl4srec", "duorec"])
def test_training_that_is_stopped_after_every_step_ends_as_if_it_were_not(ssl, tmp_path):
    params = replace(SMALL, epochs=2, dropout=0.2, crop=0.5, reorder=0.5, item_dropout=0.2, ssl=ssl)
    whole = fitted(params)
    steps = 0
    while (part := fitted(params, folder=tmp_path, resume=True, max_minutes=0.0)).stopped_by == "max_minutes":
        steps += 1
        assert steps < 40
    assert steps > 5 and np.array_equal(part.curve, whole.curve, equal_nan=True)
    for name, weight in whole.net.state_dict().items():
        assert torch.equal(weight, part.net.state_dict()[name]), name
