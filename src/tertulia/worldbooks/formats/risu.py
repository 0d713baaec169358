"""RisuAI's lorebook exports."""

from typing import Final

from tertulia.worldbooks.entries import Entry, Json, read_flag, read_json, read_number, read_text, read_texts
from tertulia.worldbooks.formats.pieces import keeping, kept, read_entries, rest_of, slashed
from tertulia.worldbooks.keys import slashed_regex
from tertulia.worldbooks.lorebook import Lorebook

_MAPPED: Final = frozenset(
    ("key", "secondkey", "insertorder", "comment", "content", "alwaysActive", "selective", "useRegex")
)


def read(root: Json) -> Lorebook:
    """Read an export; keys are comma lists there, or one pattern with `useRegex`."""
    return Lorebook(
        name=read_text(root.get("name")),
        entries=read_entries(root.get("data"), _read_entry),
        unknown=keeping("risu", rest_of(root, ("type", "data", "name"))),
    )


def _read_entry(raw: Json, index: int) -> Entry:
    comment = read_text(raw.get("comment"))
    return Entry(
        uid=index,
        key=_read_keys(raw.get("key"), regex=read_flag(raw.get("useRegex"))),
        keysecondary=_read_keys(raw.get("secondkey"), regex=read_flag(raw.get("useRegex"))),
        comment=comment,
        add_memo=bool(comment),
        content=read_text(raw.get("content")),
        constant=read_flag(raw.get("alwaysActive")),
        selective=read_flag(raw.get("selective")),
        order=read_number(raw.get("insertorder"), 100),
        probability=read_number(raw.get("activationPercent"), 100),
        extensions=keeping("risu", rest_of(raw, _MAPPED)),
    )


def _read_keys(raw: object, *, regex: bool) -> tuple[str, ...]:
    if not regex or not isinstance(raw, str) or not raw:
        return read_texts(raw)
    return (raw if slashed_regex(raw) else slashed(raw),)


def write(book: Lorebook) -> Json:
    """Write an export."""
    return {
        "ver": 1,
        **read_json(book.unknown.get("tertulia/risu")),
        "type": "risu",
        "data": [_write_entry(entry) for entry in book.entries],
    }


def _write_entry(entry: Entry) -> Json:
    rest = kept(entry, "risu")
    regex = len(entry.key) == 1 and slashed_regex(entry.key[0]) is not None
    written: Json = {
        "mode": "normal",
        **rest,
        "key": ", ".join(entry.key),
        "secondkey": ", ".join(entry.keysecondary),
        "insertorder": entry.order,
        "comment": entry.comment,
        "content": entry.content,
        "alwaysActive": entry.constant,
        "selective": entry.selective,
        "useRegex": regex,
    }
    if "activationPercent" in rest or entry.probability != 100:
        written["activationPercent"] = entry.probability
    return written
