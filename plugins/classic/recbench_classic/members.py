"""Models made of other models: how members are named, made, fitted, asked and saved. No plugin is imported by name.

A member is an installed model, with its parameters behind it, or a finished run:

    ease                    ease with its defaults
    ease@l2:500             ease with l2 = 500; further parameters follow in the same way, as in item-knn@shrink:5@neighbours:50
    run:KEY                 the model that a finished run left, by its key or folder, as it is

Several are joined by +. A shell and Hydra take such words as they are, without quotes.

Letters: Q queries, I items, M members.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from recbench import registry
from recbench.data import Queries
from recbench.entry import Entry, write_atomically
from recbench.errors import RecbenchError, nearest
from recbench.model import Context, Recommender, load_run, load_saved, nothing
from recbench.params import checked, types_of
from recbench.plan import lacking

if TYPE_CHECKING:
    from recbench.dataset import Dataset

FORM = "write members as ease, ease@l2:500 or run:KEY, joined by +"
JOINT = r"\+(?![+@]|\s*$)"  # of several + the last joins, and none at the end: a name may end in them, as svd++ does
LISTED = 200  # items that a model is asked for that gives lists and no scores


@dataclass(frozen=True)
class Member:
    """One member as it was named: the words, a run's key or folder, or a model's name and parameters."""

    words: str
    run: str
    name: str
    params: dict[str, Any] = field(compare=False)


def members_of(text: str, owner: str, least: int = 0) -> tuple[Member, ...]:
    """The members that a text names, all different; RecbenchError says what is wrong with it and what is allowed."""
    parts = [part.strip() for part in re.split(JOINT, text)] if text.strip() else []
    if len(parts) < least or "" in parts or len(set(parts)) < len(parts):
        wanted = f"at least {least} different members" if least else "different members"
        raise RecbenchError(f"{owner} must name {wanted}; given {text!r}; {FORM}")
    return tuple(_member(part, f"{owner}: member {part}") for part in parts)


def member_of(text: str, owner: str) -> Member:
    """The one member that a text names; RecbenchError where it is none or several."""
    found = members_of(text, owner)
    if len(found) != 1:
        raise RecbenchError(f"{owner} must name one member; given {text!r}; {FORM.partition(', joined')[0]}")
    return found[0]


def _member(words: str, owner: str) -> Member:
    if words.startswith("run:"):
        return Member(words, words.removeprefix("run:"), "", {})
    name, *given = words.split("@")
    try:
        cls = registry.find("model", name).load().Params
    except RecbenchError as error:
        raise RecbenchError(f"{owner}: {error}; {FORM}") from error
    params = {}
    for word in given:
        key, colon, value = word.partition(":")
        if not colon:
            known = [f.name for f in fields(cls)]
            raise RecbenchError(
                f"{owner}: a parameter is written @NAME:VALUE; given '@{word}'{nearest(word, known)}; "
                f"{name} has {', '.join(known) or 'none'}"
            )
        optional = types_of(cls).get(key, (str, False))[1]  # else none is a word, as of a weighting
        params[key] = checked(cls, key, None if optional and value in ("none", "null") else value, owner)
    return Member(words, "", name, params)


class Combined(Recommender):
    """Base of models made of others. `members` are what `made` and `learn` gave, in order; they are saved with the model.

    A member that is trained in epochs is selected on validation like a run of its own, and refitted with the epochs that
    this chose: `decisions` tells them. `trainer.max_minutes` holds for each of them.
    """

    members: list[Recommender]

    def learn(self, wanted: Sequence[Member], train: Dataset, context: Context, stage: str = "") -> list[Recommender]:
        """The members, fitted on `train`; those of a run are as it left them. Files of training go to folders of their own."""
        models = [made(member, train, context) for member in wanted]  # all, before any spends time
        for number, (member, model) in enumerate(zip(wanted, models, strict=True)):
            if member.run:
                continue
            told = context.chosen.get("members", {}).get(member.words, {})
            if told.get("epochs") == 0 and told.get("stopped_by") == "max_minutes":
                raise RecbenchError(
                    f"trainer.max_minutes={context.max_minutes:g} ended the selection of the member {member.words} within "
                    "its first epoch; give it more minutes"
                )
            folder = context.folder and context.folder / f"{stage}{number}-{member.name.replace('/', '-')}"
            own = {"epochs": told.get("epochs"), "rate_falls": tuple(told.get("rate_falls", ()))}
            own |= {"chosen": told.get("chosen", {}), "folder": folder, "report": nothing}
            model.fit(train, replace(context, **own))
        return models

    def keep(self, models: Sequence[Recommender]) -> None:
        """Hold the members, and tell of their parameters, their end and their time as a model does."""
        self.members = list(models)
        self.n_parameters = sum(model.n_parameters for model in models)
        self.cpu_before = sum(model.cpu_before for model in models)
        ends = [model.stopped_by for model in models if model.stopped_by != "closed form"]
        self.stopped_by = ends[0] if ends else "closed form"

    @contextmanager
    def answering(self) -> Iterator[None]:
        """All members are answering."""
        with ExitStack() as stack:
            for model in self.members:
                stack.enter_context(model.answering())
            yield

    def save(self, folder: Path) -> None:
        """Parameters, arrays, and each member in a folder of its own under the name of its plugin."""
        super().save(folder)
        for number, model in enumerate(self.members):
            model.save(folder / "members" / str(number))
        write_atomically(folder / "members.json", json.dumps([model.plugin for model in self.members]) + "\n")

    @classmethod
    def load(cls, folder: Path) -> Combined:
        """The model that `save` left, with its members."""
        model = super().load(folder)
        plugins = json.loads((folder / "members.json").read_text())
        model.members = [load_saved(name, folder / "members" / str(n)) for n, name in enumerate(plugins)]
        return model


def made(member: Member, train: Dataset, context: Context) -> Recommender:
    """The member, not yet fitted, or what its run left; RecbenchError where it cannot answer these data."""
    if not member.run:
        model = context.model(member.name, **member.params)
        lacks = lacking(model.needs(model.params), train)
        lacks += ["real timestamps"] if model.traits.needs_clock and train.info.clock in ("order", "none") else []
        if lacks:
            raise RecbenchError(f"member {member.words} needs {' and '.join(lacks)}; data={train.info.name} has none")
    else:
        folder = context.past_run(member.run)
        model, entry = load_run(folder), Entry.read(folder / "entry.json")
        model.n_parameters = entry.n_parameters  # no loaded model counts them
        if (entry.data, entry.data_checksum) != (train.info.name, train.checksum):
            raise RecbenchError(
                f"member {member.words} is a run on other data, {entry.data} {entry.data_checksum[:12]}, not "
                f"{train.info.name} {train.checksum[:12]}; name a run on the same data"
            )
    if "ranking" not in model.traits.tasks:
        raise RecbenchError(f"member {member.words} answers {', '.join(model.traits.tasks)} and ranks no items")
    return model


def decisions(wanted: Sequence[Member], models: Sequence[Recommender]) -> dict[str, Any]:
    """What members decided on validation, by their words, for a refit to repeat; nothing where none decided anything."""
    told = {}
    for member, model in zip(wanted, models, strict=True):
        found = {"chosen": dict(model.chosen), "rate_falls": list(model.rate_falls)}
        if model.chosen_epochs is not None:
            found |= {"epochs": model.chosen_epochs, "stopped_by": model.stopped_by}
        found = {name: value for name, value in found.items() if value not in ({}, [])}
        if found and not member.run:
            told[member.words] = found
    return {"members": told} if told else {}


def scores_of(model: Recommender, queries: Queries) -> NDArray:
    """(Q, I) float32 scores; of a model that gives lists alone, minus the place in its list, all others one place behind."""
    if type(model).score is not Recommender.score:
        return model.score(queries)
    k = min(LISTED, queries.n_items)
    items_QK = model.recommend(queries, k).items_QK
    scores_QI = np.full((len(queries), queries.n_items), -k, np.float32)
    query, place = np.nonzero(items_QK >= 0)
    scores_QI[query, items_QK[query, place]] = -place
    return scores_QI
