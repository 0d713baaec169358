"""Variables of a chat and of a user. Macros change copies; what changed is for the caller to keep, once a turn."""

import json
import math
from collections.abc import Mapping
from typing import Any, Final, cast

import msgspec

_FALSE: Final = frozenset(("", "false", "off", "0"))
_COMPARISONS: Final = frozenset((">", ">=", "<", "<="))


def is_false(text: str) -> bool:
    """Say whether a text means no: empty, `false`, `off` or `0`, in any case."""
    return text.strip().lower() in _FALSE


def to_number(text: str) -> float | None:
    """Read a text as JavaScript's `Number` would; None for what is none, and for the empty text."""
    try:
        number = float(text) if "_" not in text else math.nan
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def show_number(number: float) -> str:
    """Write a number as JavaScript does."""
    if number == int(number) and abs(number) < 1e21:
        return str(int(number))
    return repr(number)


def compare(left: str, operator: str, right: str) -> bool:
    """Compare as text for equality, as numbers for order; what is no number is in no order."""
    if operator in ("==", "!="):
        return (left == right) == (operator == "==")
    first, second = to_number(left), to_number(right)
    if operator not in _COMPARISONS or first is None or second is None:
        return False
    if first == second:
        return "=" in operator
    return (first < second) == operator.startswith("<")


class Store(msgspec.Struct):
    """One set of variables: what was there, and what macros made of it (None: deleted)."""

    before: Mapping[str, str] = {}
    changes: dict[str, str | None] = {}

    def get(self, name: str) -> str | None:
        """Give a value; None when there is none."""
        return self.changes[name] if name in self.changes else self.before.get(name)

    def set(self, name: str, value: str) -> None:
        """Set a value."""
        self.changes[name] = value

    def delete(self, name: str) -> None:
        """Take a variable away."""
        self.changes[name] = None

    def add(self, name: str, value: str) -> str:
        """Add numbers, append to a list, or else append text; give the new value."""
        current = self.get(name)
        items = _as_list(current)
        if items is not None:
            return self._keep(name, json.dumps([*items, value], ensure_ascii=False))
        first, second = to_number(current or "0"), to_number(value)
        if first is None or second is None:
            return self._keep(name, (current or "") + value)
        return self._keep(name, show_number(first + second))

    def subtract(self, name: str, value: str) -> str | None:
        """Take a number from a number; None, and nothing changes, when one is no number."""
        first, second = to_number(self.get(name) or "0"), to_number(value)
        if first is None or second is None:
            return None
        return self._keep(name, show_number(first - second))

    def item(self, name: str, key: str) -> str:
        """Give one item of a list or an object that is kept as JSON; "" when it is not there."""
        whole = _as_json(self.get(name))
        if isinstance(whole, list):
            items = cast("list[Any]", whole)
            index = _index(key)
            return _shown(items[index]) if index is not None and index < len(items) else ""
        return _shown(cast("dict[str, Any]", whole).get(key)) if isinstance(whole, dict) else ""

    def set_item(self, name: str, key: str, value: str) -> None:
        """Set one item; a variable that is no list or object becomes one: a list for a number, else an object."""
        whole = _as_json(self.get(name))
        index = _index(key)
        if index is not None and (isinstance(whole, list) or not isinstance(whole, dict)):
            items = cast("list[Any]", whole) if isinstance(whole, list) else []
            items += [None] * (index + 1 - len(items))
            items[index] = value
            whole = items
        else:
            whole = {**(cast("dict[str, Any]", whole) if isinstance(whole, dict) else {}), key: value}
        self._keep(name, json.dumps(whole, ensure_ascii=False))

    def _keep(self, name: str, value: str) -> str:
        self.changes[name] = value
        return value


def _as_json(text: str | None) -> object:
    if not text or text.lstrip()[:1] not in ("[", "{"):
        return None
    try:
        return cast("object", json.loads(text))
    except (ValueError, RecursionError):
        return None


def _as_list(text: str | None) -> list[Any] | None:
    whole = _as_json(text)
    return cast("list[Any]", whole) if isinstance(whole, list) else None


def _index(key: str) -> int | None:
    """Read a place in a list; beyond a thousand it is a name."""
    return int(key) if key.isascii() and key.isdecimal() and len(key) <= 3 else None


def _shown(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
