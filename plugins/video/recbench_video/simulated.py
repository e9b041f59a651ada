"""A simulated video service: searches, watches with the share watched, likes; true probabilities are known."""

from __future__ import annotations

from recbench.dataset import Dataset, DatasetInfo, DatasetSource
from recbench.protocols import NEXT_METRICS, time_split
from recbench.simulate import Recipe, World, WorldParams

SERVICE = Recipe(
    behaviors=("watch", "like"),
    parents=(0, 0),
    chances=((-0.8, 2.0, 0.0, 0.5), (-2.2, 2.2, 0.0, 0.5)),
    weights=(0.25, 0.30, 0.10, 0.25, 0.10),
    categories=(
        *("comedy", "drama", "thriller", "cartoons", "nature", "cooking", "football", "news", "concerts", "horror"),
        *("romance", "westerns", "history", "gaming", "travel", "science", "fitness", "crafts", "mystery", "dance"),
    ),
    valued=True,
    noun="video",
    kinds=("genre", "maker"),
)


class VideoSim(DatasetSource):
    """A seeded video service of any size: searches, watches, likes, series to follow; its truth is known."""

    Params = WorldParams
    info = DatasetInfo(
        "video-sim",
        "video",
        "seconds",
        "none needed: no real person or video is in it",
        "recbench.simulate, from the parameters alone",
        notes="SIMULATED: says how near a model comes to the truth, nothing of real viewers. The value of a watch is the "
        "share watched, of a like 1.",
    )
    boards = (
        time_split(
            "video-sim",
            "video-sim",
            14,
            behaviors=("like",),
            meaning="SIMULATED: which videos new to the user will be liked in the next two weeks?",
        ),
        time_split(
            "video-sim-next",
            "video-sim",
            7,
            ask="each_event",
            target="first",
            behaviors=("watch",),
            metrics=NEXT_METRICS,
            meaning="SIMULATED: which video new to the user is watched now? No answer beats the oracle's in the mean.",
        ),
    )

    def world(self) -> World:
        """The world behind the log, which knows the true probabilities."""
        return World.from_params(self.info, SERVICE, self.params)

    def load(self) -> Dataset:
        """Generate the log, the videos and the graph."""
        return self.world().dataset()
