"""The words of a simulated world: what its items are called, what is known of them, and what users type.

Letters: I items, C categories, W words of a category.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from recbench.simulate.recipe import Recipe
from recbench.simulate.truth import BRAND, DAY, START, WORDINGS, WORDS, Truth, drawn, keys

if TYPE_CHECKING:
    import pandas as pd

KIN, USED, BRANDS = 8, 5, 3  # words of a category, those in the text of one item, brands of a category
CONSONANTS, VOWELS = "bdfgklmnprstvz", "aeiou"
SYLLABLES = [c + v for c in CONSONANTS for v in VOWELS]
QUALITIES = ("plain", "bright", "small", "grand", "early", "quiet", "bold", "fine")
LEVELS = np.array(["low", "middle", "high"], object)
CHEAPEST, RANGE = 2.0, 100.0  # price of the lowest level, and how many times it the highest is


def word(number: int) -> str:
    """A made-up word; different numbers below 342,999 give different words."""
    n, base = (number + 1) * 7919 % len(SYLLABLES) ** 3, len(SYLLABLES)
    return SYLLABLES[n // base**2] + SYLLABLES[n // base % base] + SYLLABLES[n % base]


@cache
def categories(recipe: Recipe, n_categories: int) -> NDArray:
    """(C,) names: those of the recipe, then the same with a number."""
    names = recipe.categories
    again = (f" {c // len(names) + 1}" if c >= len(names) else "" for c in range(n_categories))
    return np.array([names[c % len(names)] + number for c, number in enumerate(again)], object)


@cache
def kin(n_categories: int) -> NDArray:
    """(C, W) words that belong to one category each."""
    return np.array([[word(c * KIN + k) for k in range(KIN)] for c in range(n_categories)], object)


@cache
def vocabulary(recipe: Recipe, n_categories: int) -> NDArray:
    """(C * WORDINGS,) what a search may say: the category's name or one of its first words."""
    names = categories(recipe, n_categories)[:, None]
    return np.concatenate([names, kin(n_categories)[:, : WORDINGS - 1]], axis=1).ravel()


@cache
def _meanings(recipe: Recipe, n_categories: int) -> dict[str, int]:
    return {text: row // WORDINGS for row, text in enumerate(vocabulary(recipe, n_categories))}


def category_searched(truth: Truth, text: NDArray) -> NDArray:
    """The category that each search means, -1 where it is none of the world's words."""
    meanings = _meanings(truth.recipe, truth.n_categories)
    return np.array([meanings.get(t, -1) for t in text], np.int64)


def item_table(truth: Truth) -> pd.DataFrame:
    """Title and text from the words of the category, category, brand, entity; price, length and date where they matter."""
    import pandas as pd

    recipe, n_categories, n_items = truth.recipe, truth.n_categories, truth.params.n_items
    key = keys(truth.params.seed, WORDS, np.arange(n_items))
    category = categories(recipe, n_categories)[truth.category]
    brand = brands(truth)
    quality = np.array(QUALITIES, object)[(drawn(key, 0) * len(QUALITIES)).astype(int)]
    title = brand + " " + quality + " " + category
    text = title + "."
    for used in range(USED):
        text = text + " " + kin(n_categories)[truth.category, (drawn(key, 1 + used) * KIN).astype(int)]
    table = {"title": title, "text": text, "category": category, recipe.kinds[1]: brand, "entity": entities(truth)}
    if recipe.priced:
        table["price"] = np.round(CHEAPEST * RANGE ** ((truth.level + 1) / 2), 2)
    if recipe.valued:
        table["seconds"] = truth.seconds
    if recipe.half_life_days:
        table["published"] = (START + truth.born * DAY).astype(np.int64)
    return pd.DataFrame(table)


def entities(truth: Truth) -> NDArray:
    """(I,) the name of each item in the graph."""
    return np.array([f"{truth.recipe.noun}-{i}" for i in range(truth.params.n_items)], object)


def brands(truth: Truth) -> NDArray:
    """(I,) brand, author or maker; each belongs to one category."""
    names = np.array([word(truth.n_categories * KIN + b).title() for b in range(truth.n_categories * BRANDS)], object)
    return names[truth.category * BRANDS + (truth.item_draw(BRAND) * BRANDS).astype(int)]


def knowledge(truth: Truth) -> pd.DataFrame:
    """Triples head, relation, tail: each item's category and brand, and its price level where there are prices."""
    import pandas as pd

    recipe, entity = truth.recipe, entities(truth)
    said = {recipe.kinds[0]: categories(recipe, truth.n_categories)[truth.category], recipe.kinds[1]: brands(truth)}
    if recipe.priced:
        said["price-level"] = LEVELS[np.minimum(2, (1.5 * (truth.level + 1)).astype(int))]
    return pd.DataFrame(
        {
            "head": np.tile(entity, len(said)),
            "relation": np.repeat([f"has-{kind}" for kind in said], len(entity)),
            "tail": np.concatenate(list(said.values())),
        }
    )
