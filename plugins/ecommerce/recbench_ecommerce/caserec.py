"""RetailRocket and Steam as Case Recommender's author packed them: several behaviours, no clock, no order."""

from __future__ import annotations

import numpy as np

from recbench.dataset import Dataset, DatasetInfo, DatasetSource, Holds
from recbench.fetch import SourceFile
from recbench.ingest import log_of
from recbench.protocols import LIST_METRICS, behavior, random_pairs

REPOSITORY = "github.com/caserec/Datasets-for-Recommender-Systems at 4180b4dc, folder Processed Datasets"
FOLDER = "https://raw.githubusercontent.com/caserec/Datasets-for-Recommender-Systems"
RETAILROCKET, STEAM = "Retailrocket_Ecommerce.zip", "steam.zip"


class RetailRocket(DatasetSource):
    """78,371 views, 9,028 products put into a cart and 5,088 purchases by 3,431 visitors of a shop; no order."""

    info = DatasetInfo(
        "retailrocket",
        "ecommerce",
        "none",
        "CC BY-NC-SA 4.0 (the original on Kaggle, retailrocket/ecommerce-dataset; this copy does not say)",
        f"{REPOSITORY}/RetailrocketEcommerce",
        "RetailRocket recommender system dataset, Kaggle",
        "Reduced to users with 10 and items with 40 events before repeats were dropped: it differs from every published "
        "table. Nine of ten purchases have a view of the same pair: hold out the pair, not the row.",
        holds=Holds(92_487, 3_431, 8_885, ("view", "cart", "purchase")),
    )
    files = (
        SourceFile(
            RETAILROCKET,
            "ac6d10de4a61cfd687b7931cdf62f54d363d8cb06bcc6ae93df1833d531a5ac7",
            url=f"{FOLDER}/1cf3c400968eeb8585e4f4d908381bc93c253e4e/Processed%20Datasets/RetailrocketEcommerce/{RETAILROCKET}",
        ),
    )
    # Purchases alone would ask 250 visitors a part at most; a pair goes as a whole, for its views would betray it.
    boards = (
        random_pairs(
            "retailrocket",
            "retailrocket",
            behaviors=("cart", "purchase"),
            meaning="Which products does the visitor put into the cart or buy, of pairs held out by lot with all that "
            "was done to them? There is no order: says who wants what, not what comes next.",
        ),
        behavior(
            "retailrocket-purchase",
            "retailrocket",
            ("cart", "purchase"),
            split="random_pairs",
            exposures=("view",),
            meaning="Does the visitor put the product that it views into the cart, and buy it? Pairs are held out by lot with "
            "all that was done to them, and there is no order: histories are sets that hold what came later too.",
        ),
    )

    def load(self) -> Dataset:
        """Read the three files of the zip as three behaviours."""
        behaviors = {"view": "view", "cart": "add_to_cart", "purchase": "purchase"}
        parts = [
            self.table(RETAILROCKET, member=f"RetailRocket_Ecommerce/{name}_ecommerce.dat", sep="\t", quoting=3)
            for name in behaviors.values()
        ]
        sizes = [len(part) for part in parts]
        log, user_ids, item_ids = log_of(
            np.concatenate([part["visitorid"] for part in parts]),
            np.concatenate([part["itemid"] for part in parts]),
            np.zeros(sum(sizes), np.int64),
            behavior=np.repeat(np.arange(len(parts)), sizes),
            behaviors=tuple(behaviors),
        )
        return Dataset(self.info, log, user_ids, item_ids, checksum=self.checksum())


class Steam(DatasetSource):
    """129,511 games bought and 70,489 played, with hours, by 12,393 users; titles, no order."""

    info = DatasetInfo(
        "steam",
        "ecommerce",
        "none",
        "generated entirely from public Steam data; the Kaggle page's licence is not stated",
        f"{REPOSITORY}/Steam",
        "Tamber, Steam Video Games, Kaggle",
        "The median user has bought two games, hence the board's filters. 707 purchases and 12 plays repeat a pair. Not "
        "the Steam of SASRec and BERT4Rec.",
        holds=Holds(200_000, 12_393, 5_155, ("buy", "play"), text=True),
    )
    files = (
        SourceFile(
            STEAM,
            "befdc608cb06f83b97f9d7a34437ca3d76a8ad648dd9304d837ebe3fdf92a77e",
            url=f"{FOLDER}/82b08c787a6b50d78129b9df842285b89bc05b85/Processed%20Datasets/Steam/{STEAM}",
        ),
    )
    boards = (
        random_pairs(
            "steam",
            "steam",
            metrics=(*LIST_METRICS, "recall@20"),
            behaviors=("buy",),
            filters={"min_user_events": 5, "min_item_events": 5},
            meaning="Which games does the user own, of pairs held out by lot with the hours played? There is no order: "
            "says who likes what, not what comes next.",
        ),
    )

    def load(self) -> Dataset:
        """Read purchases, hours of play and titles."""
        bought, played, told = (
            self.table(STEAM, member=f"steam/{name}.dat", sep="\t", quoting=3)
            for name in ("game_purchase", "game_play", "item_info")
        )
        log, user_ids, item_ids = log_of(
            np.r_[bought["User_ID"], played["User_ID"]],
            np.r_[bought["Game_ID"], played["Game_ID"]],
            np.zeros(len(bought) + len(played), np.int64),
            behavior=np.repeat([0, 1], [len(bought), len(played)]),
            value=np.r_[bought["Purchase"], played["Hours"]],
            behaviors=("buy", "play"),
        )
        title = told.set_index("Game_ID")["Game Name"].str.strip().reindex(item_ids).reset_index(drop=True)
        repeats = {
            f"repeated_{name}_kept": int(part.duplicated(["User_ID", "Game_ID"]).sum())
            for name, part in (("purchases", bought), ("plays", played))
        }
        return Dataset(
            self.info,
            log,
            user_ids,
            item_ids,
            title.to_frame("title").assign(text=title),
            checksum=self.checksum(),
            cleaning={"rows": len(log)} | repeats,
        )
