"""python -m recbench explain: why a run recommends an item to a user, in words that a causal language model makes up.

The model reads texts of the history and of the item, and knows nothing of the recommender: what it says is no measure of
either, and is never stored.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recbench.errors import RecbenchError, nearest
from recbench_language.prompts.prompt import ANY, Writer

if TYPE_CHECKING:
    from recbench.data import Queries
    from recbench.dataset import Dataset

USAGE = "explain run=KEY user=ID [item=ID] [language_model=smollm2-135m] [text=text] [noun=movie] [out=runs]"
DEFAULTS = {"item": "", "language_model": "smollm2-135m", "text": "text", "noun": "item", "out": "runs"}
NEW_TOKENS = 40
HISTORY, WORDS = 10, 12  # items of a history, and words of each, that are read
BECAUSE = " The {noun} {item} was recommended to this user, because"
WARNING = "made up by {model} from the texts above; it may be wrong, and it is no metric"


@dataclass(frozen=True)
class Explanation:
    """`title`: of the item. `prompt`: what the language model read. `words`: what it wrote behind that."""

    title: str
    prompt: str
    words: str


def explain(words: list[str]) -> int:
    """The command: prints the item, what is known of the user, and the explanation; RecbenchError on what is not there."""
    given = _given(words)
    run, dataset = _run(given["run"], Path(given["out"]))
    queries = _question(run, dataset, given["user"])
    item = _item(run, dataset, queries, given["item"])
    target = run["board"]["behaviors"][0] if run["board"]["behaviors"] else ANY
    found = explained(dataset, queries, item, target, given)
    print(f"item {dataset.item_ids[item]}: {found.title}")
    print(f"user {given['user']}: {found.prompt}")
    print(f"why: {found.words or '(the model wrote nothing)'}")
    print(f"({WARNING.format(model=given['language_model'])})")
    return 0


def explained(dataset: Dataset, queries: Queries, item: int, target: str, given: dict[str, str]) -> Explanation:
    """Why `item` may suit the first question's user, by greedy decoding of at most `NEW_TOKENS` tokens.

    `target`: the behaviour that parts the history, or `ANY`. `given`: `language_model`, `text` and `noun` as the command
    takes them.
    """
    from recbench_language.prompts.causal import loaded
    from recbench_language.registry import language_model
    from recbench_language.vectors import TextParams, item_texts

    texts = tuple(item_texts(dataset, TextParams(text=given["text"])))
    writer = Writer(texts, dataset.interactions.behaviors, given["noun"], HISTORY, WORDS, "lists")
    past = writer.past(queries.items[0], queries.behaviors[0], target)
    prompt = past + BECAUSE.format(noun=given["noun"], item=writer.name(item))
    name = given["language_model"]
    model, tokenizer = loaded(language_model(name, f"language_model={name}", causal=True))
    return Explanation(texts[item], prompt, first_sentences(continued(model, tokenizer, prompt)))


def continued(model: Any, tokenizer: Any, prompt: str) -> str:
    """What the model goes on with, the likeliest token after the likeliest token."""
    import torch

    ids_1T = torch.tensor([tokenizer(prompt)["input_ids"]])
    how = {"do_sample": False, "num_beams": 1, "max_new_tokens": NEW_TOKENS, "pad_token_id": 0}
    with torch.inference_mode():
        out_1T = model.generate(input_ids=ids_1T, attention_mask=torch.ones_like(ids_1T), **how)
    return tokenizer.decode(out_1T[0, ids_1T.shape[1] :], skip_special_tokens=True)


def first_sentences(text: str, most: int = 2) -> str:
    """The first sentences of a text in one line; what follows the last full stop is left out where there is one."""
    line = " ".join(text.split())
    whole = re.findall(r".+?[.!?](?=\s|$)", line)
    return " ".join(part.strip() for part in whole[:most]) or line


def _given(words: list[str]) -> dict[str, str]:
    given, known = dict(DEFAULTS), ("run", "user", *DEFAULTS)
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or name not in known:
            raise RecbenchError(f"explain: '{word}' is not understood{nearest(name, known) or '.'} Write {USAGE}")
        given[name] = value
    missing = [name for name in ("run", "user") if not given.get(name)]
    if missing:
        raise RecbenchError(f"explain: {' and '.join(missing)} not given. Write {USAGE}")
    return given


def _run(run: str, runs: Path) -> tuple[dict[str, Any], Dataset]:
    """The plan of a finished run with its folder, and the data it met."""
    from recbench import registry
    from recbench.entry import run_folder
    from recbench.prepared import load

    folder = run_folder(run, runs)
    plan = json.loads((folder / "plan.json").read_text())
    source = registry.find("data", plan["data"]).load()
    return plan | {"folder": folder}, load(source(source.Params.of(plan["data_params"])))


def _question(run: dict[str, Any], dataset: Dataset, user: str) -> Queries:
    """The last question that the board's test puts to the user; RecbenchError where it puts none."""
    from recbench.plan import Board
    from recbench.split import split

    fields: Any = {name: tuple(v) if isinstance(v, list) else v for name, v in run["board"].items()}
    queries = split(dataset, Board(**fields)).test.queries
    asked = np.unique(queries.user)
    rows = np.flatnonzero(dataset.user_ids[queries.user].astype(str) == user)
    if not len(rows):
        some = ", ".join(map(str, dataset.user_ids[asked[:5]]))
        raise RecbenchError(
            f"explain: user={user} is asked nothing in the test of board {fields['name']}; of {len(asked)} users that are, "
            f"the first are {some}"
        )
    return queries.take(rows[-1:])


def _item(run: dict[str, Any], dataset: Dataset, queries: Queries, item: str) -> int:
    """The item of that id; else the one that the question is about, or the run's model recommends first."""
    from recbench.model import load_run

    if item:
        rows = np.flatnonzero(dataset.item_ids.astype(str) == item)
        if not len(rows):
            raise RecbenchError(f"explain: data={dataset.info.name} has no item={item}; leave it out for the run's own")
        return int(rows[0])
    if queries.item is not None:
        return int(queries.item[0])
    return int(load_run(run["folder"]).recommend(queries, 1).items_QK[0, 0])
