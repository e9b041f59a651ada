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

PAST = "A user {did} these {noun}s: {yes}. The user did not {do} these {noun}s: {no}."
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
    behaviours; `noun`: what an item is called; `last`: items of a history that are told."""

    text_I: tuple[str, ...]
    behaviors: tuple[str, ...]
    noun: str
    last: int
    words: int

    def prompts(self, queries: Queries, items: Sequence[int] | NDArray, target: str) -> list[Prompt]:
        """(Q,) whether the user of each question will show the behaviour `target`, or `ANY`, to its item."""
        pasts = [self.past(queries.items[q], queries.behaviors[q], target) for q in range(len(queries))]
        return [Prompt(past, self.asked(int(item), target)) for past, item in zip(pasts, items, strict=True)]

    def past(self, item_L: NDArray, behavior_L: NDArray, target: str) -> str:
        """What a history says: the items to which `target` was shown, and those to which it was not."""
        place_of = {int(item): place for place, item in enumerate(item_L)}  # an item stands where it came last
        told = sorted(place_of, key=place_of.__getitem__)[-self.last :]
        if target == ANY:
            return self._past(target, [self.name(item) for item in told], [])
        shown = set(np.asarray(item_L)[np.asarray(behavior_L) == self.behaviors.index(target)].tolist())
        yes, no = ([self.name(item) for item in told if (item in shown) is is_shown] for is_shown in (True, False))
        return self._past(target, yes, no)

    def asked(self, item: int, target: str) -> str:
        """What is asked about an item."""
        return self._asked(target, self.name(item))

    def content_free(self, target: str) -> Prompt:
        """The same prompt with nothing in it, for contextual calibration (arXiv 2102.09690)."""
        return Prompt(self._past(target, [CONTENT_FREE], [CONTENT_FREE]), self._asked(target, CONTENT_FREE))

    def template(self, target: str) -> str:
        """The prompt with its places as words, for an entry."""
        form = MET if target == ANY else PAST
        return self._filled(form, target, yes="ITEM; ITEM", no="ITEM; ITEM") + self._asked(target, "ITEM")

    def _past(self, target: str, yes: list[str], no: list[str]) -> str:
        form = MET if target == ANY else PAST
        return self._filled(form, target, yes="; ".join(yes) or NOTHING, no="; ".join(no) or NOTHING)

    def _asked(self, target: str, item: str) -> str:
        return self._filled(ASKED, target, item=item)

    def _filled(self, form: str, target: str, **parts: str) -> str:
        did, do = VERBS.get(target, (f"did ({target})", f"do ({target})"))
        return form.format(did=did, do=do, noun=self.noun, **parts)

    def name(self, item: int) -> str:
        """The first words of an item's text, without what sets items apart in a prompt."""
        return " ".join(self.text_I[item].replace(";", ",").split()[: self.words]) or NAMELESS
