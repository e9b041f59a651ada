"""What a causal language model answers to prompts: the log-odds of " Yes" against " No" as the next token.

A prompt's past is read once where several questions follow it, as at the candidates of one user; all else is read in
batches, padded on the left, so that the answer's place is the last of every row.

Letters: P prompts, T tokens, W words of the vocabulary.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recbench.errors import RecbenchError
from recbench_language.prompts.prompt import ANSWERS, Prompt

BATCH = 16  # prompts read at once
MANY = 64  # questions read at once behind one past
MOST_TOKENS = 1024  # of a prompt; what is older of the past is left out
DIGITS = 4  # of log-odds: in which batch a prompt stands moves the seventh


class Reader:
    """A causal model with its tokenizer. `kept`: log-odds by prompt, each read once; `tokens` and `cpu_seconds`: what
    reading them took. RecbenchError where an answer is not a single token."""

    def __init__(self, model: Any, tokenizer: Any, name: str) -> None:
        self.model, self.tokenizer = model, tokenizer
        self.kept: dict[Prompt, float] = {}
        self.tokens, self.cpu_seconds = 0, 0.0
        self.answers = [self._single(word, name) for word in ANSWERS]

    def _single(self, word: str, name: str) -> int:
        ids = self.tokenizer(word, add_special_tokens=False)["input_ids"]
        if len(ids) != 1 or ids[0] == self.tokenizer.unk_token_id:
            raise RecbenchError(
                f"language_model={name} writes the answer {word!r} as {len(ids)} tokens or not at all, and one token is "
                "compared with one; use another model, such as smollm2-135m"
            )
        return ids[0]

    def log_odds(self, prompts: Sequence[Prompt]) -> NDArray:
        """(P,) float64 log P(Yes) - log P(No); a prompt that was read before is not read again."""
        self._read([prompt for prompt in dict.fromkeys(prompts) if prompt not in self.kept])
        return np.array([self.kept[prompt] for prompt in prompts])

    def _read(self, prompts: list[Prompt]) -> None:
        import torch

        before = time.process_time()
        followed: dict[str, list[Prompt]] = defaultdict(list)
        for prompt in prompts:
            followed[prompt.past].append(prompt)
        lone = [some[0] for some in followed.values() if len(some) == 1]
        lone.sort(key=lambda prompt: len(str(prompt)))
        with torch.inference_mode():
            for at in range(0, len(lone), BATCH):
                self._keep(lone[at : at + BATCH], self.together(self.tokens_of(lone[at : at + BATCH])))
            for past, some in followed.items():
                for at in range(0, len(some) if len(some) > 1 else 0, MANY):
                    self._keep(some[at : at + MANY], self._behind(past, some[at : at + MANY]))
        self.cpu_seconds += time.process_time() - before

    def _keep(self, prompts: list[Prompt], logits_PW: Any) -> None:
        yes, no = self.answers
        odds_P = (logits_PW[:, yes] - logits_PW[:, no]).double().numpy().round(DIGITS)
        self.kept |= dict(zip(prompts, odds_P.tolist(), strict=True))

    def tokens_of(self, prompts: Sequence[Prompt]) -> list[list[int]]:
        """(P,) the tokens of each prompt; those of the past begin as the model's texts do."""
        past = self.tokenizer([prompt.past for prompt in prompts])["input_ids"]
        asked = self.tokenizer([prompt.asked for prompt in prompts], add_special_tokens=False)["input_ids"]
        return [(before + after)[-MOST_TOKENS:] for before, after in zip(past, asked, strict=True)]

    def together(self, ids: list[list[int]]) -> Any:
        """(P, W) logits of the token behind each row."""
        tokens_PT, mask_PT, place_PT = padded(ids)
        self.tokens += sum(map(len, ids))
        told = {"attention_mask": mask_PT, "position_ids": place_PT, "use_cache": False}
        return self.model(input_ids=tokens_PT, logits_to_keep=1, **told).logits[:, -1]

    def _behind(self, past: str, prompts: list[Prompt]) -> Any:
        """(P, W) logits of the token behind each prompt; the past, which is that of all, is read once."""
        import torch
        from transformers import DynamicCache

        asked = self.tokenizer([prompt.asked for prompt in prompts], add_special_tokens=False)["input_ids"]
        asked = [row[-MOST_TOKENS // 2 :] for row in asked]
        room = MOST_TOKENS - max(map(len, asked))
        past_T = self.tokenizer([past])["input_ids"][0][-room:]
        held = DynamicCache(config=self.model.config)
        self.model(input_ids=torch.tensor([past_T]), logits_to_keep=1, cache=held)
        held.batch_repeat_interleave(len(prompts))
        tokens_PT, mask_PT, place_PT = padded(asked)
        mask_PT = torch.cat([torch.ones(len(prompts), len(past_T), dtype=torch.long), mask_PT], dim=1)
        self.tokens += len(past_T) + sum(map(len, asked))
        told = {"attention_mask": mask_PT, "position_ids": place_PT + len(past_T), "cache": held}
        return self.model(input_ids=tokens_PT, logits_to_keep=1, **told).logits[:, -1]


def padded(ids: Sequence[Sequence[int]]) -> tuple[Any, Any, Any]:
    """(P, T) tokens with empty places on the left, 1 where there is one, and the place of each in its own row."""
    import torch

    longest = max(map(len, ids))
    tokens_PT = torch.tensor([[0] * (longest - len(row)) + list(row) for row in ids])
    mask_PT = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in ids])
    return tokens_PT, mask_PT, (mask_PT.cumsum(1) - 1).clamp(min=0)
