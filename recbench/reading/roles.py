"""Which column is the user, the item, the time: as told, else by a name that can mean one thing only."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from recbench.errors import RecbenchError, nearest

# For each role its usual names, in lower case without signs; a later group counts only where the earlier ones are absent.
NAMES = {
    "user": (
        "user userid uid customer customerid custid visitor visitorid member memberid client clientid reviewer reviewerid "
        "account accountid person personid household householdid buyer buyerid",
        "session sessionid",
    ),
    "item": (
        "item itemid iid product productid prodid sku asin article articleid content contentid movie movieid video videoid "
        "book bookid isbn song songid track trackid post postid stockcode business businessid game gameid anime animeid",
    ),
    "time": (
        "time timestamp ts datetime eventtime eventtimestamp unixtime unixtimestamp unixreviewtime createdat occurredat",
        "date day eventdate orderdate invoicedate reviewdate purchasedate month",
    ),
    "behavior": ("behavior behaviour event eventtype eventname action actiontype interaction", "type"),
    "value": ("rating value score stars quantity qty watchratio", "count amount"),
    "text": ("query search searchterm searchterms searchquery keyword keywords searchwords",),
}
ITEM_NAMES = {
    "title": ("title name productname itemname headline",),
    "price": ("price unitprice listprice",),
    "category": ("category categoryid genre genres department",),
}
TEXTS = ("title name productname itemname headline text description body content summary caption",)
REQUIRED = ("user", "item")
NONE = "none"


def assign(columns: Sequence[str], given: Mapping[str, str], prefix: str = "data.") -> tuple[dict[str, str], list[str]]:
    """Role -> column, and which roles were guessed. `given`: role -> column, "none", or empty where it is to be guessed.

    RecbenchError lists the columns where one is unknown, a needed role has none, or two could be meant.
    """
    listed = _listed(columns)
    found: dict[str, str] = {}
    for role, column in given.items():
        if column and column != NONE and column not in columns:
            raise RecbenchError(
                f"{prefix}{role}={column}: no such column{nearest(column, columns)}; there are: {listed}"
            )
        if column and column != NONE:
            found[role] = column
    guessed = []
    for role, column in given.items():
        if column:
            continue
        clear = fitting([c for c in columns if c not in found.values()], NAMES[role])
        if len(clear) > 1:
            others = "" if role in REQUIRED else f", or {prefix}{role}=none"
            raise RecbenchError(
                f"{' and '.join(clear)} could each be the {role}; write {prefix}{role}={clear[0]}{others}; there are: {listed}"
            )
        if clear:
            found[role] = clear[0]
            guessed.append(role)
    lacking = [role for role in REQUIRED if role not in found]
    if lacking:
        ways = " ".join(f"{prefix}{role}=COLUMN" for role in lacking)
        raise RecbenchError(
            f"cannot tell which column is the {' and the '.join(lacking)}; write {ways}; there are: {listed}"
        )
    return found, guessed


def _listed(columns: Sequence[str], most: int = 40) -> str:
    more = f" and {len(columns) - most} more" if len(columns) > most else ""
    return ", ".join(columns[:most]) + more


def fitting(columns: Sequence[str], groups: Sequence[str]) -> list[str]:
    """The columns whose names are among the first group that has any."""
    for group in groups:
        if found := [column for column in columns if bare(column) in group.split()]:
            return found
    return []


def id_of(columns: Sequence[str], given: str, item: str, prefix: str = "data.") -> str:
    """The column that names the item in a table of items: as told, as in the events, or the one with a clear name."""
    clear = [given] if given else [item] if item in columns else fitting(columns, (*NAMES["item"], "id"))
    if len(clear) == 1 and clear[0] in columns:
        return clear[0]
    what = (
        f"{prefix}items_id={given}: no such column"
        if given
        else f"cannot tell which column of {prefix}items is the item"
    )
    raise RecbenchError(f"{what}; write {prefix}items_id=COLUMN; there are: {_listed(columns)}")


def bare(name: str) -> str:
    """`userid` of `User_ID`."""
    return re.sub(r"[\W_]", "", name.lower())


def told(found: Mapping[str, str], guessed: Sequence[str]) -> str:
    """The roles in a line for the user, guesses marked."""
    named = [f"{role}={column}{' (guessed)' if role in guessed else ''}" for role, column in found.items()]
    return ", ".join([*named, *([] if "time" in found else ["no time: the order of the rows counts"])])
