"""A BERT that learns what readers do: its formulas by hand, its kept layers against the whole BERT.

Letters: I items, N texts, S tokens, V width of the encoder, B questions of a batch, L history length, D width, X what is looked up,
Y numbers of likeness, Q questions, T behaviours asked about.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from recbench import registry
from recbench.data import Queries, Ragged
from recbench.dataset import DataParams, Dataset
from recbench.errors import RecbenchError
from recbench.model import Context
from recbench.testing import checks
from recbench.testing.worlds import WORLDS

torch = pytest.importorskip("torch")
torch.set_num_threads(1)

from recbench_language.bert.batches import Batch, batch_of  # noqa: E402
from recbench_language.bert.bert import Bert, BertParams  # noqa: E402
from recbench_language.bert.reader import Reader  # noqa: E402
from recbench_language.bert.tfidf_logistic import TfidfLogistic  # noqa: E402
from recbench_language.bert.tower import tower_of  # noqa: E402
from recbench_language.registry import language_model  # noqa: E402

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "red", "blue", "thing", "cat", "dog", "##s", "good", "bad"]
TEXTS = ["red thing", "blue thing", "", "good cats and bad dogs, red or blue, good or bad", "dog"]


@checks(Bert)
def test_bert_keeps_the_contract(check):
    check()


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Path:
    """A BERT of three layers with random weights and thirteen words, in a folder as Hugging Face saves it."""
    from transformers import BertConfig, BertModel, BertTokenizer

    folder = tmp_path_factory.mktemp("tiny-bert")
    (folder / "vocab.txt").write_text("\n".join(WORDS))
    torch.manual_seed(0)
    shape = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 32}
    config = BertConfig(vocab_size=len(WORDS), max_position_embeddings=32, initializer_range=0.5, **shape)
    BertModel(config).save_pretrained(folder, safe_serialization=True)
    BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
    return folder


def tower(folder: Path, layers: int = 2, max_tokens: int = 32):
    return tower_of(language_model(str(folder), "encoder"), TEXTS, max_tokens, layers)


def fit(data: Dataset, board, **params) -> Bert:
    small = {"epochs": 1, "batch_size": 256, "dim": 8, "heads": 2, "width": 8, "max_length": 10}
    model = Bert(BertParams(**{**small, **params}))
    model.fit(data, Context(seed=1, board=board))
    return model


@pytest.fixture(scope="module")
def acts():
    """The kit's world of views, likes and purchases of red and blue things."""
    return WORLDS["acts"]()


@pytest.fixture(scope="module")
def fitted(tiny, acts) -> Bert:
    return fit(
        acts.split().train, acts.board, encoder=str(tiny), layers=1, learning_rate=1e-3, encoder_learning_rate=1e-2
    )


# The encoder.


@pytest.mark.parametrize("layers", [0, 1, 2, 3, -1, 9])
def test_kept_lower_layers_and_top_layers_are_the_whole_bert(tiny, layers):
    """The mean of the last states of the tokens, of length 1; a text that says nothing is 0."""
    from transformers import AutoTokenizer, BertModel

    bert = BertModel.from_pretrained(tiny, add_pooling_layer=False).eval()
    tokens = AutoTokenizer.from_pretrained(tiny)
    found_IV = tower(tiny, layers).all()
    for i, text in enumerate(TEXTS):
        with torch.no_grad():
            states_SV = bert(**tokens(text, return_tensors="pt")).last_hidden_state[0]
        mean_V = states_SV.mean(0) / states_SV.mean(0).norm()
        torch.testing.assert_close(found_IV[i], mean_V if text else torch.zeros(16), atol=1e-5, rtol=0)


def test_what_is_not_kept_is_computed_again(tiny, monkeypatch):
    kept_IV = tower(tiny).all()
    monkeypatch.setattr("recbench_language.bert.tower.KEPT_BYTES", 0)
    again = tower(tiny)
    torch.testing.assert_close(again.all(), kept_IV, atol=1e-6, rtol=0)
    assert not len(again.below_ISV)


def test_long_texts_are_cut(tiny):
    assert tower(tiny).length_I.tolist() == [4, 4, 0, 17, 3] and tower(tiny, max_tokens=6).length_I.max() == 6


def test_the_encoder_drops_nothing(tiny):
    """Also where it learns: two readings of a text are the same."""
    found = tower(tiny).train()
    torch.testing.assert_close(found(torch.tensor([0, 3])), found(torch.tensor([3, 0])).flip(0))
    assert found(torch.tensor([0])).requires_grad


# Training.


def test_top_layers_learn_and_the_others_stay(tiny, fitted):
    from transformers import BertModel

    before = BertModel.from_pretrained(tiny, add_pooling_layer=False).state_dict()
    after = fitted.net.tower.bert.state_dict()
    moved = {name for name, value in before.items() if not torch.equal(value, after[name])}
    assert moved and all(name.startswith("encoder.layer.2.") for name in moved)
    assert len(moved) == sum(name.startswith("encoder.layer.2.") for name in before)


def test_the_encoder_has_a_learning_rate_of_its_own(fitted):
    from recbench.neural.optim import optimizer

    rate_of = {
        id(w): group["rate"] for group in optimizer(fitted.net, fitted.params).param_groups for w in group["params"]
    }
    for name, weight in fitted.net.named_parameters():
        assert rate_of.get(id(weight)) == (
            None if not weight.requires_grad else pytest.approx(10.0) if name.startswith("tower.") else 1.0
        )


def test_each_behaviour_has_a_head(fitted, acts):
    """Two behaviours asked about; what moves the one head leaves the other's answers."""
    queries = acts.split().test.queries
    before_QT = fitted.predict(queries)
    assert before_QT.shape == (len(queries), 2) and len(fitted.net.answers) == 2
    weight = fitted.net.answers[1].straight.weight
    with torch.no_grad():
        weight += 1
        after_QT = fitted.predict(queries)
        weight -= 1
    assert np.array_equal(before_QT[:, 0], after_QT[:, 0]) and not np.allclose(before_QT[:, 1], after_QT[:, 1])


def test_saved_without_its_folder_it_answers_as_before(fitted, acts, tmp_path, monkeypatch):
    queries = acts.split().test.queries
    fitted.save(tmp_path / "model")
    monkeypatch.setattr("recbench_language.bert.tower.tower_of", None)
    loaded = Bert.load(tmp_path / "model")
    np.testing.assert_allclose(loaded.predict(queries), fitted.predict(queries), atol=1e-6)
    assert not list((tmp_path / "model").glob("*.pkl"))


def test_it_learns_colours_from_text(tiny, acts):
    """By the words of things alone it tells what a user likes: it beats the rates in training by the area under the curve."""
    from sklearn.metrics import roc_auc_score

    parts = acts.split()
    model = fit(parts.train, acts.board, encoder=str(tiny), layers=1, epochs=6, batch_size=64, learning_rate=1e-2)
    assert roc_auc_score(parts.test.outcomes[:, 0], model.predict(parts.test.queries)[:, 0]) > 0.6


def test_what_an_entry_tells(fitted):
    told = fitted.notes["language"]
    assert told["revision"].startswith("sha256 ") and told["contamination"] == "possible"
    assert told["texts"] == 24 and told["tokens"] == 24 * 4 and told["cpu_seconds"] >= 0


def test_batches_hold_few_posts(acts):
    """Questions about one post stand together."""
    from recbench_language.bert.batches import Questions, loader

    from recbench.questions import training_questions

    asked = training_questions(acts.split().train, acts.board)
    questions = Questions(asked.queries, asked.outcomes, 10)
    batches = list(loader(questions, 64, 1, Context().team))
    assert sum(len(batch.item_B) for batch in batches) == len(questions)
    assert np.mean([len(batch.item_B.unique()) for batch in batches]) < 5


def asked(histories: list, item: list[int]) -> Queries:
    """Histories of (item, behaviour, seconds before the moment) and the items asked about, of five."""
    now, n = 1_700_000_000, len(histories)
    items, behaviors, times = (Ragged.from_rows([[e[k] for e in h] for h in histories], np.int64) for k in range(3))
    times = replace(times, values=now - times.values)
    user, moment = np.zeros(n, np.int32), np.full(n, now)
    return Queries(user, moment, items, behaviors, times, times, np.ones(5, bool), True, item=np.array(item, np.int32))


def test_a_batch_holds_the_newest_events_their_behaviours_and_ages():
    batch = batch_of(asked([[(0, 0, 9), (1, 2, 4), (2, 1, 1)], [], [(3, 1, 0)]], [4, 3, 3]), 2)
    assert batch.event_BL.tolist() == [[1, 2], [0, 0], [3, 0]] and batch.behavior_BL.tolist() == [
        [2, 1],
        [0, 0],
        [1, 0],
    ]
    assert batch.real_BL.tolist() == [[True, True], [False, False], [True, False]]
    assert batch.age_BL.tolist() == [[3, 1], [0, 0], [0, 0]]


@pytest.mark.parametrize(
    ("params", "why"),
    [
        ({"encoder": "hashed-words"}, r"layers=2: encoder=hashed-words .* layers=0"),
        ({"encoder": "nothing-here"}, "encoder=nothing-here is no language model"),
        ({"text": "author"}, "text=author names 'author'"),
        ({"vectors": "v.parquet"}, "layers=2: vectors=v.parquet come without an encoder; use layers=0"),
    ],
)
def test_what_cannot_be_read_is_one_line(acts, tiny, params, why):
    with pytest.raises(RecbenchError, match=why) as error:
        fit(acts.split().train, acts.board, **{"encoder": str(tiny), **params})
    assert "\n" not in str(error.value)


def test_layers_of_another_model_are_refused(tmp_path, acts):
    from transformers import DistilBertConfig, DistilBertModel

    config = DistilBertConfig(vocab_size=8, dim=8, n_layers=1, n_heads=1, hidden_dim=8)
    DistilBertModel(config).save_pretrained(tmp_path, safe_serialization=True)
    with pytest.raises(
        RecbenchError, match="of the kind distilbert, and layers of a BERT alone are trained; use layers=0"
    ):
        fit(acts.split().train, acts.board, encoder=str(tmp_path))


def test_it_needs_a_board_of_behaviours(acts):
    with pytest.raises(RecbenchError, match="model bert needs a board of the task behavior; given none"):
        Bert().fit(acts.dataset, Context())


def test_reader_is_its_formula():
    """Attention and likeness, head by head and event by event; the second reader has no history."""
    torch.manual_seed(0)
    reader, dim, heads = Reader(6, 2, 2).requires_grad_(False), 6, 2
    for weight in reader.parameters():
        weight += 0.3 * torch.randn_like(weight)
    post_BD, event_ND = torch.randn(2, dim), torch.randn(3, dim)
    events = [(0, 0, 5), (1, 1, 2), (0, 1, 0)]  # post, behaviour, class of age; the newest last
    place_BL = torch.tensor([[e[0] for e in events], [0, 0, 0]])
    behavior_BL, age_BL = (torch.tensor([[e[k] for e in events], [0, 0, 0]]) for k in (1, 2))
    real_BL = torch.tensor([[True] * 3, [False] * 3])
    found_BD, likeness_BY = reader(
        post_BD, event_ND, place_BL, Batch(place_BL[:, 0], place_BL, real_BL, behavior_BL, age_BL)
    )
    told = [reader.behaviors.weight[m] + reader.ages.weight[a] for _, m, a in events]
    parts = torch.zeros(2, heads)
    for h in range(heads):
        fits, values = [reader.nothing_X[h]], [reader.nothing_X[heads:]]
        weights, sums = torch.zeros(2), torch.zeros(2)
        for back, ((n, m, _), x) in enumerate(zip(events[::-1], told[::-1], strict=True)):
            post, event = post_BD[0] / post_BD[0].norm(), event_ND[n] / event_ND[n].norm()
            cosine = (post * reader.gain_HD[h] * event).sum()
            fits.append(reader.steepness_H[h] * (cosine - reader.threshold_H[h]) + x[h])
            values.append(reader.value(event_ND[n]) + x[heads:])
            weight = 0.5 ** (back / reader.log_half_life_H[h].exp())
            weights[m] += weight
            sums[m] += weight * fits[-1].sigmoid()
        share = torch.stack(fits).softmax(0)
        own = slice(3 * h, 3 * h + 3)
        torch.testing.assert_close(found_BD[0, own], (share[:, None] * torch.stack(values))[:, own].sum(0))
        parts[:, h] = sums / (1 + weights)
    torch.testing.assert_close(likeness_BY[0], torch.cat([parts.flatten(), torch.tensor([2.0, 3.0]).log()]))
    torch.testing.assert_close(found_BD[1], reader.nothing_X[heads:])
    assert not likeness_BY[1].any()


def test_without_a_history_it_still_answers(tiny, acts):
    parts = acts.split()
    model = fit(parts.train, acts.board, encoder=str(tiny), max_length=0, behaviors=False)
    assert np.ptp(model.predict(parts.test.queries), axis=0).min() > 0


# Data.

ARTICLES = "timestamp,eventType,contentId,authorPersonId,authorSessionId,contentType,url,title,text,lang\n"


def test_deskdrop_without_articles_says_what_is_missing_and_with_them_is_learned(tmp_path, tiny):
    """A title for each article, made up here."""
    root = Path(os.environ.get("RECBENCH_DATA_DIR", "data"))
    log = root / "social" / "deskdrop" / "users_interactions.csv.zip"
    if not log.is_file():
        pytest.skip(f"{log} is not there; set RECBENCH_DATA_DIR")
    source = registry.find("data", "deskdrop").load()
    board = next(board for board in source.boards if board.name == "social-engagement")
    (tmp_path / log.name).symlink_to(log)
    bare = source(DataParams(root=str(tmp_path))).load()
    with pytest.raises(RecbenchError, match=r"text=text names 'text', which the items of data=deskdrop have not"):
        fit(bare, board, encoder=str(tiny))
    rows = [f"1,CONTENT SHARED,{name},1,1,HTML,u,red {WORDS[5 + name % 8]},good thing,en" for name in bare.item_ids]
    (tmp_path / "shared_articles.csv").write_text(ARTICLES + "\n".join(rows))
    data = source(DataParams(root=str(tmp_path))).load()
    few = data.interactions.where(np.arange(len(data.interactions)) < 6000)
    model = fit(replace(data, interactions=few), board, encoder=str(tiny), layers=1)
    assert model.notes["language"]["texts"] == 2987 and model.chosen_epochs == 1


@pytest.mark.slow
def test_minilm_beats_logistic_regression_on_words():
    """SIMULATED engagement: in the area under the precision-recall curve of comments, and in the mean of all three."""
    from sklearn.metrics import average_precision_score

    from recbench.boards import board
    from recbench.split import split

    asks = board("social-sim-engagement")
    parts, found = split(registry.find("data", "social-sim").load()().load(), asks), {}
    for cls in (Bert, TfidfLogistic):
        model = cls()
        model.fit(parts.refit, Context(seed=1, board=asks))
        p_QT = model.predict(parts.test.queries)
        found[cls] = np.array([average_precision_score(parts.test.outcomes[:, t], p_QT[:, t]) for t in range(3)])
    gain_T = found[Bert] - found[TfidfLogistic]
    assert gain_T.mean() > 0 and gain_T[1] > 0.01
