"""Answers of a questionnaire as ratings: numbers, stars, or words of a Likert scale; "don't know" is no answer.

A scale is a list of words from the lowest to the highest, which count 1, 2, 3 ...; several are known in advance.
"""

from __future__ import annotations

from recbench.errors import RecbenchError, nearest

SCALES = {
    "agreement": ("strongly disagree", "disagree", "neither agree nor disagree", "agree", "strongly agree"),
    "satisfaction": ("very dissatisfied", "dissatisfied", "neutral", "satisfied", "very satisfied"),
    "likelihood": ("very unlikely", "unlikely", "neutral", "likely", "very likely"),
    "frequency": ("never", "rarely", "sometimes", "often", "always"),
    "quality": ("very poor", "poor", "fair", "good", "excellent"),
    "importance": (
        "not at all important",
        "slightly important",
        "moderately important",
        "very important",
        "extremely important",
    ),
}
SAME = {"neutral": "neither agree nor disagree", "undecided": "neither agree nor disagree"}  # in the scale of agreement
UNANSWERED = (
    "",
    "-",
    "na",
    "n/a",
    "nan",
    "none",
    "null",
    "don't know",
    "dont know",
    "do not know",
    "no opinion",
    "not applicable",
    "prefer not to say",
    "not sure",
    "skipped",
)
STARS = "★⭐*"


def steps_of(scale: str) -> dict[str, float]:
    """Word -> value of a named scale, or of words from the lowest to the highest divided by `|`; empty: numbers and stars.

    RecbenchError where the name is unknown.
    """
    if not scale:
        return {}
    words = tuple(word.strip().lower() for word in scale.split("|")) if "|" in scale else SCALES.get(scale, ())
    if len(words) < 2 or len(set(words)) < len(words):
        raise RecbenchError(
            f"data.scale={scale}: write its words from the lowest to the highest with | between them, or one of "
            f"{', '.join(SCALES)}{nearest(scale, SCALES)}"
        )
    steps = {word: float(value) for value, word in enumerate(words, 1)}
    return steps | {other: steps[word] for other, word in SAME.items() if word in steps}


def value_of(answer: str, steps: dict[str, float]) -> float | None:
    """The rating, None where the question was not answered; ValueError where the answer is neither."""
    text = " ".join(answer.strip().lower().replace("’", "'").split())
    if text in UNANSWERED:
        return None
    if text in steps:
        return steps[text]
    if stars := sum(text.count(star) for star in STARS):
        if not text.strip(STARS + "☆\ufe0f "):
            return float(stars)
        raise ValueError(f"{answer!r} is no rating")
    number = text.split(" ")[0].split("/")[0].rstrip(".):")  # 4, 4/5, 4 - agree, 4 stars
    try:
        value = float(number.replace(",", "."))
    except ValueError:
        raise ValueError(f"{answer!r} is no rating") from None
    if value != value or abs(value) == float("inf"):
        raise ValueError(f"{answer!r} is no rating")
    return value
