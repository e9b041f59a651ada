"""A model and a metric of values that keep every promise of the kit, and for each promise one that breaks it."""

import numpy as np

from recbench.metric import Metric
from recbench.model import Recommender, Traits


class Level(Recommender):
    """The mean of the history, or of all training values where it is empty."""

    traits = Traits(tasks=("rating",))
    fitted = ("mean",)

    def fit(self, train, context):
        self.mean = np.float64(train.interactions.value.mean())

    def predict(self, queries):
        row, value = queries.values.flat()
        count_Q = np.bincount(row, minlength=len(queries))
        sum_Q = np.bincount(row, value, minlength=len(queries))
        return np.where(count_Q > 0, sum_Q / np.maximum(count_Q, 1), self.mean)[:, None]


class Flat(Level):
    """Values without the second axis."""

    def predict(self, queries):
        return super().predict(queries)[:, 0]


class Drawn(Level):
    """Noise from the global state."""

    def fit(self, train, context):
        super().fit(train, context)
        self.mean = self.mean + np.random.random()

    def predict(self, queries):
        return super().predict(queries) + self.mean


class OfBatch(Level):
    """Centres the values of a batch."""

    def predict(self, queries):
        values_Q1 = super().predict(queries)
        return values_Q1 - values_Q1.mean() + self.mean


class OfOthers(Level):
    """Adds a little of what all questions of the batch look like."""

    def predict(self, queries):
        values_Q1 = super().predict(queries)
        return values_Q1 + 0.1 * values_Q1.mean()


class Ahead(Level):
    """Reads the columns that histories share, beyond each history."""

    def predict(self, queries):
        return super().predict(queries) + 0.1 * queries.values.values.mean()


class Empty(Level):
    """Divides by the length of the history."""

    def predict(self, queries):
        with np.errstate(all="ignore"):
            return super().predict(queries) + 0 / queries.items.lengths[:, None]


class Writes(Level):
    """Centres the training values in place."""

    def fit(self, train, context):
        super().fit(train, context)
        value = train.interactions.value
        object.__setattr__(train.interactions, "value", value - value.mean())


class Forgets(Level):
    """Keeps what it learned out of its files."""

    fitted = ()

    @classmethod
    def load(cls, folder):
        model = super().load(folder)
        model.mean = np.float64(0)
        return model

    def predict(self, queries):
        return super().predict(queries) + self.mean


class Opposite(Level):
    """The more the user gave, the less it expects."""

    def predict(self, queries):
        return 6 - super().predict(queries)


class Error(Metric):
    """Mean squared error."""

    task, needs_k, higher_is_better, definition = "rating", False, False, "mse/v1"

    def __call__(self, answers, train):
        return (answers.predicted_Q - answers.true_Q) ** 2


class Signed(Error):
    """Too low a value counts as better than the right one."""

    def __call__(self, answers, train):
        return answers.predicted_Q - answers.true_Q


class Level3(Error):
    """Whatever is predicted, the error is that of the middle."""

    def __call__(self, answers, train):
        return (3 - answers.true_Q) ** 2


class FirstOnly(Error):
    """The first question decides."""

    def __call__(self, answers, train):
        return super().__call__(answers, train)[:1]


MUTANTS = [
    ("predictions_finite_and_shaped", Flat),
    ("predictions_deterministic", Drawn),
    ("predictions_of_batch_equal_single", OfBatch),
    ("predictions_know_own_history_only", OfOthers),
    ("predictions_know_no_future", Ahead),
    ("predictions_for_empty_history", Empty),
    ("predictions_leave_input_alone", Writes),
    ("predictions_survive_save_and_load", Forgets),
    ("beats_mean_on_ratings", Opposite),
    ("exact_values_are_best", Signed),
    ("worse_values_are_worse", Level3),
    ("order_of_questions_is_nothing", FirstOnly),
]
