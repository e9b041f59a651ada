"""The one exception that reaches a user: a sentence, never a traceback."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class RecbenchError(Exception):
    """Something the user can act on: what was given, what is allowed, what to do, in one line."""


class PluginError(RecbenchError):
    """A plugin is unknown, claimed twice, broken, or answers what its contract forbids."""


def one_line(error: BaseException) -> str:
    """The type and the text of a foreign error, folded into a single line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def nearest(given: str, allowed: Iterable[str]) -> str:
    """`; did you mean 'x'?` where an allowed word lies near the given one, else nothing."""
    match = difflib.get_close_matches(given, list(allowed), n=1, cutoff=0.5)
    return f"; did you mean '{match[0]}'?" if match else ""
