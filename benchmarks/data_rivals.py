"""How the rivals of benchmarks/data.py read the same file; each runs under an interpreter that has it.

A function takes the file and gives the work: everything that is not imports. It returns how many rows are left to train on.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path


def rectools(path: Path) -> Callable[[], int]:
    """LastNSplitter, Dataset, and the sessions of SASRec."""
    import pandas as pd
    from rectools.dataset import Dataset, Interactions
    from rectools.model_selection import LastNSplitter
    from rectools.models import SASRecModel

    def work() -> int:
        table = pd.read_csv(path, sep="\t").rename(columns={"rating": "weight", "timestamp": "datetime"})
        table["datetime"] = pd.to_datetime(table["datetime"], unit="s")
        coded = table.assign(user_id=pd.factorize(table["user_id"])[0], item_id=pd.factorize(table["item_id"])[0])
        keep = {"filter_cold_users": False, "filter_cold_items": False, "filter_already_seen": False}
        parts = list(LastNSplitter(n=1, n_splits=2, **keep).split(Interactions(coded)))
        dataset = Dataset.construct(table.iloc[parts[0][0]])
        model = SASRecModel(session_max_len=50)
        model._build_model_from_dataset(dataset)  # what fit() does first
        model.data_preparator.get_dataloader_train()
        return len(parts[0][0])

    return work


def replay(path: Path) -> Callable[[], int]:
    """LastNSplitter twice and SequenceTokenizer, on pandas."""
    import pandas as pd
    from replay.data import Dataset, FeatureHint, FeatureInfo, FeatureSchema, FeatureSource, FeatureType
    from replay.data.nn import SequenceTokenizer, TensorFeatureInfo, TensorFeatureSource, TensorSchema
    from replay.splitters import LastNSplitter

    names = {"query_column": "user_id", "item_column": "item_id", "timestamp_column": "timestamp"}
    categorical, numerical = FeatureType.CATEGORICAL, FeatureType.NUMERICAL
    features = [("user_id", categorical, FeatureHint.QUERY_ID), ("item_id", categorical, FeatureHint.ITEM_ID)]
    features.append(("timestamp", numerical, FeatureHint.TIMESTAMP))
    source = TensorFeatureSource(FeatureSource.INTERACTIONS, "item_id")
    tensor = TensorFeatureInfo(
        "item_id", categorical, is_seq=True, feature_hint=FeatureHint.ITEM_ID, feature_sources=[source]
    )

    def work() -> int:
        table = pd.read_csv(path, sep="\t", usecols=["user_id", "item_id", "timestamp"])
        splitter = LastNSplitter(1, "user_id", drop_cold_users=True, drop_cold_items=True, **names)
        train = splitter.split(splitter.split(table)[0])[0]
        schema = FeatureSchema([FeatureInfo(name, kind, hint) for name, kind, hint in features])
        SequenceTokenizer(TensorSchema([tensor])).fit_transform(Dataset(schema, train))
        return len(train)

    return work


def lenskit(path: Path) -> Callable[[], int]:
    """Its data set and the matrix; no split."""
    import pandas as pd
    from lenskit.data import from_interactions_df

    def work() -> int:
        dataset = from_interactions_df(pd.read_csv(path, sep="\t"))
        return dataset.interactions().matrix().scipy().nnz

    return work


def cornac(path: Path) -> Callable[[], int]:
    """Its reader, data set and matrix; no split."""
    from cornac.data import Dataset, Reader

    return lambda: Dataset.from_uirt(Reader().read(str(path), fmt="UIRT", sep="\t", skip_lines=1)).csr_matrix.nnz


def recbole(path: Path) -> Callable[[], int]:
    """Its data set and leave-one-out split for SASRec, every prefix a row."""
    os.environ["TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"] = "1"
    from recbole.config import Config
    from recbole.data import create_dataset, data_preparation

    folder = path.parent / "recbole" / "rows"
    folder.mkdir(parents=True, exist_ok=True)
    with path.open("rb") as plain, (folder / "rows.inter").open("wb") as typed:
        plain.readline()
        typed.write(b"user_id:token\titem_id:token\trating:float\ttimestamp:float\n")
        shutil.copyfileobj(plain, typed)
    given = {"data_path": str(folder.parent), "show_progress": False, "state": "ERROR", "use_gpu": False}
    given |= {"load_col": {"inter": ["user_id", "item_id", "timestamp"]}, "train_neg_sample_args": None}
    given |= {"eval_args": {"split": {"LS": "valid_and_test"}, "order": "TO", "mode": "full"}, "loss_type": "CE"}

    def work() -> int:
        sys.argv[1:] = []  # it would read them
        config = Config(model="SASRec", dataset="rows", config_dict=given)
        return len(data_preparation(config, create_dataset(config))[0]._dataset)

    return work


RIVALS = {"rectools": rectools, "replay": replay, "lenskit": lenskit, "cornac": cornac, "recbole": recbole}
