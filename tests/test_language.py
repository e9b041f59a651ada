"""Language models by name, vectors of texts, and the models that read them; with tiny random weights, without a network."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from language_models import tiny_bert

from recbench.data import ContextEvents, Interactions, Queries, Ragged
from recbench.dataset import Dataset, DatasetInfo
from recbench.errors import RecbenchError
from recbench.model import Context
from recbench.testing import checks

torch = pytest.importorskip("torch")
torch.set_num_threads(1)

from recbench_language import encoding, store  # noqa: E402
from recbench_language.encoding import encoded, random_vector  # noqa: E402
from recbench_language.facts import sentences  # noqa: E402
from recbench_language.registry import KNOWN, contamination, language_model  # noqa: E402
from recbench_language.rows import LLMMF, AlphaRec  # noqa: E402
from recbench_language.store import Store  # noqa: E402
from recbench_language.text_embedding import KGText, TextEmbedding, TextEmbeddingParams, unit  # noqa: E402
from recbench_language.transformer_text import UNMET_BIASES, TransformerText  # noqa: E402
from recbench_language.vectors import (  # noqa: E402
    ItemVectors,
    TextParams,
    item_texts,
    item_vectors,
    spread_of,
)

from recbench.neural.causal import CausalTransformer  # noqa: E402
from recbench.neural.rows import rows_of  # noqa: E402

DAY = 86400
TEXTS = ["red shoe", "blue shoe", "red hat", "the big blue lamp", "", "red shoe"]
GRAPH = [
    ("a", "film.directed_by", "Ann Lee"),
    ("a", "film.starring", "Bo_Do"),
    ("b", "film.starring", "Bo_Do"),
    ("c", "film.starring", "Bo_Do"),
    ("c", "film.directed_by", "Ann Lee"),
    ("c", "film.producer", "nobody else"),
]


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RECBENCH_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bert(tmp_path_factory.mktemp("weights") / "tiny")


@pytest.fixture
def shop() -> Dataset:
    """Three users, six items; items 3 and 4 have no event, item 4 no text."""
    user = np.array([0, 0, 0, 1, 1, 2])
    item = np.array([0, 1, 2, 0, 5, 1])
    log = Interactions.sorted(user, item, np.arange(6) * DAY, n_users=3, n_items=6)
    items = pd.DataFrame({"text": TEXTS, "tags": ["x|y", None, "y", "", "z", "x"], "entity": [*"abc", None, "d", "e"]})
    items["vec"] = [np.array([float(i), 1.0], np.float32) if i != 4 else None for i in range(6)]
    graph = pd.DataFrame(GRAPH, columns=["head", "relation", "tail"])
    info = DatasetInfo("toy", "own", "seconds", "none", "here")
    return Dataset(info, log, np.arange(3), np.arange(6), items, knowledge=graph)


def asked(*histories: list[int], n_items: int = 6, users: list[int] | None = None, days: float = 10.0) -> Queries:
    items = Ragged.from_rows(list(histories))
    n = len(histories)
    times = Ragged.from_rows([[DAY * at for at in range(len(h))] for h in histories], np.int64)
    ones = Ragged.from_rows([[1.0] * len(h) for h in histories], np.float32)
    zeros = Ragged.from_rows([[0] * len(h) for h in histories], np.int8)
    user = np.array(users or range(n), np.int32)
    when = np.full(n, int(days * DAY))
    return Queries(user, when, items, zeros, times, ones, np.ones(n_items, bool), True)


# Names ----------------------------------------------------------------------------------------------------------------


def test_every_known_model_tells_its_terms() -> None:
    for model in KNOWN.values():
        told = model.told()
        assert told["licence"] and told["languages"] and told["revision"] and model.dim > 0


@pytest.mark.parametrize(
    ("name", "causal", "message"),
    [
        ("minilmm", False, "encoder=minilmm is no language model; did you mean 'minilm'? Give one of minilm, "),
        ("smollm2-135m", False, "encoder=smollm2-135m gives a text no vector; use one of minilm, "),
        ("minilm", True, "encoder=minilm goes on with no text; use one of tiny-random, smollm2-135m"),
        ("./nowhere", False, "encoder=./nowhere is no language model."),
    ],
)
def test_wrong_names_say_what_is_allowed(name: str, causal: bool, message: str) -> None:
    with pytest.raises(RecbenchError) as error:
        language_model(name, f"encoder={name}", causal)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


def test_a_folder_is_pinned_by_its_weights(bert: Path, tmp_path: Path) -> None:
    other = tiny_bert(tmp_path / "other", seed=1)
    revisions = {language_model(str(folder), "encoder=x").revision for folder in (bert, other)}
    assert len(revisions) == 2 and all(r.startswith("sha256 ") for r in revisions)


def test_weights_that_may_run_code_are_refused(bert: Path, tmp_path: Path) -> None:
    folder = tmp_path / "pickled"
    folder.mkdir()
    (folder / "config.json").write_text((bert / "config.json").read_text())
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    with pytest.raises(RecbenchError, match=r"holds pytorch_model\.bin: other weights may run code when they are read"):
        language_model(str(folder), "encoder=x")


def test_all_that_is_read_of_a_folder_pins_it(bert: Path, tmp_path: Path) -> None:
    """Its settings and words change vectors as its weights do; its licence and size are told."""
    folder = tiny_bert(tmp_path / "copy")
    (folder / "README.md").write_text("---\nlicense: mit\nlanguage: en\n---\n# A card\n")
    before = language_model(str(folder), "encoder=x")
    assert (before.licence, before.languages) == ("mit", "en")
    from transformers import AutoModel

    assert before.n_parameters == sum(w.numel() for w in AutoModel.from_pretrained(folder).parameters())
    for name, more in (("vocab.txt", "new\n"), ("tokenizer_config.json", "  "), ("README.md", "more")):
        (folder / name).write_text((folder / name).read_text() + more)
        now = language_model(str(folder), "encoder=x")
        assert now.revision != before.revision, name
        before = now


def test_a_folder_may_have_the_name_of_a_known_model(tmp_path: Path) -> None:
    folder = tiny_bert(tmp_path / "hashed-words")
    vectors_TV = encoded(language_model(str(folder), "encoder=x"), ["red"], 8, Context()).vectors_TV
    assert vectors_TV.shape == (1, 16)


def test_damaged_weights_are_one_line(tmp_path: Path) -> None:
    folder = tiny_bert(tmp_path / "damaged")
    (folder / "model.safetensors").write_bytes(b"\x10" * 40)
    with pytest.raises(RecbenchError, match=r"encoder=damaged cannot be read \(.*; give a folder with safetensors"):
        encoded(language_model(str(folder), "encoder=x"), ["red"], 8, Context())


def test_a_folder_without_a_model_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(RecbenchError, match="cannot be read") as error:
        encoded(language_model(str(tmp_path), "encoder=x"), ["red"], 8, Context())
    assert "\n" not in str(error.value)


def test_what_a_model_may_have_met() -> None:
    assert contamination(KNOWN["smollm2-135m"], "ml-100k", "video") == "known"
    assert contamination(KNOWN["minilm"], "ml-100k", "video") == "possible"
    assert contamination(KNOWN["minilm"], "social-sim", "social") == "none"
    assert contamination(KNOWN["hashed-words"], "ml-100k", "video") == "none"
    assert contamination(KNOWN["minilm"], "file", "own") == "unknown"


# Vectors of texts -----------------------------------------------------------------------------------------------------


def test_vectors_are_the_mean_of_the_last_layer(bert: Path) -> None:
    """Against the model asked text by text, without padding."""
    from transformers import AutoModel, AutoTokenizer

    found = encoded(language_model(str(bert), "encoder=x"), TEXTS, 8, Context())
    model, tokenizer = AutoModel.from_pretrained(bert), AutoTokenizer.from_pretrained(bert)
    n_tokens = 0
    for text, vector_V in zip(TEXTS, found.vectors_TV, strict=True):
        if not text:
            assert not vector_V.any()
            continue
        with torch.no_grad():
            mean_V = model(**tokenizer([text], return_tensors="pt")).last_hidden_state[0].mean(0).numpy()
        np.testing.assert_allclose(vector_V, mean_V / np.linalg.norm(mean_V), atol=1e-5)
        n_tokens += 2 + len(text.split())
    assert found.told["texts"] == 4
    assert found.told["tokens"] == n_tokens - 4  # "red shoe" came twice


def test_long_texts_are_cut(bert: Path) -> None:
    one, two = encoded(language_model(str(bert), "encoder=x"), ["red hat", "red hat lamp"], 4, Context()).vectors_TV
    np.testing.assert_array_equal(one, two)  # four tokens: two words between the marks


def test_word_vectors_are_means(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors_TV = encoded(KNOWN["hashed-words"], ["Red, red hat!", "..."], 8, Context()).vectors_TV
    mean_V = (2 * random_vector("red") + random_vector("hat")) / 3
    np.testing.assert_allclose(vectors_TV[0], mean_V / np.linalg.norm(mean_V), rtol=1e-6)
    assert not vectors_TV[1].any()


def test_each_text_is_encoded_once() -> None:
    calls: list[list[str]] = []

    def encode(texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
        calls.append(texts)
        return np.array([[len(text), 1.0] for text in texts]), np.array([len(text) for text in texts])

    def watch(batches: object) -> object:
        return batches

    kept = Store("m", 2)
    first = kept.read(["bbb", "a"], encode, watch)  # type: ignore[arg-type]
    second = Store("m", 2).read(["a", "cc", "bbb", "a"], encode, watch)  # type: ignore[arg-type]
    assert calls == [["a", "bbb"], ["cc"]]  # by length, each once
    np.testing.assert_array_equal(first["vector"], [[3, 1], [1, 1]])
    np.testing.assert_array_equal(second["tokens"], [1, 2, 3, 1])
    Store("another", 2).read(["a"], encode, watch)  # type: ignore[arg-type]
    assert calls[-1] == ["a"]


def test_what_a_killed_process_left_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "BATCH", 1)
    n = 0

    def encode(texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
        nonlocal n
        n += len(texts)
        return np.array([[float(len(text))] for text in texts]), np.ones(len(texts))

    kept = Store("m", 1)
    kept.read(["a", "bb"], encode, lambda batches: batches)
    kept.rows.write_bytes(kept.rows.read_bytes() + b"half")  # a row without its hash, cut in the middle
    kept.hashes.write_bytes(kept.hashes.read_bytes() + b"h")
    found = kept.read(["bb", "ccc", "a"], encode, lambda batches: batches)
    np.testing.assert_array_equal(found["vector"][:, 0], [2, 3, 1])
    assert n == 3
    kept.hashes.write_bytes(kept.hashes.read_bytes() + b"x" * 32)  # hashes without rows count as nothing
    np.testing.assert_array_equal(kept.read(["ccc"], encode, lambda b: b)["vector"][:, 0], [3])


def test_glove_takes_the_words_it_knows(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    table = np.arange(100, dtype=np.float32).reshape(2, 50)
    np.save(tmp_path / "table.npy", table)
    pd.DataFrame({"index": ["red", "hat"]}).to_parquet(tmp_path / "index.parquet")
    paths = {
        file.name: tmp_path / name
        for file, name in zip(encoding.GLOVE_FILES, ("table.npy", "index.parquet"), strict=True)
    }
    monkeypatch.setattr(encoding, "locate", lambda file, *_: paths[file.name])
    vectors_TV = encoded(KNOWN["glove-50"], ["red zzz HAT", "zzz"], 8, Context()).vectors_TV
    np.testing.assert_allclose(vectors_TV[0], table.mean(0) / np.linalg.norm(table.mean(0)), rtol=1e-6)
    assert not vectors_TV[1].any()


# What is read of items ------------------------------------------------------------------------------------------------


def test_texts_of_columns_files_and_facts(shop: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECBENCH_DATA_DIR", str(tmp_path))
    (tmp_path / "told.json").write_text(json.dumps({"0": "a fine shoe", "3": "a lamp"}))
    texts = item_texts(shop, TextParams(text="text+tags+told.json", facts=2))
    assert texts[0] == "red shoe. x, y. a fine shoe. starring: Bo Do; directed by: Ann Lee"
    assert texts[3] == "the big blue lamp. a lamp"
    assert texts[4] == "z"


def test_facts_are_sentences_of_what_items_share(shop: Dataset) -> None:
    assert sentences(shop, 5)[:3] == [
        "starring: Bo Do; directed by: Ann Lee",
        "starring: Bo Do",
        "starring: Bo Do; directed by: Ann Lee",  # its producer is of no other item
    ]
    assert sentences(shop, 1)[2] == "starring: Bo Do"
    with pytest.raises(RecbenchError, match=r"facts=3: data=toy has no knowledge graph of its items; use facts=0"):
        sentences(dataclasses.replace(shop, knowledge=None), 3)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (
            {"text": "txt"},
            "text=txt names 'txt', which the items of data=toy have not; did you mean 'text'? They have: text,",
        ),
        ({"text": "text+gone.json"}, "text=gone.json: no such file here or in RECBENCH_DATA_DIR"),
        (
            {"vectors": "vek"},
            "vectors=vek is neither a parquet file nor a column of the items of data=toy; they have: text,",
        ),
        (
            {"vectors": "text"},
            "vectors=text: vectors must be arrays of one width; found none; give each item's in full",
        ),
        ({"vectors": "gone.parquet"}, "vectors=gone.parquet cannot be read"),
    ],
)
def test_what_cannot_be_read_is_one_line(shop: Dataset, params: dict[str, str], message: str) -> None:
    with pytest.raises(RecbenchError) as error:
        item_vectors(shop, TextParams(**{"encoder": "hashed-words"} | params), Context())
    assert str(error.value).startswith(message) and "\n" not in str(error.value)


def test_vectors_from_elsewhere(shop: Dataset, tmp_path: Path) -> None:
    found = item_vectors(shop, TextParams(vectors="vec"), Context())
    np.testing.assert_array_equal(found.values_IV, [[0, 1], [1, 1], [2, 1], [3, 1], [0, 0], [5, 1]])
    path = tmp_path / "image.parquet"
    pd.DataFrame({"item_id": ["5", "0"], "vector": [[1.0, 2.0], [3.0, 4.0]]}).to_parquet(path)
    found = item_vectors(shop, TextParams(vectors=str(path)), Context())
    np.testing.assert_array_equal(found.values_IV, [[3, 4], [0, 0], [0, 0], [0, 0], [0, 0], [1, 2]])
    np.testing.assert_array_equal(found.known_I, [True, False, False, False, False, True])
    assert found.told.pop("revision").startswith("sha256 ")  # another file under this name is another model
    assert found.told == {"model": "brought by the user", "contamination": "unknown"}


@pytest.mark.parametrize("text", ["", "+", "empty"])
def test_items_without_any_text_are_named(shop: Dataset, text: str) -> None:
    shop.items["empty"] = ""
    with pytest.raises(RecbenchError, match=r"text=.* gives none of the 6 items of data=toy a text; name a column or"):
        item_texts(shop, TextParams(text=text))


def test_what_a_file_does_not_know_is_no_word(shop: Dataset, tmp_path: Path) -> None:
    (tmp_path / "told.json").write_text(json.dumps({"0": "a shoe", "1": None}))
    pd.DataFrame({"item_id": ["0", "1"], "text": ["a shoe", None]}).to_parquet(tmp_path / "told.parquet")
    for name in ("told.json", "told.parquet"):
        assert item_texts(shop, TextParams(text=str(tmp_path / name))) == ["a shoe", "", "", "", "", ""]


def test_text_is_needed_only_where_it_is_read() -> None:
    for params, needed in (
        ({}, True),
        ({"vectors": "vec"}, False),
        ({"text": "title"}, False),
        ({"text": "text+x"}, True),
    ):
        for cls in (TextEmbedding, TransformerText, AlphaRec):
            assert cls.needs(cls.Params(**params)).needs_text == needed


@pytest.mark.parametrize("how", ["centre", "pca", "whiten"])
def test_items_that_are_all_alike_have_no_direction(how: str) -> None:
    values_IV = np.ones((4, 3), np.float32)
    out_ID = spread_of(ItemVectors(values_IV, {}), how, 2, np.ones(4, bool))(values_IV)
    assert np.isfinite(out_ID).all() and not out_ID.any()


def test_spreads_are_fitted_on_what_training_met() -> None:
    rng = np.random.default_rng(0)
    values_IV = rng.normal(size=(40, 5)).astype(np.float32) @ np.diag([5, 2, 1, 0.5, 0.1]).astype(np.float32) + 3
    values_IV[7] = 0  # nothing is known of it
    met_I = np.arange(40) < 30
    vectors, fitted = ItemVectors(values_IV, {}), values_IV[met_I & (np.arange(40) != 7)]
    for how, width in (("centre", 5), ("pca", 3), ("whiten", 3)):
        out_ID = spread_of(vectors, how, 3, met_I)(values_IV)
        met_ND = out_ID[met_I & (np.arange(40) != 7)]
        assert out_ID.shape == (40, width) and not out_ID[7].any()
        np.testing.assert_allclose(met_ND.mean(0), 0, atol=1e-5)
        np.testing.assert_allclose(np.mean(np.sum(met_ND**2, 1)), 1, rtol=1e-5)
    _, s, _ = np.linalg.svd(fitted - fitted.mean(0), full_matrices=False)
    pca_ND = spread_of(vectors, "pca", 3, met_I)(fitted)
    np.testing.assert_allclose(
        np.sqrt(np.sum(pca_ND**2, 0)), s[:3] / np.linalg.norm(s[:3]) * np.sqrt(len(fitted)), rtol=1e-4
    )
    white_ND = spread_of(vectors, "whiten", 3, met_I)(fitted)
    np.testing.assert_allclose(np.cov(white_ND, rowvar=False), np.eye(3) / 3, atol=0.02)
    np.testing.assert_array_equal(spread_of(vectors, "none", 3, met_I)(values_IV), values_IV)


# text-embedding -------------------------------------------------------------------------------------------------------


def fitted(shop: Dataset, **params: object) -> TextEmbedding:
    model = TextEmbedding(TextEmbeddingParams(**{"encoder": "hashed-words", "spread": "none"} | params))  # type: ignore[arg-type]
    model.fit(shop, Context())
    return model


def test_scores_are_cosines_with_a_faded_history(shop: Dataset) -> None:
    model = fitted(shop, position_half_life=1.0)
    vector_IV = unit(encoded(KNOWN["hashed-words"], TEXTS, 64, Context()).vectors_TV)
    profile_V = 0.5 * vector_IV[0] + vector_IV[3]
    scores_QI = model.score(asked([0, 3], [], [4]))
    np.testing.assert_allclose(scores_QI[0], vector_IV @ (profile_V / np.linalg.norm(profile_V)), atol=1e-6)
    assert not scores_QI[1:].any() and not scores_QI[:, 4].any()
    last = fitted(shop, user="last", last=1).score(asked([0, 3]))
    np.testing.assert_allclose(last[0], vector_IV @ vector_IV[3], atol=1e-6)
    days = fitted(shop, position_half_life=0.0, half_life_days=1.0).score(asked([0, 3], days=1.0))
    np.testing.assert_allclose(days[0], scores_QI[0], atol=1e-6)  # a day apart


def test_a_user_may_be_its_words(shop: Dataset) -> None:
    users = pd.DataFrame({"text": ["blue lamp", None, ""]})
    told = dataclasses.replace(shop, users=users)
    model = fitted(told, user="words", last=2)
    found = ContextEvents(
        np.array([1, 1, 1]), np.array([1, 2, 3]), np.zeros(3), np.array(["hat", "shoe", "red"], object), ("search",)
    )
    searches = Ragged.from_rows([[], [0, 1, 2], []])
    queries = dataclasses.replace(asked([0], [0], [2]), context=found, searches=searches)
    vector_IV = model.vector_IV
    read = lambda *texts: unit(encoded(KNOWN["hashed-words"], texts, 64, Context()).vectors_TV)  # noqa: E731
    profiles_QV = np.stack([read("blue lamp")[0], read("shoe", "red").sum(0), vector_IV[2]])
    np.testing.assert_allclose(model.score(queries), unit(profiles_QV) @ vector_IV.T, atol=1e-6)


def test_half_lives_in_days_need_a_clock(shop: Dataset) -> None:
    still = dataclasses.replace(shop, info=dataclasses.replace(shop.info, clock="order"))
    with pytest.raises(RecbenchError, match="half_life_days=2 needs real timestamps; data=toy has order only"):
        fitted(still, half_life_days=2.0)


def test_notes_tell_by_what_was_read(shop: Dataset) -> None:
    told = fitted(shop).notes["language"]
    assert told["model"] == "hashed-words" and told["contamination"] == "none" and told["tokens"] == 10
    assert json.loads(json.dumps(told)) == told


# transformer-text -----------------------------------------------------------------------------------------------------


def network(shop: Dataset, **params: object):
    small = TransformerText.small | {"dim": 8, "spread": "none"} | params
    model = TransformerText(TransformerText.Params(**small))
    model.found = item_vectors(shop, model.params, Context())
    torch.manual_seed(0)
    return model.network(shop).eval(), torch.from_numpy(model.found.values_IV)


@pytest.mark.parametrize("join", ["add", "gate", "text", "init", "none"])
def test_what_an_item_is(shop: Dataset, join: str) -> None:
    net, text_IV = network(shop, join=join)
    own_ID, items = net.items.weight, torch.tensor([[5, 3], [0, 4]])
    found_ID = net.item_vectors()
    if join in ("add", "gate", "text"):
        told_ID = text_IV @ net.adapter.weight.T
        if join == "gate":
            share_ID = torch.sigmoid(torch.cat([own_ID, told_ID], 1) @ net.gate.weight.T + net.gate.bias)
            wanted_ID = (1 - share_ID) * own_ID + share_ID * told_ID
        else:
            wanted_ID = told_ID + (own_ID if join == "add" else 0)
    else:
        wanted_ID = own_ID
    torch.testing.assert_close(found_ID, wanted_ID)
    torch.testing.assert_close(net.item_vectors(items), wanted_ID[items])
    assert (own_ID[3:5] == 0).all() or join == "init"  # nobody met them
    if join in ("none", "text"):
        assert hasattr(net, "text") == (join == "text")


def test_rows_begin_at_their_texts(shop: Dataset) -> None:
    net, text_IV = network(shop, join="init", spread="centre", encoder="hashed-words")
    own = net.items.weight.detach()
    centred = text_IV - text_IV[[0, 1, 2, 5]].mean(0)
    met = [0, 1, 2, 5]
    scale = (own[met] @ own[met].T)[0, 0] / (centred[met] @ centred[met].T)[0, 0]
    torch.testing.assert_close(own[met] @ own[met].T, scale * centred[met] @ centred[met].T, rtol=1e-3, atol=1e-6)


def test_who_was_not_met_is_no_negative(shop: Dataset) -> None:
    from recbench.neural.batches import Windows

    net, _ = network(shop, join="add")
    net.train()
    batch = Windows(shop.interactions, 10, False)[np.array([0, 1, 2])]
    params = TransformerText.Params(**TransformerText.small | {"dim": 8})
    loss, n_targets = net.loss(batch, params, None)
    loss.backward()
    assert n_targets == 6
    assert not net.items.weight.grad[3:5].any() and net.items.weight.grad[[0, 1, 2, 5]].any(1).all()
    assert not net.item_bias.grad[3:5].any() and net.item_bias.grad[[0, 1, 2, 5]].all()
    assert not net.compared()[3:5].any() and net.item_vectors()[3].any()


def test_without_text_no_id_is_hidden_and_no_text_read(shop: Dataset) -> None:
    from recbench.neural.batches import Windows

    small = TransformerText.small | {"dim": 8, "join": "none", "id_dropout": 0.9}
    model = TransformerText(TransformerText.Params(**small))
    model.fit(dataclasses.replace(shop, items=shop.items.drop(columns="text")), Context())
    assert model.notes == {}
    model.net.train()
    batch = Windows(shop.interactions, 10, False)[np.array([0])]
    losses = {float(model.net.loss(batch, model.params, None)[0].detach()) for _ in range(5)}
    assert len(losses) == 1


def test_layers_behind_turned_vectors_go_to_no_other_catalogue(shop: Dataset) -> None:
    model = TransformerText(TransformerText.Params(**TransformerText.small | {"init_from": "abc"}))
    with pytest.raises(
        RecbenchError, match="init_from=abc brings layers behind text vectors, and spread=whiten turns these"
    ):
        model.fit(shop, Context())


def test_a_bias_on_no_bias_is_refused_before_anything_runs() -> None:
    with pytest.raises(
        RecbenchError, match="unmet_bias=2 is added to a bias, and item_bias=false leaves none; leave one"
    ):
        TransformerText.Params(unmet_bias=2.0, item_bias=False)


def test_unmet_items_are_favoured_as_validation_likes(shop: Dataset) -> None:
    model = TransformerText(TransformerText.Params(**TransformerText.small | {"epochs": 1, "dim": 8}))
    seen = []

    def evaluate(asked_of: TransformerText) -> float:
        seen.append(float(asked_of.net.item_bias.detach()[3]))
        return -abs(seen[-1] - seen[0] - 3.2)

    model.fit(shop, Context(evaluate=evaluate))
    assert model.chosen == {"unmet_bias": 3}
    assert [round(now - seen[0]) for now in seen] == [0, *UNMET_BIASES]  # the first is of the epoch's end
    lowest = seen[0]
    assert float(model.net.item_bias.detach()[3]) == pytest.approx(lowest + 3)
    again = TransformerText(model.params)
    again.fit(shop, Context(chosen=model.chosen))
    assert float(again.net.item_bias.detach()[3]) == pytest.approx(lowest + 3)
    fixed = TransformerText(dataclasses.replace(model.params, unmet_bias=1.5))
    fixed.fit(shop, Context())
    assert float(fixed.net.item_bias.detach()[3]) == pytest.approx(lowest + 1.5) and not fixed.chosen


def test_ids_are_hidden_item_by_item(shop: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    net, _ = network(shop, join="add", id_dropout=0.5)
    seen = []

    def note(self, batch, params, share_I):
        seen.append(self.item_vectors(torch.tensor([0, 1, 2, 5])))
        return torch.zeros(()), 1

    monkeypatch.setattr(CausalTransformer, "loss", note)
    torch.manual_seed(5)
    net.loss(None, None, None)
    torch.manual_seed(5)
    kept_I1 = (torch.rand(6, 1) >= 0.5).float()
    assert 0 < kept_I1[[0, 1, 2, 5]].sum() < 4
    torch.testing.assert_close(seen[0], (net.items.weight * kept_I1 + net.adapter(net.text))[[0, 1, 2, 5]])
    assert net.kept_I1 is None


def test_hidden_events_are_guessed_from_both_sides(shop: Dataset) -> None:
    from recbench.neural.batches import Windows

    net, _ = network(shop, masked_weight=1.0, masked_share=0.5, blocks=1)
    batch = Windows(shop.interactions, 10, False)[np.array([0])]  # reads the start token, items 0 and 1
    found = {}
    for seed in range(20):
        torch.manual_seed(seed)
        guess = net.guessed(batch)
        found[tuple(guess.target_P.tolist())] = guess.states_PD
    assert set(found) == {(), (0,), (1,), (0, 1)}
    assert not torch.allclose(found[0, 1][0], found[0, 1][1])  # they stand in two places
    assert not torch.allclose(found[0,][0], found[0, 1][0])  # what follows is read


# Rows -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ids", [False, True])
def test_alpharec_against_dense_algebra(shop: Dataset, ids: bool) -> None:
    model = AlphaRec(AlphaRec.Params(**AlphaRec.small | {"dim": 4, "spread": "none", "layers": 2, "ids": ids}))
    model.found = item_vectors(shop, model.params, Context())
    net, text = model.network(shop).eval(), torch.from_numpy(model.found.values_IV)
    A_UI = torch.zeros(3, 6)
    A_UI[[0, 0, 0, 1, 1, 2], [0, 1, 2, 0, 5, 1]] = 1.0
    A_NN = torch.zeros(9, 9)
    A_NN[:3, 3:], A_NN[3:, :3] = A_UI, A_UI.T
    scale_N = A_NN.sum(1).clamp(min=1).rsqrt()
    G_NN = scale_N[:, None] * A_NN * scale_N
    with torch.no_grad():
        x = net.layers(torch.cat([A_UI / A_UI.sum(1, keepdim=True) @ text, text]))
        if ids:
            x = x + torch.cat([net.users.table.weight, net.items.weight])
        mean_ND = (x + G_NN @ x + G_NN @ G_NN @ x) / 3
        mean_ND = mean_ND if ids else torch.nn.functional.normalize(mean_ND, dim=1)
        torch.testing.assert_close(net.item_vectors(), mean_ND[3:])
        states = net.read(rows_of(asked([0, 1, 2], [5, 0], [1])))  # as they were trained on
        torch.testing.assert_close(states, mean_ND[:3])
    net.train()
    net.loss(rows_of(asked([0, 1, 2], [5, 0])), model.params, None)[0].backward()
    assert (
        not net.item_bias.grad[3:5].any() and net.item_bias.grad[[0, 1, 2, 5]].all()
    )  # who was not met is no negative
    assert not net.compared()[3:5].any() and net.eval().item_vectors()[3].any()


def test_factors_begin_at_their_texts_and_stay_near(shop: Dataset) -> None:
    model = LLMMF(LLMMF.Params(**LLMMF.small | {"dim": 3, "pull": 2.0, "dropout": 0.0}))
    model.found = item_vectors(shop, model.params, Context())
    net = model.network(shop)
    text = net.layer(net.text).detach()
    met = [0, 1, 2, 5]
    torch.testing.assert_close(net.items.weight[met], text[met])
    assert not net.items.weight[3:5].any()
    torch.testing.assert_close(net.eval().item_vectors()[3], text[3])  # nobody met it: its text answers
    net.train()
    rows = rows_of(asked([0, 1], [5]))
    base, _ = net.loss(rows, model.params, None)
    with torch.no_grad():
        net.layer.weight += 0.1
    moved, _ = net.loss(rows, model.params, None)
    apart = (net.items.weight - net.layer(net.text))[met].square().sum() / 6
    torch.testing.assert_close(moved - base, apart, rtol=1e-3, atol=1e-5)  # pull / 2 times the mean over items
    alone = LLMMF(LLMMF.Params(**LLMMF.small | {"use_text": False}))
    alone.found = model.found
    assert not alone.network(shop).eval().item_vectors()[3].any()


# The kit --------------------------------------------------------------------------------------------------------------


@checks(TextEmbedding)
def test_text_embedding(check) -> None:
    check()


@checks(KGText)
def test_kg_text(check) -> None:
    check()


@checks(TransformerText)
def test_transformer_text(check) -> None:
    check()


@checks(AlphaRec)
def test_alpharec(check) -> None:
    check()


@checks(LLMMF)
def test_llm_mf(check) -> None:
    check()


@pytest.mark.slow
@pytest.mark.parametrize("encoder", ["minilm", "use-multilingual"])
def test_real_encoders_know_what_is_alike(encoder: str) -> None:
    """Four questions, each with a right and a wrong title; the multilingual one also in Chinese."""
    asked_of = {
        "shampoo for curly hair": ("curl defining hair wash", "stainless steel kettle"),
        "running shoes": ("trail sneakers for joggers", "wooden picture frame"),
        "film about space": ("Apollo 13", "Pride and Prejudice"),
        "spicy noodles": ("hot chili ramen soup", "silver necklace"),
    }
    if encoder == "use-multilingual":
        asked_of |= {"洗发水": ("shampoo for dry hair", "garden hose"), "跑步鞋": ("running shoes", "coffee mug")}
    for question, titles in asked_of.items():
        q, right, wrong = encoded(KNOWN[encoder], [question, *titles], 64, Context()).vectors_TV
        assert q @ right > q @ wrong, question
