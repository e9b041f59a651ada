"""A simulated shop: searches, views, carts and purchases whose true probabilities are known."""

from __future__ import annotations

from recbench.dataset import Dataset, DatasetInfo, DatasetSource
from recbench.protocols import NEXT_METRICS, behavior, time_split
from recbench.simulate import Recipe, World, WorldParams

SHOP = Recipe(
    behaviors=("view", "cart", "purchase"),
    parents=(0, 0, 1),
    chances=((0, 0, 0, 0), (-1.6, 1.5, -1.0, 0.8), (-0.3, 0.8, -1.0, 0.3)),
    weights=(0.25, 0.35, 0.15, 0.15, 0.10),
    categories=(
        *("shoes", "lamps", "tents", "pans", "chairs", "watches", "jackets", "toys", "bicycles", "headphones"),
        *("books", "rugs", "knives", "bags", "plants", "cameras", "pillows", "guitars", "skis", "mirrors"),
    ),
    priced=True,
    noun="product",
)


class EcommerceSim(DatasetSource):
    """A seeded shop of any size: searches with words, views, carts, purchases, prices; its truth is known."""

    Params = WorldParams
    info = DatasetInfo(
        "ecommerce-sim",
        "ecommerce",
        "seconds",
        "none needed: no real person or product is in it",
        "recbench.simulate, from the parameters alone",
        notes="SIMULATED: says how near a model comes to the truth, nothing of real shoppers. A cart or purchase always "
        "follows a view of the same item.",
    )
    boards = (
        time_split(
            "ecommerce-sim",
            "ecommerce-sim",
            14,
            behaviors=("purchase",),
            meaning="SIMULATED: which items new to the user will be bought in the next two weeks?",
        ),
        time_split(
            "ecommerce-sim-next",
            "ecommerce-sim",
            7,
            ask="each_event",
            target="first",
            behaviors=("view",),
            metrics=NEXT_METRICS,
            meaning="SIMULATED: which item new to the user is viewed now? No answer beats the oracle's in the mean.",
        ),
        behavior(
            "ecommerce-sim-purchase",
            "ecommerce-sim",
            ("cart", "purchase"),
            ask="each_event",
            repeat="any",
            exposures=("view",),
            horizon_days=1 / 24,
            test_window_days=14,
            valid_window_days=7,
            meaning="SIMULATED: will the user put the item just opened into the cart, and buy it? What the oracle says is true.",
        ),
    )

    def world(self) -> World:
        """The world behind the log, which knows the true probabilities."""
        return World.from_params(self.info, SHOP, self.params)

    def load(self) -> Dataset:
        """Generate the log, the item table and the graph."""
        return self.world().dataset()
