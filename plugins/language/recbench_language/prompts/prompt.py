"""Questions in words: what a user did, and behind it what is asked; never what came of it.

A writer is handed texts of items when it is made, and later histories and items asked about: neither outcomes nor later
events are ever in its reach. Of a history, the newest `last` items are told, oldest first.

Letters: Q questions, I items, L items of a history, B behaviours asked about.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recbench.data import Queries

FORMS = ("answers", "lists")
ANSWERED = "Did the user {do} the {noun}?{items}"  # each item of the history with its answer, as the one asked about
ONE, ANOTHER = "\n{item}:{answer}", "\n{item}:"
LISTS = "A user {did} these {noun}s: {yes}. The user did not {do} these {noun}s: {no}."
MET = "A user {did} these {noun}s: {yes}."
ASKED = " Will the user {do} the {noun} {item}? Answer:"
ANSWERS = (" Yes", " No")
NOTHING, NAMELESS, CONTENT_FREE = "none", "without a title", "N/A"
ANY = ""  # whatever the user did with an item
VERBS = {
    ANY: ("chose", "choose"),
    "buy": ("bought", "buy"),
    "purchase": ("bought", "buy"),
    "cart": ("put into the cart", "put into the cart"),
    "redeem": ("redeemed", "redeem"),
    "view": ("viewed", "view"),
    "watch": ("watched", "watch"),
    "like": ("liked", "like"),
    "comment": ("commented on", "comment on"),
    "share": ("shared", "share"),
    "bookmark": ("bookmarked", "bookmark"),
    "follow": ("followed", "follow"),
}


@dataclass(frozen=True)
class Prompt:
    """`past`: what is known of the user. `asked`: what is asked, read behind it."""

    past: str
    asked: str

    def __str__(self) -> str:
        return self.past + self.asked


@dataclass(frozen=True)
class Writer:
    """Writes prompts. `text_I`: the text of each item, of which `words` are read; `behaviors`: names of the log's
    behaviours; `noun`: what an item is called; `last`: items of a history that are told; `form`: one of `FORMS`."""

    text_I: tuple[str, ...]
    behaviors: tuple[str, ...]
    noun: str
    last: int
    words: int
    form: str = "answers"

    def prompts(self, queries: Queries, items: Sequence[int] | NDArray, target: str) -> list[Prompt]:
        """(Q,) whether the user of each question will show the behaviour `target`, or `ANY`, to its item."""
        pasts = [self.past(queries.items[q], queries.behaviors[q], target) for q in range(len(queries))]
        return [Prompt(past, self.asked(int(item), target)) for past, item in zip(pasts, items, strict=True)]

    def past(self, item_L: NDArray, behavior_L: NDArray, target: str) -> str:
        """What a history says: the items to which `target` was shown, and those to which it was not."""
        place_of = {int(item): place for place, item in enumerate(item_L)}  # an item stands where it came last
        told = sorted(place_of, key=place_of.__getitem__)[-self.last :]
        shown = set(told)
        if target != ANY:
            shown = set(np.asarray(item_L)[np.asarray(behavior_L) == self.behaviors.index(target)].tolist())
        return self._past(target, [(self.name(item), item in shown) for item in told])

    def asked(self, item: int, target: str) -> str:
        """What is asked about an item."""
        return self._asked(target, self.name(item))

    def content_free(self, target: str) -> Prompt:
        """The same prompt with nothing in it, for contextual calibration (arXiv 2102.09690)."""
        return Prompt(self._past(target, self._both(CONTENT_FREE, target)), self._asked(target, CONTENT_FREE))

    def template(self, target: str) -> str:
        """The prompt with its places as words, for an entry."""
        return self._past(target, self._both("ITEM", target)) + self._asked(target, "ITEM")

    def name(self, item: int) -> str:
        """The first words of an item's text, without what sets items apart in a list."""
        return " ".join(self.text_I[item].replace(";", ",").split()[: self.words]) or NAMELESS

    def _both(self, name: str, target: str) -> list[tuple[str, bool]]:
        return [(name, True), (name, False)][: 1 if target == ANY else 2]

    def _past(self, target: str, told: list[tuple[str, bool]]) -> str:
        """`told`: names of items, and whether the behaviour was shown to them."""
        if self.form == "answers" and target != ANY:
            items = "".join(ONE.format(item=name, answer=ANSWERS[0 if shown else 1]) for name, shown in told)
            return self._filled(ANSWERED, target, items=items)
        yes, no = ("; ".join(name for name, shown in told if shown is is_yes) or NOTHING for is_yes in (True, False))
        return self._filled(MET if target == ANY else LISTS, target, yes=yes, no=no)

    def _asked(self, target: str, item: str) -> str:
        return self._filled(ANOTHER if self.form == "answers" and target != ANY else ASKED, target, item=item)

    def _filled(self, form: str, target: str, **parts: str) -> str:
        did, do = VERBS.get(target, (f"did ({target})", f"do ({target})"))
        return form.format(did=did, do=do, noun=self.noun, **parts)
