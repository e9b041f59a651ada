"""Networks of behaviour: their formulas against naive ones, look-ups by hand, and a world that the history decides.

Letters: B questions of a batch, L history length, F fields, D width of a field, E width of an item, T behaviours asked about.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from recbench.data import Interactions, Queries, Ragged
from recbench.dataset import Dataset, DatasetInfo
from recbench.errors import RecbenchError
from recbench.model import Context
from recbench.plan import Board
from recbench.questions import training_questions

torch = pytest.importorskip("torch")
torch.set_num_threads(1)

from recbench_behavior.crossing_networks import Crosses, pairwise  # noqa: E402
from recbench_behavior.crossings import DCNV2, FM, DeepFM, LogisticSGD  # noqa: E402
from recbench_behavior.fields import collision_rate, fields_of, numbered  # noqa: E402
from recbench_behavior.histories import BST, DIN  # noqa: E402
from recbench_behavior.history_networks import Attention  # noqa: E402
from recbench_behavior.networks import BatchNorm, Layers  # noqa: E402
from recbench_behavior.neural import DeepParams  # noqa: E402
from recbench_behavior.rows import rows_of  # noqa: E402
from recbench_behavior.several import ESMM, PLE, MMoE  # noqa: E402
from recbench_behavior.several_networks import Level, chained  # noqa: E402

INFO = DatasetInfo("taste", "toy", "seconds", "none", "here")
BOARD = Board(
    "taste",
    "taste",
    ("auc",),
    "auc",
    task="behavior",
    ask="each_event",
    behaviors=("like",),
    exposures=("view",),
    horizon_days=0.01,
    repeat="any",
    candidates="all",
    test_window_days=10,
    valid_window_days=10,
)
BOTH = replace(BOARD, behaviors=("like", "share"))
MODELS = [LogisticSGD, FM, DeepFM, DCNV2, DIN, BST]
SEVERAL = [LogisticSGD, FM, DIN, MMoE, PLE, ESMM]


def taste(n_users: int = 150, n_items: int = 80, n_views: int = 24) -> Dataset:
    """Each user likes what it views in one of four categories and nothing else; views are a day apart."""
    import pandas as pd

    rng = np.random.default_rng(3)
    user = np.repeat(np.arange(n_users), n_views)
    item = rng.integers(n_items, size=len(user))
    time = 1_600_000_000 + np.tile(np.arange(n_views), n_users) * 86400 + user
    liked = item % 4 == rng.integers(4, size=n_users)[user]
    columns = np.r_[user, user[liked]], np.r_[item, item[liked]], np.r_[time, time[liked] + 60]
    behavior = np.r_[np.zeros(len(user), int), np.ones(int(liked.sum()), int)]
    behaviors = ("view", "like")
    log = Interactions.sorted(*columns, n_users=n_users, n_items=n_items, behavior=behavior, behaviors=behaviors)
    items = pd.DataFrame({"category": [f"kind {i % 4}" for i in range(n_items)]})
    return Dataset(INFO, log, np.arange(n_users), np.arange(n_items), items)


DATA = taste()
FEW = taste(n_users=40, n_views=10)


def fit(cls, data: Dataset = FEW, board: Board = BOARD, **params):
    model = cls(cls.Params(**{**cls.small, "batch_size": 128, **params}))
    model.fit(data, Context(seed=1, board=board))
    return model


@pytest.fixture(scope="module")
def models() -> dict:
    """Each model fitted once, for two passes."""
    return {cls: fit(cls, epochs=2, users=True) for cls in MODELS}


def ask(histories: list, item: list[int], user: int = 10_000) -> Queries:
    """Histories of (item, behaviour, seconds before the moment), by users never met."""
    now, n = 1_700_000_000, len(histories)
    items, behaviors, times = (Ragged.from_rows([[e[k] for e in h] for h in histories], np.int64) for k in range(3))
    times = replace(times, values=now - times.values)
    who, moment = np.full(n, user, np.int32), np.full(n, now)
    candidates = np.ones(80, bool)
    return Queries(who, moment, items, behaviors, times, times, candidates, True, item=np.array(item, np.int32))


HISTORIES = [[], [(4, 0, 90), (4, 1, 60)], [(1, 0, 9000), (7, 0, 800), (7, 1, 700), (2, 0, 0)], [(3, 0, 5)]]
ASKED = ask(HISTORIES, [3, 8, 7, 3])


def test_pairwise_is_the_sum_over_pairs():
    """Of fields alone, and of fields and dense inputs, each of which scales a vector of its own."""
    torch.manual_seed(0)
    fields_BFD, dense_BK, dense_KD = torch.randn(3, 5, 4), torch.randn(3, 2), torch.randn(2, 4)
    vectors_BFD = torch.cat([fields_BFD, dense_BK[:, :, None] * dense_KD], dim=1)
    for n, n_dense in ((5, 0), (7, 2)):
        naive_BD = sum(vectors_BFD[:, i] * vectors_BFD[:, j] for i in range(n) for j in range(i + 1, n))
        torch.testing.assert_close(pairwise(fields_BFD, dense_BK[:, :n_dense], dense_KD[:n_dense]), naive_BD)


def test_fm_is_its_formula():
    """A user not met and no history: bias, linear weights and pairs of user, hour, weekday, item, category, 3 dense."""
    model = fit(FM, epochs=1, users=True)
    net = model.net
    net.linear.weight.data.normal_(generator=torch.manual_seed(1))
    net.dense_linear.weight.data.normal_()
    net.requires_grad_(False)
    fields = fields_of(FEW, model.params)
    queries = ask([[]], [5])
    hour, weekday = int(queries.time[0]) // 3600 % 24, int(queries.time[0]) // 86400 % 7
    category = fields.items[5 * 2 + 1][0]
    moments = fields.begins["hour"] + hour, fields.begins["weekday"] + weekday
    rows = [fields.begins["user"], *moments, fields.items[5 * 2][0], category]
    vectors = [net.table.weight[row].detach().numpy() for row in rows]
    logit = float(net.bias_T[0]) + float(net.linear.weight[rows].sum())  # dense inputs of no history are 0
    logit += sum(float(a @ b) for k, a in enumerate(vectors) for b in vectors[k + 1 :])
    assert model.predict(queries)[0, 0] == pytest.approx(1 / (1 + np.exp(-logit)), rel=1e-5)


def one_hot(queries: Queries, fields, user: bool) -> np.ndarray:
    """(Q, V) by plain loops: the share that each row of the table has in each question's fields."""
    x_QV = np.zeros((len(queries), fields.n_rows))
    for q in range(len(queries)):
        rows = [[int(fields.user_U[queries.user[q]])]] if user else []
        for name, unit, n in (("hour", 3600, 24), ("weekday", 86400, 7)):
            rows.append([fields.begins[name] + int(queries.time[q]) // unit % n])
        n_fields = len(fields.columns)
        rows += [list(fields.items[int(queries.item[q]) * n_fields + c]) for c in range(n_fields)]
        for of_field in rows:
            for row in of_field:
                x_QV[q, row] += 1 / len(of_field)
    return x_QV


def test_one_layer_is_dense_algebra():
    """Two behaviours, fields and the dense inputs of histories: bias + X W + K D."""
    model = fit(LogisticSGD, shared(), BOTH, epochs=1)
    net = model.net.requires_grad_(False)
    net.table.weight.normal_(generator=torch.manual_seed(1))
    net.dense_linear.weight.normal_()
    x_QV, dense_QK = one_hot(ASKED, fields_of(shared(), model.params), user=False), np.zeros((4, 4))
    for q, history in enumerate(HISTORIES):
        for _, behavior, _ in history:
            dense_QK[q, behavior] += 1 / len(history)
        dense_QK[q, 3] = np.log(1 + len(history))
    logit_QT = net.bias_T.numpy() + x_QV @ net.table.weight.numpy() + dense_QK @ net.dense_linear.weight.numpy().T
    np.testing.assert_allclose(model.predict(ASKED), 1 / (1 + np.exp(-logit_QT)), rtol=1e-5)


def test_one_layer_learns_what_scikit_learn_finds():
    """The loss is convex. It is the mean of T behaviours and has a penalty of l2 for each look-up: that of scikit-learn
    with C = 1 where column v of X is divided by sqrt(2 T l2 n_v)."""
    from sklearn.linear_model import LogisticRegression

    from recbench.questions import training_questions

    l2, board = 1e-2, replace(BOTH, exposures=("view", "like"))
    still = {"id_dropout": 0.0, "averaging": 0.0, "clip": 0.0, "max_length": 0, "users": True, "embedding_l2": l2}
    pace = {"batch_size": 65_536, "epochs": 200, "optimizer": "adam", "learning_rate": 0.1, "schedule": "cosine"}
    model, asked = fit(LogisticSGD, shared(), board, **still | pace), training_questions(shared(), board)
    x_QV = one_hot(asked.queries, fields_of(shared(), model.params), user=True)
    n_V = x_QV.sum(0)
    scale_V = np.sqrt(2 * 2 * l2 * np.maximum(n_V, 1))
    for t in range(2):
        solved = LogisticRegression(C=1.0, tol=1e-9, max_iter=10_000).fit(x_QV / scale_V, asked.outcomes[:, t])
        found_V = model.net.table.weight.detach().numpy()[:, t]
        assert np.ptp(found_V) > 1
        assert model.net.bias_T[t].item() == pytest.approx(solved.intercept_[0], abs=5e-3)
        np.testing.assert_allclose(found_V, solved.coef_[0] / scale_V, atol=1e-2)


def test_cross_layers_are_their_formula():
    torch.manual_seed(2)
    cross, first_BX = Crosses(6, 3), torch.randn(4, 6)
    x_BX = first = first_BX.numpy()
    for layer in cross.layers:
        weight, bias = layer.weight.detach().numpy(), layer.bias.detach().numpy()
        x_BX = first * (x_BX @ weight.T + bias) + x_BX
    np.testing.assert_allclose(cross(first_BX).detach().numpy(), x_BX, rtol=1e-5, atol=1e-6)


def test_attention_is_its_formula():
    torch.manual_seed(3)
    attention, target_BE, events_BLE = Attention(5, 7), torch.randn(2, 5), torch.randn(2, 3, 5)
    (weight, bias), (last, end) = (
        (layer.weight.detach().numpy(), layer.bias.detach().numpy()) for layer in (attention.first, attention.last)
    )
    found_BL = attention(target_BE, events_BLE).detach().numpy()
    for b in range(2):
        for place in range(3):
            q, k = target_BE[b].numpy(), events_BLE[b, place].numpy()
            hidden = weight @ np.concatenate([q, k, q - k, q * k]) + bias
            naive = float(last[0] @ np.where(hidden > 0, hidden, 0.25 * hidden) + end[0])
            assert found_BL[b, place] == pytest.approx(naive, rel=1e-4, abs=1e-6)


def test_rows_by_hand():
    rows = rows_of(ASKED, 3)
    assert rows.item_N.tolist() == [2, 3, 4, 7, 8]
    assert rows.item_N[rows.target_B].tolist() == [3, 8, 7, 3]
    assert rows.real_BL.sum(1).tolist() == [0, 2, 3, 1]
    assert rows.item_N[rows.event_BL][2].tolist() == [7, 7, 2]  # the newest three, oldest first
    assert rows.behavior_BL[2].tolist() == [0, 1, 0]
    assert rows.gap_BL[2].tolist() == [10, 10, 0]  # 512 to 1023 seconds, and none
    assert rows_of(ASKED, 0).event_BL.shape == (4, 0)


def test_rows_of_ids_by_hand():
    """Item 1 came once and is not learned; users 0 and 1 are; hours and weekdays come last."""
    import pandas as pd

    log = Interactions.sorted(
        np.array([0, 0, 1, 1, 2]), np.array([0, 2, 0, 2, 1]), np.arange(5), n_users=3, n_items=4, behaviors=("view",)
    )
    items = pd.DataFrame({"category": ["a|b", "c", "b", None]})
    fields = fields_of(Dataset(INFO, log, np.arange(3), np.arange(4), items), FM.Params(users=True))
    assert fields.begins == {"user": 0, "item": 3, "category": 6, "hour": 9, "weekday": 33}
    assert fields.user_U is not None and fields.user_U.tolist() == [1, 2, 0]
    rows = [fields.items[row].tolist() for row in range(8)]
    assert rows == [[4], [7, 8], [3], [6], [5], [8], [3], [6]]  # item, categories; 6 is the unknown category
    assert (fields.n_rows, fields.columns, fields.collisions) == (40, ("item", "category"), {})


def test_hashing_collides_as_counted():
    assert collision_rate(np.array([4, 0, 4, 2, 2, 2, 9])) == pytest.approx(5 / 7)
    assert collision_rate(np.empty(0, np.int64)) == 0.0
    known = np.arange(1000) % 2 == 0
    row, n_rows, rate = numbered(known, 100)
    assert n_rows == 101 and row[~known].max() == 0 and row[known].min() >= 1 and row.max() <= 100
    alone = [r for r in row[known] if (row[known] == r).sum() == 1]
    assert rate == pytest.approx(1 - len(alone) / 500)
    assert numbered(known, 500)[2] is None and numbered(known, 0)[1] == 501


def test_hashing_is_told_in_the_entry():
    model = fit(FM, epochs=1, buckets=16, users=True)
    assert set(model.chosen["collisions"]) == {"user", "item"}
    assert 0.9 < model.chosen["collisions"]["item"] <= 1
    assert model.net.table.num_embeddings == 17 + 17 + 5 + 24 + 7


@pytest.mark.parametrize("cls", MODELS)
def test_answers_keep_the_contract(cls, models, tmp_path):
    """Probabilities; the batch is nothing, nor padding; empty histories; saved and loaded; the same again."""
    model = models[cls]
    together = model.predict(ASKED)
    assert together.shape == (4, 1) and np.all((together > 0) & (together < 1))
    alone = np.concatenate([model.predict(ASKED.take(np.array([q]))) for q in range(4)])
    np.testing.assert_allclose(together, alone, rtol=1e-5, atol=1e-7)
    cut = replace(model.params, max_length=2)
    model.params, whole = cut, model.params
    newest = model.predict(ASKED)
    model.params = whole
    np.testing.assert_allclose(newest, model.predict(ask([h[-2:] for h in HISTORIES], [3, 8, 7, 3])), rtol=1e-5)
    assert abs(newest[2] - together[2]).max() > 1e-7  # what was cut had a say
    model.save(tmp_path / "model")
    assert np.array_equal(cls.load(tmp_path / "model").predict(ASKED), together)
    assert np.array_equal(fit(cls, epochs=2, users=True).predict(ASKED), together)


def test_batch_norm_is_its_formula():
    """Where it learns by the batch's own mean and spread; where it answers, or learns from one question, by the running ones."""
    torch.manual_seed(2)
    layers = Layers(5, DeepParams(width=4, layers=1, dropout=0.0, batch_norm=True))
    linear, norm = layers[0], layers[1]
    with torch.no_grad():
        norm.weight.uniform_(0.5, 2)
        norm.bias.uniform_(-1, 1)
    x_BX = torch.randn(30, 5)
    z_BX = linear(x_BX)
    scaled_BX = (z_BX - z_BX.mean(0)) / (z_BX.var(0, correction=0) + norm.eps).sqrt()
    torch.testing.assert_close(layers(x_BX), (scaled_BX * norm.weight + norm.bias).relu())
    torch.testing.assert_close(norm.running_mean, 0.1 * z_BX.mean(0))
    running_BX = (z_BX - norm.running_mean) / (norm.running_var + norm.eps).sqrt() * norm.weight + norm.bias
    torch.testing.assert_close(layers(x_BX[:1]), running_BX[:1].relu())
    torch.testing.assert_close(layers.eval()(x_BX), running_BX.relu())


@pytest.mark.parametrize("cls", [DeepFM, DCNV2, DIN, BST, MMoE, PLE, ESMM])
def test_towers_may_be_normalised(cls, tmp_path):
    """As shipped they are not; the running numbers are saved, and a last batch of one question is learned from."""
    data, board = (shared(), BOTH) if cls in SEVERAL[3:] else (FEW, BOARD)
    assert not any(isinstance(module, BatchNorm) for module in fit(cls, data, board, epochs=1).net.modules())
    n_asked = len(training_questions(data, board).queries)
    model = fit(cls, data, board, epochs=2, batch_norm=True, batch_size=n_asked - 1)
    assert any(isinstance(module, BatchNorm) for module in model.net.modules())
    model.save(tmp_path)
    assert np.array_equal(model.predict(ASKED), cls.load(tmp_path).predict(ASKED))
    assert model.params.as_dict()["batch_norm"] is True and "batch_norm" not in cls.Params().as_dict()


@pytest.mark.parametrize("cls", MODELS)
def test_padding_changes_nothing(cls, models):
    """What stands at padded places of a batch is not read."""
    rows, net = rows_of(ASKED, 10), models[cls].net
    junk = torch.where(rows.real_BL, 0, 1)
    other = rows._replace(
        event_BL=rows.event_BL + 3 * junk, behavior_BL=rows.behavior_BL + junk, gap_BL=rows.gap_BL + 7 * junk
    )
    torch.testing.assert_close(net(rows), net(other))


def test_statistics_are_inputs_and_saved(tmp_path):
    model = fit(DeepFM, epochs=1, statistics=True)
    assert model.facts["n_statistics"] > 20
    told = model.predict(ASKED)
    model.save(tmp_path / "model")
    assert np.array_equal(DeepFM.load(tmp_path / "model").predict(ASKED), told)


def test_answers_in_parts_are_those_at_once(monkeypatch):
    """To the rounding of other batches; statistics are made for each part alone."""
    model, queries = fit(DeepFM, epochs=1, statistics=True), ask(HISTORIES * 20, [3, 8, 7, 3] * 20)
    at_once = model.predict(queries)
    monkeypatch.setattr("recbench.asked.AT_ONCE", 7)
    np.testing.assert_allclose(model.predict(queries), at_once, rtol=1e-5)


def test_statistics_where_pairs_are_held_out_by_lot():
    """The questions come in parts there, each with its own statistics."""
    model = fit(FM, board=replace(BOARD, ask="window_start", split="random_pairs", horizon_days=0), statistics=True)
    assert model.facts["n_statistics"] > 20 and np.isfinite(model.predict(ASKED)).all()


@pytest.mark.parametrize("cls", MODELS)
def test_an_empty_share_of_a_batch_has_no_loss(cls, models):
    rows = rows_of(ASKED.take(np.arange(0)), 10, None, np.empty((0, 1), bool))
    loss, n = models[cls].net.loss(rows, models[cls].params, None)
    assert loss.item() == 0 and n == 0


def test_what_cannot_be_is_told():
    with pytest.raises(RecbenchError, match="DIN needs a board of the task behavior; given none"):
        DIN().fit(DATA, Context())
    with pytest.raises(RecbenchError, match="dim must be a multiple of heads; given dim=15, heads=2"):
        BST.Params(dim=15)
    with pytest.raises(RecbenchError, match="set items or categories"):
        DIN.Params(items=False, categories="")
    nothing = {"items": False, "categories": "", "moment": False}
    with pytest.raises(RecbenchError, match="nothing is left to look up"):
        fit(FM, **nothing)
    late = replace(BOARD, horizon_days=1000.0)
    with pytest.raises(RecbenchError, match="holds no question of board taste"):
        fit(FM, board=late)


def shared() -> Dataset:
    """The few, of whose likes every third is followed by a share."""
    log = FEW.interactions
    row = np.flatnonzero(log.behavior == 1)[::3]
    columns = (np.r_[column, column[row]] for column in (log.user, log.item))
    time, behavior = np.r_[log.time, log.time[row] + 30], np.r_[log.behavior, np.full(len(row), 2)]
    sizes = {"n_users": log.n_users, "n_items": log.n_items, "behaviors": ("view", "like", "share")}
    return replace(FEW, interactions=Interactions.sorted(*columns, time, behavior=behavior, **sizes))


@pytest.mark.parametrize("cls", SEVERAL)
def test_several_behaviours(cls, tmp_path):
    """A column for each behaviour, near their shares at first; of ESMM none above the one before it; saved and loaded."""
    model = fit(cls, shared(), BOTH, epochs=1, learning_rate=1e-5)
    told = model.predict(ASKED)
    np.testing.assert_allclose(told, np.tile([0.25, 0.08], (4, 1)), atol=0.06)
    assert cls is not ESMM or np.all(told[:, 0] >= told[:, 1])
    model.save(tmp_path / "model")
    assert np.array_equal(cls.load(tmp_path / "model").predict(ASKED), told)


@pytest.mark.parametrize("cls", [MMoE, PLE, ESMM])
def test_a_single_task_self_shares_nothing(cls, tmp_path):
    """The answer about one behaviour moves weights that the answer about the other does not, unless they share."""
    data, rows = shared(), rows_of(ASKED, 10, None, np.array([[1, 0]] * 4, bool))
    moved = {}
    for apart in (False, True):
        model = fit(cls, data, BOTH, epochs=1, apart=apart)
        for t in range(2):
            model.net.zero_grad()
            model.net(rows)[:, t].sum().backward()
            moved[apart, t] = {n for n, w in model.net.named_parameters() if w.grad is not None and w.grad.any()}
    assert moved[False, 0] & moved[False, 1] and not moved[True, 0] & moved[True, 1]
    assert moved[True, 0] and moved[True, 1] == {name.replace("nets.0", "nets.1") for name in moved[True, 0]}
    loss, n = model.net.eval().loss(rows, model.params, None)
    each = [
        net.loss(rows._replace(outcome_BT=rows.outcome_BT[:, [t]]), model.params, None)[0]
        for t, net in enumerate(model.net.nets)
    ]
    torch.testing.assert_close(loss, (each[0] + each[1]) / 2)
    assert n == 4 and model.net.bias_T.shape == (2,)
    model.save(tmp_path / "model")
    assert np.array_equal(cls.load(tmp_path / "model").predict(ASKED), model.predict(ASKED))


def test_esmm_needs_two_behaviours():
    with pytest.raises(
        RecbenchError, match=r"ESMM needs a board that asks about 2 behaviours or more; board .* asks about "
    ):
        fit(ESMM)


def test_chained_logits_are_those_of_products():
    logits_BT = torch.tensor([[0.0, 1.0, -2.0], [30.0, 30.0, 30.0]])
    p_BT = torch.sigmoid(logits_BT[:1].double()).cumprod(1)
    torch.testing.assert_close(chained(logits_BT)[:1].double(), (p_BT / (1 - p_BT)).log(), rtol=1e-5, atol=1e-6)
    assert torch.isfinite(chained(logits_BT)).all()


def test_a_level_of_experts_is_its_formula():
    """Two behaviours with one expert each beside two shared ones, and the shared state, which sees all four."""
    torch.manual_seed(5)
    params = PLE.Params(width=4, own_experts=1, experts=2, dropout=0.0)
    level, states = Level(3, 2, params, last=False), [torch.randn(2, 3) for _ in range(3)]
    out = level(states)
    told = [[np.maximum(e[0](x).detach().numpy(), 0) for e in g] for g, x in zip(level.experts, states, strict=True)]
    seen = [[*told[0], *told[2]], [*told[1], *told[2]], [*told[0], *told[1], *told[2]]]
    for number, experts in enumerate(seen):
        logit = level.gates[number](states[number]).detach().numpy()
        weight = np.exp(logit) / np.exp(logit).sum(1, keepdims=True)
        naive = sum(weight[:, [n]] * expert for n, expert in enumerate(experts))
        np.testing.assert_allclose(out[number].detach().numpy(), naive, rtol=1e-4, atol=1e-6)


def auc(model, users: np.ndarray) -> float:
    """Of the last views of users never met in training: how often a liked one stands above another."""
    from recbench.questions import training_questions

    asked = training_questions(replace(DATA, interactions=DATA.interactions.where(users)), BOARD)
    late = asked.take(np.flatnonzero(asked.queries.items.lengths > 12))
    score, liked = model.predict(late.queries)[:, 0], late.outcomes[:, 0]
    return float(np.mean(score[liked][:, None] > score[~liked]))


@pytest.mark.parametrize("cls", [DIN, pytest.param(BST, marks=pytest.mark.slow)])
def test_history_decides(cls):
    """A user likes the category it liked before: with the history of users never met it is found, without it is not."""
    new = DATA.interactions.user >= 110
    train = replace(DATA, interactions=DATA.interactions.where(~new))
    given = {"dim": 8, "epochs": 12, "items": False, "averaging": 0.9, "width": 32, "learning_rate": 2e-2}
    knows, blind = fit(cls, train, **given), fit(cls, train, **given | {"epochs": 2}, max_length=0)
    assert auc(knows, new) > 0.85
    assert abs(auc(blind, new) - 0.5) < 0.1
