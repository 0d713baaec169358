"""Keep control characters out of what a terminal shows: a value in the log must not move the cursor or fake a line."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_IN_LINES: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_TRACEBACK: Final = "exception"


def escape_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    r"""Write control characters as `\x1b`, `\n`, …; a traceback keeps its lines and tabs."""
    return {
        _escaped(name): _escaped(value, _IN_LINES if name == _TRACEBACK else _CONTROL) for name, value in fields.items()
    }


def _escaped(value: Any, what: re.Pattern[str] = _CONTROL) -> Any:
    if isinstance(value, str):
        return what.sub(_written, value)
    if isinstance(value, Mapping):
        named = cast("Mapping[Any, Any]", value).items()
        return {_escaped(str(name)): _escaped(inner) for name, inner in named}
    if isinstance(value, list | tuple):
        return [_escaped(inner) for inner in cast("Sequence[Any]", value)]
    if value is None or isinstance(value, bool | int | float):
        return value
    return what.sub(_written, str(value))


def _written(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode("ascii")
