"""What a content says about itself: leading `@@name value` lines, hidden keys. Source: characters, 1.6 and 1.7."""

import re
from collections.abc import Callable
from typing import Any, Final

import msgspec

from tertulia.worldbooks.entries import ROLES


class Decorators(msgspec.Struct, frozen=True, kw_only=True):
    """What the decorators of an entry say; absent ones are None, False or empty.

    Those that speak of tokens (`instruct_…`) serve text completion alone: here they are unknown, and their fallbacks
    are tried. `position` is SillyTavern's number; `after_match` says what a match earlier in the chat means.
    """

    activate: bool = False
    dont_activate: bool = False
    activate_only_after: int | None = None
    activate_only_every: int | None = None
    keep_activate_after_match: bool = False
    dont_activate_after_match: bool = False
    depth: int | None = None
    reverse_depth: int | None = None
    role: int | None = None
    scan_depth: int | None = None
    is_greeting: int | None = None
    position: int | None = None
    ignore_on_max_context: bool = False
    additional_keys: tuple[tuple[str, ...], ...] = ()
    exclude_keys: tuple[str, ...] = ()
    is_user_icon: str | None = None

    @property
    def remembers(self) -> bool:
        """Say whether a match has to be kept for later turns."""
        return self.keep_activate_after_match or self.dont_activate_after_match


_HIDDEN_KEY: Final = re.compile(r"\{\{\s*hidden_key\s*:([^{}]*)\}\}", re.IGNORECASE)
_NONE: Final = Decorators()
_ST_KNOWN: Final = ("@@activate", "@@dont_activate")


def split_decorators(content: str, *, st_strict: bool) -> tuple[Decorators, str]:
    """Take the decorators off a content; the second value is what is left of it."""
    if not content.startswith("@@"):
        return _NONE, content
    return _split_strict(content) if st_strict else _split_full(content)


def split_hidden_keys(content: str) -> tuple[str, str]:
    """Take `{{hidden_key:A}}` out of a content; the second value is what they hold, for recursion to find."""
    hidden = _HIDDEN_KEY.findall(content)
    return (_HIDDEN_KEY.sub("", content), "\n".join(hidden)) if hidden else (content, "")


def _split_strict(content: str) -> tuple[Decorators, str]:
    """Know two names, exactly written; what only begins like one counts as known and does nothing."""
    lines = content.split("\n")
    taken: set[str] = set()
    falling_back = False
    for at, line in enumerate(lines):
        if not line.startswith("@@"):
            return _strict(taken), "\n".join(lines[at:])
        if line.startswith("@@@") and not falling_back:
            continue
        name = line.removeprefix("@") if line.startswith("@@@") else line
        falling_back = not name.startswith(_ST_KNOWN)
        if not falling_back:
            taken.add(name)
    return _strict(taken), content


def _strict(taken: set[str]) -> Decorators:
    return Decorators(activate="@@activate" in taken, dont_activate="@@dont_activate" in taken)


def _split_full(content: str) -> tuple[Decorators, str]:
    """Follow the card specification: the first that is understood counts, its fallbacks are skipped."""
    lines = content.split("\n")
    fields: dict[str, Any] = {}
    settled = True
    for at, line in enumerate(lines):
        stripped = line.strip()
        if not stripped.startswith("@@"):
            return Decorators(**fields), "\n".join(lines[at:]).strip("\n")
        fallback = stripped.startswith("@@@")
        if fallback and settled:
            continue
        settled = _take(stripped.lstrip("@"), fields)
    return Decorators(**fields), ""


def _take(line: str, fields: dict[str, Any]) -> bool:
    """Put a decorator into the fields; False when its name is unknown or its value is bad."""
    name, _, value = line.partition(" ")
    read = _VALUES.get(name)
    parsed = read(value.strip()) if read else None
    if parsed is None:
        return False
    if name == "additional_keys":
        fields[name] = (*fields.get(name, ()), parsed)
    else:
        fields.setdefault(name, parsed)
    return True


def _bare(value: str) -> bool | None:
    return None if value else True


def _number(value: str) -> int | None:
    digits = value.removeprefix("-")
    return int(value) if digits.isascii() and digits.isdecimal() and len(digits) <= 9 else None


def _positive(value: str) -> int | None:
    number = _number(value)
    return number if number is not None and number > 0 else None


def _keys(value: str) -> tuple[str, ...] | None:
    return tuple(key for key in (part.strip() for part in value.split(",")) if key) or None


def _position(value: str) -> int | None:
    # The card's own sections "personality" and "scenario" take no entries here: their fallbacks are tried.
    return {"before_desc": 0, "after_desc": 1}.get(value)


_VALUES: Final[dict[str, Callable[[str], object]]] = {
    "activate": _bare,
    "dont_activate": _bare,
    "activate_only_after": _number,
    "activate_only_every": _positive,
    "keep_activate_after_match": _bare,
    "dont_activate_after_match": _bare,
    "depth": _number,
    "reverse_depth": _number,
    "role": ROLES.get,
    "scan_depth": _number,
    "is_greeting": _number,
    "position": _position,
    "ignore_on_max_context": _bare,
    "additional_keys": _keys,
    "exclude_keys": _keys,
    "is_user_icon": lambda value: value or None,
}
