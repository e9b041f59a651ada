"""A metric of behaviour that keeps every promise of the kit, and for each promise one that breaks it."""

import numpy as np

from recbench.metric import Metric


class Missed(Metric):
    """Mean distance of probability and outcome."""

    task, needs_k, higher_is_better, definition = "behavior", False, False, "missed/v1"

    def columns(self, answers):
        return [b for b, name in enumerate(answers.behaviors) if self.behavior in (None, name)]

    def __call__(self, answers, train):
        missed_QB = np.abs(answers.predicted_QB - answers.true_QB)
        return missed_QB[:, self.columns(answers)].mean(axis=1)

    def sampler(self, answers, train):
        missed_Q = Missed.__call__(self, answers, train)
        return lambda times_Q: float(times_Q @ missed_Q / times_Q.sum())


class EveryColumn(Missed):
    """A value for each behaviour."""

    def __call__(self, answers, train):
        return np.abs(answers.predicted_QB - answers.true_QB)


class OverShare(Missed):
    """Divides by the share that comes true."""

    def __call__(self, answers, train):
        return super().__call__(answers, train) / answers.true_QB.mean()


class Upward(Missed):
    """Says that more errors are better."""

    higher_is_better = True


class Sure(Missed):
    """Praises sure words, whatever comes of them."""

    def __call__(self, answers, train):
        return np.minimum(answers.predicted_QB, 1 - answers.predicted_QB)[:, self.columns(answers)].mean(axis=1)


class FirstHalf(Missed):
    """The first half of the questions decides."""

    def __call__(self, answers, train):
        values_Q = super().__call__(answers, train)
        return values_Q[: len(values_Q) // 2].mean(keepdims=True)


class FirstBehavior(Missed):
    """Reads the first behaviour, whichever is named."""

    def columns(self, answers):
        return [0]


class Nameless(Missed):
    """Forgets which behaviour it is of."""

    label = "name"


class Counts(Missed):
    """The sampler adds up instead of taking the mean."""

    def sampler(self, answers, train):
        missed_Q = self(answers, train)
        return lambda times_Q: float(times_Q @ missed_Q)


class Once(Missed):
    """The sampler counts each question of the sample once."""

    def sampler(self, answers, train):
        missed_Q = self(answers, train)
        return lambda times_Q: float(missed_Q[times_Q > 0].mean())


class Centres(Missed):
    """Keeps probabilities from 0 and 1 in place."""

    def __call__(self, answers, train):
        np.clip(answers.predicted_QB, 0.01, 0.99, out=answers.predicted_QB)
        return super().__call__(answers, train)


MUTANTS = [
    ("probabilities_judged_finitely", EveryColumn),
    ("probabilities_judged_finitely", OverShare),
    ("exact_probabilities_are_best", Upward),
    ("opposite_probabilities_are_worse", Sure),
    ("order_of_answers_is_nothing", FirstHalf),
    ("label_names_what_is_judged", FirstBehavior),
    ("label_names_what_is_judged", Nameless),
    ("whole_sample_has_the_value", Counts),
    ("sample_is_its_questions_repeated", Once),
    ("leaves_answers_alone", Centres),
]
