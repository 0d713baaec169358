"""What the readers and writers of several formats share."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypedDict, cast

import msgspec

from tertulia.worldbooks.entries import Entry, Json, Uid, read_flag, read_json, read_whole

KEPT_UID: Final = "tertulia/uid"


class Limits(TypedDict):
    """A book's own settings for scanning."""

    scan_depth: int | None
    token_budget: int | None
    recursive_scanning: bool | None


def read_limits(raw: Mapping[str, Any]) -> Limits:
    """Read the settings that a book may have for itself; absent and null ones are None."""
    depth, budget, recursive = (raw.get(name) for name in ("scan_depth", "token_budget", "recursive_scanning"))
    return Limits(
        scan_depth=None if depth is None else read_whole(depth),
        token_budget=None if budget is None else read_whole(budget),
        recursive_scanning=None if recursive is None else read_flag(recursive),
    )


def read_entries(raw: object, read: Callable[[Json, int], Entry]) -> tuple[Entry, ...]:
    """Read entries from a list, or an object's values, each by its place; what is no object is passed over."""
    listed = cast("list[object]", raw) if isinstance(raw, list) else list(read_json(raw).values())
    objects = (cast("Json", item) for item in listed if isinstance(item, Mapping))
    return numbered(read(item, index) for index, item in enumerate(objects))


def rest_of(raw: Mapping[str, Any], known: Iterable[str]) -> Json:
    """Give the fields that are not ours."""
    ours = set(known)
    return {name: value for name, value in raw.items() if name not in ours}


def kept(entry: Entry, program: str) -> Json:
    """Give what was kept of an entry that came from another program's file."""
    return read_json(entry.extensions.get(f"tertulia/{program}"))


def keeping(program: str, rest: Json) -> Json:
    """Give the extensions that keep the fields of another program's entry."""
    return {f"tertulia/{program}": rest} if rest else {}


def numbered(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    """Give every entry a uid of its own; of two with the same, the later one gets the next free number."""
    taken: set[Uid] = set()
    out: list[Entry] = []
    free = 0
    for entry in entries:
        uid = entry.uid
        if uid in taken:
            while free in taken:
                free += 1
            uid = free
        taken.add(uid)
        out.append(entry if uid == entry.uid else msgspec.structs.replace(entry, uid=uid))
    return tuple(out)


def restored_uid(entry: Entry) -> Entry:
    """Give back the uid that an export to SillyTavern had to replace by a number."""
    uid = entry.extensions.get(KEPT_UID)
    if not isinstance(uid, str):
        return entry
    extensions = {name: value for name, value in entry.extensions.items() if name != KEPT_UID}
    return msgspec.structs.replace(entry, uid=uid, extensions=extensions)


def slashed(key: str) -> str:
    """Write a bare pattern as `/pattern/`."""
    return "/" + key.replace("/", "\\/") + "/"
