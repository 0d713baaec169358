"""A world book as a value: its settings and its entries."""

from typing import Any

import msgspec

from tertulia.worldbooks.entries import Entry, Json


class Lorebook(msgspec.Struct, frozen=True, kw_only=True):
    """A book. The three settings are overrides of a scan's own; `None`, as in SillyTavern's files, leaves them alone.

    `scan_depth` is in messages, `token_budget` in tokens for all entries of this book; 0 of either is no override.
    `unknown` holds the fields of the file that are not ours.
    """

    name: str = ""
    description: str = ""
    scan_depth: int | None = None
    token_budget: int | None = None
    recursive_scanning: bool | None = None
    extensions: Json = {}
    entries: tuple[Entry, ...] = ()
    unknown: dict[str, Any] = {}
