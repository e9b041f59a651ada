"""A prompted causal language model says whether a user will like an item, and orders the candidates of another model.

Letters: Q questions, I items, K length of a list, C candidates, B behaviours asked about.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from recbench.data import Queries
from recbench.entry import write_atomically
from recbench.errors import RecbenchError, one_line
from recbench.model import Context, Recommendations, Recommender, Traits, load_saved
from recbench.params import Params, param
from recbench_language.prompts.base import base_of, listed
from recbench_language.prompts.prompt import ANY, FORMS, Prompt, Writer
from recbench_language.registry import contamination, language_model
from recbench_language.vectors import ReadsText, TextParams, item_texts

if TYPE_CHECKING:
    from recbench.dataset import Dataset
    from recbench_language.prompts.reading import Reader

RATES = (1e-3, 1 - 1e-3)  # what the share of questions that came true is taken to lie between


@dataclass(frozen=True)
class PromptRankerParams(Params):
    """Which model reads what, how many questions it learns from, and whose candidates it orders."""

    language_model: str = param(
        "smollm2-135m",
        "Causal language model: smollm2-135m, tiny-random (random weights, knows nothing), a folder with safetensors, or "
        "ORG/NAME on Hugging Face.",
    )
    text: str = param(
        "text", "Columns of the item table that name an item in a prompt, joined by +; title is the shortest."
    )
    words: int = param(12, "First words of an item's text that are read.", low=1, high=200)
    noun: str = param("item", "What a prompt calls an item, as movie or product.")
    form: str = param(
        "answers",
        "answers: each item of the history with its answer, as the one asked about; lists: those with yes, and those with no.",
        choices=FORMS,
        tune=True,
        task="behavior",
    )
    history: int = param(10, "Newest items of a history that a prompt tells.", low=1, high=100, tune=True)
    shots: int = param(
        0,
        "Questions of the training part that the model is tuned to by LoRA; 0: it answers as it is.",
        low=0,
        high=4096,
        task="behavior",
    )
    rank: int = param(8, "Rank of the adapters.", low=1, high=64, task="behavior")
    learning_rate: float = param(1e-3, "Step of Adam.", low=1e-6, high=0.1, log=True, tune=True, task="behavior")
    batch_size: int = param(8, "Shots of a step.", low=1, high=256, task="behavior")
    epochs: int = param(10, "Most passes over the shots.", low=1, high=100, task="behavior")
    patience: int = param(
        2, "Passes without a better log loss of the held-out shots that end it.", low=1, task="behavior"
    )
    model: str = param(
        "popular",
        "Whose best items are ordered on boards of the task ranking: a model, as ease or ease@l2:500, or run:KEY.",
        task="ranking",
    )
    candidates: int = param(20, "Best items of that model that are ordered.", low=2, high=1000, task="ranking")

    def __post_init__(self) -> None:
        super().__post_init__()
        base_of(self.model)


class PromptRanker(ReadsText, Recommender):
    """A causal language model asked in words whether the user will like the item (TALLRec, arXiv 2305.00447).

    The answer is " Yes" against " No" as the next token: their log-odds, less those of the same prompt without content
    (contextual calibration, arXiv 2102.09690), are added to the log-odds of the training part's share of yes. With `shots`,
    adapters are first tuned to so many of the training part's own questions, as many with yes as with no; the last quarter
    of the shots decides when that ends, because reading a validation holdout after every epoch would take longer than all
    else. On boards of the task ranking the best `candidates` of another model are ordered and its others stand behind them:
    the catalogue is never read.
    """

    Params = PromptRankerParams
    traits = Traits(tasks=("behavior", "ranking"), stochastic=True, needs_text=True)
    small = {
        "language_model": "tiny-random",
        "history": 4,
        "shots": 48,
        "epochs": 6,
        "learning_rate": 0.02,
        "model": "text-embedding@encoder:hashed-words",
        "candidates": 3,
    }
    base: Recommender | None = None
    adapters: dict[str, Any] = {}
    read: Reader | None = None
    writer: Writer
    targets: tuple[str, ...] = ()
    rate_B: tuple[float, ...] = ()
    users: frozenset[int] = frozenset()
    told: dict[str, Any] = {}

    def fit(self, train: Dataset, context: Context) -> None:
        """Tune the model to the shots, or fit the model whose items are ordered; RecbenchError where either cannot be."""
        p, board = self.params, context.board
        if context.device != "cpu":
            raise RecbenchError(f"model prompt-ranker reads on the processor; given trainer.device={context.device}")
        self.told = self._language(train)
        texts = item_texts(train, TextParams(text=p.text))
        names = train.interactions.behaviors
        self.writer = Writer(tuple(texts), names, p.noun, p.history, p.words, p.form)
        self.adapters, self.read, self.users = {}, None, frozenset()
        self.reader(context.threads)
        if board is not None and board.task == "behavior":
            self.targets = board.behaviors
            self._learn(train, context)
        else:
            self.targets, self.rate_B = (board.behaviors[:1] if board else ()) or (ANY,), (0.5,)
            self._fit_base(train, context)
        told = {"prompt": [self.writer.template(target) for target in self.targets]}
        self.told |= told | {"shots": p.shots if self.base is None else 0}
        self.reader().tokens, self.reader().cpu_seconds = 0, 0.0
        self.notes = self.told

    def _language(self, train: Dataset) -> dict[str, Any]:
        model = language_model(self.params.language_model, f"language_model={self.params.language_model}", causal=True)
        flag = contamination(model, train.info.name, train.info.scenario)
        return {"language": model.told() | {"contamination": flag}}

    def _learn(self, train: Dataset, context: Context) -> None:
        """The base rates of the board's questions, and the adapters where there are shots."""
        from recbench_language.prompts.shots import drawn_shots

        assert context.board is not None
        p, before = self.params, time.process_time()
        shots = drawn_shots("model=prompt-ranker", train, context.board, p.shots, context.seed)
        self.rate_B = tuple(np.clip(shots.rate_B, *RATES).tolist())
        if not p.shots or context.epochs == 0:
            return
        try:
            from recbench_language.prompts.lora import How, tuned
        except ImportError as error:
            raise RecbenchError(
                f"shots={p.shots} needs peft ({one_line(error)}); pip install 'recbench-language[causal]', or use shots=0"
            ) from error
        prompts = self._prompts(shots.queries)
        asked = [prompts[int(b)][n] for n, b in enumerate(shots.target_N)]
        fixed = context.epochs is not None
        how = How(
            p.rank, p.learning_rate, p.batch_size, context.epochs or p.epochs, p.patience, context.seed % 2**31, fixed
        )
        self.chosen_epochs, self.adapters = tuned(self.reader(), self.reader().tokens_of(asked), shots.true_N, how)
        self.stopped_by = "epochs" if fixed or self.chosen_epochs + p.patience > p.epochs else "patience"
        self.n_parameters = sum(weight.numel() for weight in self.adapters.values())
        self.told |= {"lora_cpu_seconds": round(time.process_time() - before, 1)}

    def _fit_base(self, train: Dataset, context: Context) -> None:
        """The model whose items are ordered, fitted as a run of its own would be."""
        named = base_of(self.params.model)
        self.base = named.made(train, context)
        if named.run:
            return
        told = context.chosen.get("base", {})
        own = {"epochs": told.get("epochs"), "rate_falls": tuple(told.get("rate_falls", ()))}
        own |= {"chosen": told.get("chosen", {}), "folder": context.folder and context.folder / "base"}
        self.base.fit(train, replace(context, **own))
        if self.base.chosen_epochs is not None or self.base.chosen:
            found = {"epochs": self.base.chosen_epochs, "rate_falls": list(self.base.rate_falls)}
            self.chosen = {"base": found | {"chosen": dict(self.base.chosen)}}

    def reader(self, threads: int | None = None) -> Reader:
        """The language model with its adapters, loaded when it is first needed."""
        if self.read is None:
            from recbench_language.prompts.causal import loaded
            from recbench_language.prompts.reading import Reader

            name = self.params.language_model
            self.read = Reader(*loaded(language_model(name, f"language_model={name}", causal=True), threads), name)
            if self.adapters:
                from recbench_language.prompts.lora import put_back

                put_back(self.read, self.adapters, self.params.rank)
        return self.read

    def _prompts(self, queries: Queries) -> list[list[Prompt]]:
        """(B, Q) the prompts of questions about items."""
        assert queries.item is not None
        return [self.writer.prompts(queries, queries.item, target) for target in self.targets]

    def _answered(self, prompts: list[Prompt], target: str, user_Q: NDArray) -> NDArray:
        """Log-odds less those of the prompt without content, and what reading has taken so far."""
        reader = self.reader()
        odds = reader.log_odds(prompts) - reader.log_odds([self.writer.content_free(target)])
        self.users |= frozenset(user_Q.tolist())
        speed = {
            "tokens": reader.tokens,
            "tokens_per_cpu_second": round(reader.tokens / max(reader.cpu_seconds, 1e-9), 1),
        }
        cost = {"cpu_seconds_per_1000_users": round(1000 * reader.cpu_seconds / max(len(self.users), 1), 1)}
        self.notes = self.told | speed | cost
        return odds

    def predict(self, queries: Queries) -> NDArray:
        """(Q, B) probabilities."""
        out_QB = np.empty((len(queries), len(self.targets)))
        for b, prompts in enumerate(self._prompts(queries)):
            odds_Q = self._answered(prompts, self.targets[b], queries.user)
            out_QB[:, b] = 1 / (1 + np.exp(-odds_Q - np.log(self.rate_B[b] / (1 - self.rate_B[b]))))
        return out_QB

    def recommend(self, queries: Queries, k: int) -> Recommendations:
        """The base's best `candidates` in the order of the answers, behind them its others as they stand."""
        assert self.base is not None
        items_QK = np.full((len(queries), k), -1, np.int32)
        found_QN = listed(self.base, queries, min(max(k, self.params.candidates), queries.n_items))
        head_QC = found_QN[:, : self.params.candidates]
        odds_QC = np.full(head_QC.shape, -np.inf, np.float32)
        query, place = np.nonzero(head_QC >= 0)
        prompts = self.writer.prompts(queries.take(query), head_QC[query, place], self.targets[0])
        odds_QC[query, place] = self._answered(prompts, self.targets[0], queries.user)
        order_QC = np.argsort(-odds_QC, axis=1, kind="stable")  # of equals the base's first
        found_QN[:, : head_QC.shape[1]] = np.take_along_axis(head_QC, order_QC, axis=1)
        width = min(k, found_QN.shape[1])
        items_QK[:, :width] = found_QN[:, :width]
        scores_QK = np.where(items_QK >= 0, -np.arange(k, dtype=np.float32), np.float32(-np.inf))
        return Recommendations(items_QK, scores_QK)

    def save(self, folder: Path) -> None:
        """Parameters, what prompts are written from, adapters as safetensors, and the base; the language model stays where
        it is and is found again by its name."""
        super().save(folder)
        words = {"texts": self.writer.text_I, "behaviors": self.writer.behaviors}
        words |= {"targets": self.targets, "rates": self.rate_B, "base": self.base.plugin if self.base else ""}
        write_atomically(folder / "words.json", json.dumps(words))
        if self.adapters:
            from safetensors.torch import save

            write_atomically(folder / "adapters.safetensors", save(self.adapters))
        if self.base is not None:
            self.base.save(folder / "base")

    @classmethod
    def load(cls, folder: Path) -> PromptRanker:
        """The model that `save` left."""
        model = super().load(folder)
        assert isinstance(model, cls)
        words, p = json.loads((folder / "words.json").read_text()), model.params
        model.writer = Writer(tuple(words["texts"]), tuple(words["behaviors"]), p.noun, p.history, p.words, p.form)
        model.targets, model.rate_B = tuple(words["targets"]), tuple(words["rates"])
        if (folder / "adapters.safetensors").is_file():
            from safetensors.torch import load_file

            model.adapters = load_file(folder / "adapters.safetensors")
        if words["base"]:
            model.base = load_saved(words["base"], folder / "base")
        return model
