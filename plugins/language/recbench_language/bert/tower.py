"""A BERT over the texts of all items: what its frozen lower layers say of them is kept, its top layers run anew.

Letters: I items, N items of a batch, S tokens, V width of the encoder.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import transformers
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AutoConfig, AutoTokenizer, BertConfig, BertModel

from recbench.errors import RecbenchError, one_line
from recbench_language.encoding import place
from recbench_language.registry import KNOWN, LanguageModel

AT_ONCE = 64  # texts that run together where nothing is learned
KEPT_BYTES = 2 << 30  # activations that are kept; of larger catalogues the lower layers run again, batch after batch


class Tower(nn.Module):
    """Texts, as tokens, through embeddings and layers to the mean of the last states, of length 1.

    The top `layers` are trained, all where it is -1; the embeddings never.
    """

    ids_IS: Tensor
    length_I: Tensor
    below_ISV: Tensor

    def __init__(self, shape: dict[str, Any], layers: int) -> None:
        super().__init__()
        self.shape, (n_items, n_tokens) = shape, shape["texts"]
        self.bert = BertModel(BertConfig.from_dict(shape["config"]), add_pooling_layer=False)
        n_layers = len(self.bert.encoder.layer)
        self.n_frozen = 0 if layers < 0 else max(0, n_layers - layers)
        self.register_buffer("ids_IS", torch.zeros(n_items, n_tokens, dtype=torch.int32))
        self.register_buffer("length_I", torch.zeros(n_items, dtype=torch.int32))  # 0: no text
        self.register_buffer("below_ISV", torch.empty(0), persistent=False)
        for part in self.frozen():
            part.requires_grad_(False)

    @property
    def width(self) -> int:
        return self.bert.config.hidden_size

    def frozen(self) -> list[nn.Module]:
        """The parts that do not learn."""
        return [self.bert.embeddings, *self.bert.encoder.layer[: self.n_frozen]]

    def train(self, mode: bool = True) -> Tower:
        """Nothing is dropped: a post in the history is known as the one asked about by its vector being the same."""
        return super().train(False)

    def forward(self, item_N: Tensor) -> Tensor:
        """(N, V) the vectors of items; 0 where an item has no text."""
        length_N = self.length_I[item_N]
        n_tokens = max(1, int(length_N.max())) if len(item_N) else 1
        real_NS = torch.arange(n_tokens, device=item_N.device) < length_N[:, None].clamp(min=1)
        states_NSV = self.below_ISV[item_N, :n_tokens] if len(self.below_ISV) else self.below(item_N, n_tokens)
        states_NSV = self.through(states_NSV, real_NS, self.n_frozen, None) * real_NS[:, :, None]
        return F.normalize(states_NSV.sum(1), dim=1) * (length_N > 0)[:, None]

    @torch.no_grad()
    def below(self, item_N: Tensor, n_tokens: int) -> Tensor:
        """(N, S, V) what the frozen parts make of the first tokens of texts."""
        real_NS = torch.arange(n_tokens, device=item_N.device) < self.length_I[item_N, None].clamp(min=1)
        states_NSV = self.bert.embeddings(input_ids=self.ids_IS[item_N, :n_tokens].long())
        return self.through(states_NSV, real_NS, 0, self.n_frozen)

    def through(self, states_NSV: Tensor, real_NS: Tensor, first: int, last: int | None) -> Tensor:
        """(N, S, V) the states behind some of the layers."""
        mask_N11S = torch.zeros_like(real_NS, dtype=states_NSV.dtype).masked_fill(~real_NS, -1e9)[:, None, None]
        for layer in self.bert.encoder.layer[first:last]:
            states_NSV = layer(states_NSV, mask_N11S)
        return states_NSV

    def keep(self) -> None:
        """Fill what the lower layers say of all texts, where memory has room for it."""
        n_items, n_tokens = self.ids_IS.shape
        if len(self.below_ISV) or 4 * n_items * n_tokens * self.width > KEPT_BYTES:
            return
        below_ISV = self.bert.embeddings.word_embeddings.weight.new_zeros(n_items, n_tokens, self.width)
        for item_N in self.alike():
            longest = max(1, int(self.length_I[item_N].max()))
            below_ISV[item_N, :longest] = self.below(item_N, longest)
        self.below_ISV = below_ISV

    def alike(self) -> list[Tensor]:
        """All items in batches whose texts are of like length."""
        return list(self.length_I.argsort(stable=True).split(AT_ONCE))

    @torch.no_grad()
    def all(self) -> Tensor:
        """(I, V) the vectors of all items."""
        self.keep()
        vector_IV = self.bert.embeddings.word_embeddings.weight.new_zeros(len(self.length_I), self.width)
        for item_N in self.alike():
            vector_IV[item_N] = self(item_N).float()
        return vector_IV


@contextmanager
def quiet() -> Iterator[None]:
    """Weights that BERT has for its training alone and nobody asks for are no news here."""
    logging, level = transformers.logging, transformers.logging.get_verbosity()
    bars = logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def tower_of(model: LanguageModel, texts: Sequence[str], max_tokens: int, layers: int) -> Tower:
    """The tower of a BERT's weights over texts, from safetensors alone; RecbenchError where the model is no BERT."""
    road: dict[str, Any] = {"trust_remote_code": False, "local_files_only": True}
    try:
        known = model.folder or model.name not in KNOWN
        config = AutoConfig.from_pretrained(place(model), **road) if known else None
        if config is None or config.model_type != "bert":
            kind = model.kind if config is None else config.model_type
            raise RecbenchError(
                f"layers={layers}: encoder={model.name} is of the kind {kind}, and layers of a BERT alone are trained; "
                "use layers=0, encoder=minilm, or another BERT"
            )
        with quiet():
            bert = BertModel.from_pretrained(place(model), add_pooling_layer=False, use_safetensors=True, **road)
        tokens = AutoTokenizer.from_pretrained(place(model), **road)
    except RecbenchError:
        raise
    except Exception as error:  # of libraries that read files of others, each with errors of its own
        raise RecbenchError(
            f"encoder={model.name} cannot be read ({one_line(error)}); give a folder with safetensors and a tokenizer, or a "
            "name that Hugging Face has or the cache holds"
        ) from error
    longest = min(max_tokens, config.max_position_embeddings)
    road = {"truncation": True, "max_length": longest, "padding": True, "padding_side": "right"}
    rows = tokens(list(texts), return_tensors="pt", **road)
    tower = Tower({"config": config.to_diff_dict(), "texts": list(rows["input_ids"].shape)}, layers)
    tower.bert.load_state_dict(bert.state_dict())
    told_I = torch.tensor([bool(text.strip()) for text in texts])
    tower.ids_IS.copy_(rows["input_ids"])
    tower.length_I.copy_(rows["attention_mask"].sum(1) * told_I)
    return tower.eval()
