"""recbench: recommenders, data and metrics as plugins; runs that carry their own proof. Names below load when used."""

import importlib

_HOME = {
    "Board": "plan",
    "ContextEvents": "data",
    "Context": "model",
    "Dataset": "dataset",
    "DatasetInfo": "dataset",
    "DatasetSource": "dataset",
    "Interactions": "data",
    "Metric": "metric",
    "Params": "params",
    "Plan": "plan",
    "PluginError": "errors",
    "Queries": "data",
    "Ragged": "data",
    "RankedLists": "metric",
    "RecbenchError": "errors",
    "Recommendations": "model",
    "Recommender": "model",
    "TorchRecommender": "neural.recommender",
    "Traits": "model",
    "execute": "run",
    "param": "params",
}
__all__ = sorted(_HOME)
__version__ = "0.1.0"


def __getattr__(name: str):
    if name not in _HOME:
        raise AttributeError(f"module 'recbench' has no attribute {name!r}")
    return getattr(importlib.import_module(f"recbench.{_HOME[name]}"), name)
