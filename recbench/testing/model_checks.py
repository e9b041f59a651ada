"""Which checks a recommender must pass: its contract, and its skill on worlds whose answer is known."""

from __future__ import annotations

from recbench.model import Recommender
from recbench.testing import behavior_checks, prediction_checks, rating_checks
from recbench.testing import model_contract as contract
from recbench.testing import model_skill as skill
from recbench.testing.common import Check, documented, loads_light, params_declared
from recbench.testing.model_trials import ranks_itself


def chosen(cls: type[Recommender]) -> list[Check]:
    """The checks that apply to a model class, by its traits."""
    checks: list[Check] = [loads_light, documented, params_declared]
    if "rating" in cls.traits.tasks or "behavior" in cls.traits.tasks:
        checks += prediction_checks.chosen()
    if "rating" in cls.traits.tasks:
        checks.append(rating_checks.beats_mean_on_ratings)
    if "behavior" in cls.traits.tasks:
        checks += behavior_checks.chosen()
    if "ranking" not in cls.traits.tasks:
        return checks
    checks += [
        contract.scores_finite_and_shaped,
        contract.does_not_touch_input,
        contract.deterministic,
        contract.batch_equals_single,
        contract.history_only_of_query,
        contract.knows_no_future,
        contract.answers_empty_history,
        contract.k_larger_than_catalogue,
        contract.lists_of_steps_valid,
        contract.steps_know_no_future,
        contract.save_load_round_trip,
        skill.beats_random_on_checkerboard,
        contract.scores_cold_items,
    ]
    if not ranks_itself(cls):
        checks.append(contract.leaves_masks_alone)
    if cls.traits.needs_text:
        checks.append(contract.answers_items_without_text)
    if cls.traits.needs_attributes:
        checks.append(contract.answers_items_without_attributes)
    if cls.traits.needs_text or cls.traits.needs_attributes:
        checks.append(skill.beats_random_on_cold)
    if cls.traits.needs_clock:
        checks.append(skill.beats_random_on_fashion)
    if cls.traits.sequential:
        checks.append(skill.learns_chain)
    return checks
