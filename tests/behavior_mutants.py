"""A model of behaviours that keeps every promise of the kit, and for each promise one that breaks it."""

import numpy as np

from recbench.model import Recommender, Traits
from recbench.questions import training_questions


class Rates(Recommender):
    """The rates of the item in training, a little more for who has done much."""

    traits = Traits(tasks=("behavior",))
    fitted = ("rate_IB",)

    def fit(self, train, context):
        asked = training_questions(train, context.board)
        count_I = np.bincount(asked.queries.item, minlength=train.n_items)[:, None]
        with_IB = np.stack([np.bincount(asked.queries.item, y, train.n_items) for y in asked.outcomes.T], axis=1)
        self.rate_IB = (with_IB + 5 * asked.outcomes.mean(0)) / (count_I + 5)

    def predict(self, queries):
        return 0.95 * self.rate_IB[queries.item] + 0.05 * self.eager(queries)[:, None]

    def eager(self, queries):
        """(Q,) the share of the history that is no view."""
        row, behavior = queries.behaviors.flat()
        done = np.bincount(row, behavior > 0, len(queries))
        return done / np.maximum(queries.items.lengths, 1)


class Wide(Rates):
    """One column more than was asked for."""

    def predict(self, queries):
        p_QB = super().predict(queries)
        return np.column_stack([p_QB, p_QB[:, 0]])


class Blind(Rates):
    """NaN for items that few have met."""

    def predict(self, queries):
        return np.where(queries.item[:, None] == queries.item.min(), np.nan, super().predict(queries))


class Drawn(Rates):
    """Rates with noise from the global state."""

    def fit(self, train, context):
        super().fit(train, context)
        self.rate_IB = self.rate_IB + 1e-3 * np.random.random()


class OfBatch(Rates):
    """Makes the mean of a batch the overall rate."""

    def predict(self, queries):
        p_QB = super().predict(queries)
        return p_QB - p_QB.mean(0) + self.rate_IB.mean(0)


class OfOthers(Rates):
    """Compares each user with the others of the batch."""

    def eager(self, queries):
        return super().eager(queries) - super().eager(queries).mean()


class Ahead(Rates):
    """Reads the columns that histories share, beyond each history."""

    def eager(self, queries):
        return np.full(len(queries), np.mean(queries.behaviors.values > 0))


class Empty(Rates):
    """Divides by the length of the history."""

    def eager(self, queries):
        with np.errstate(all="ignore"):
            return super().eager(queries) + 0 / queries.items.lengths


class Writes(Rates):
    """Sorts the questions' items in place."""

    def predict(self, queries):
        p_QB = super().predict(queries)
        queries.item[:] = np.sort(queries.item)
        return p_QB


class Forgets(Rates):
    """Keeps what it learned out of its files."""

    fitted = ()

    @classmethod
    def load(cls, folder):
        model = super().load(folder)
        model.rate_IB = np.full((1000, 2), 0.3)
        return model


class Logits(Rates):
    """Says log odds instead of probabilities."""

    def predict(self, queries):
        p_QB = super().predict(queries)
        return np.log(p_QB / (1 - p_QB))


class Opposite(Rates):
    """Says how likely it is not to happen."""

    def predict(self, queries):
        return 1 - super().predict(queries)


MUTANTS = [
    ("predictions_finite_and_shaped", Wide),
    ("predictions_finite_and_shaped", Blind),
    ("predictions_deterministic", Drawn),
    ("predictions_of_batch_equal_single", OfBatch),
    ("predictions_know_own_history_only", OfOthers),
    ("predictions_know_no_future", Ahead),
    ("predictions_for_empty_history", Empty),
    ("predictions_leave_input_alone", Writes),
    ("predictions_survive_save_and_load", Forgets),
    ("probabilities_in_range", Logits),
    ("beats_base_rate_on_acts", Opposite),
]
