"""A simulated network: views, likes, comments and shares of posts that age fast; true probabilities are known."""

from __future__ import annotations

from recbench.dataset import Dataset, DatasetInfo, DatasetSource
from recbench.protocols import NEXT_METRICS, behavior, time_split
from recbench.simulate import Recipe, World, WorldParams

NETWORK = Recipe(
    behaviors=("view", "like", "comment", "share"),
    parents=(0, 0, 0, 1),
    chances=((0, 0, 0, 0), (-2.0, 2.2, 0.0, 0.6), (-3.0, 1.5, 0.0, 1.2), (-1.8, 1.0, 0.0, 0.2)),
    weights=(0.30, 0.50, 0.10, 0.0, 0.10),
    categories=(
        *("politics", "football", "cooking", "gardening", "science", "movies", "travel", "cats", "dogs", "fashion"),
        *("music", "startups", "chess", "history", "weather", "parenting", "running", "art", "cars", "photography"),
    ),
    period_days=1,
    half_life_days=1.5,
    social=True,
    noun="post",
    kinds=("topic", "author"),
)


class SocialSim(DatasetSource):
    """A seeded network of any size: views, likes, comments, shares, friends, posts with text; its truth is known."""

    Params = WorldParams
    info = DatasetInfo(
        "social-sim",
        "social",
        "seconds",
        "none needed: no real person or post is in it",
        "recbench.simulate, from the parameters alone",
        notes="SIMULATED: says how near a model comes to the truth, nothing of real people. Posts lose half their appeal "
        "in a day and a half. Friends share a favourite topic but do not see what the other does.",
    )
    boards = (
        time_split(
            "social-sim",
            "social-sim",
            2,
            behaviors=("like",),
            meaning="SIMULATED: which posts new to the user will be liked in the next two days?",
        ),
        time_split(
            "social-sim-next",
            "social-sim",
            2,
            ask="each_event",
            target="first",
            behaviors=("view",),
            metrics=NEXT_METRICS,
            meaning="SIMULATED: which post new to the user is viewed now? No answer beats the oracle's in the mean.",
        ),
        behavior(
            "social-sim-engagement",
            "social-sim",
            ("like", "comment", "share"),
            ask="each_event",
            repeat="any",
            exposures=("view",),
            horizon_days=1 / 24,
            test_window_days=14,
            valid_window_days=7,
            meaning="SIMULATED: will the user like, comment and share the post just opened? What the oracle says is true. "
            "Posts have words: no real feed at hand has both texts and several behaviours.",
        ),
    )

    def world(self) -> World:
        """The world behind the log, which knows the true probabilities."""
        return World.from_params(self.info, NETWORK, self.params)

    def load(self) -> Dataset:
        """Generate the log, the posts, the friends and the graph."""
        return self.world().dataset()
