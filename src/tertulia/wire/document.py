"""JSON as a client sent it: read once, or refused with a sentence that says where it is broken.

Python's own reader takes `NaN`, lone surrogates and any depth; what comes out of this one can be stored, encoded and
sent on. A key that stands twice is resolved here, to its last value, and nowhere else.
"""

from collections.abc import Callable
from typing import Any, cast

import msgspec

from tertulia.kernel.errors import Invalid, Kind, TertuliaError

Json = dict[str, Any]

_read = msgspec.json.Decoder().decode
_type: Callable[[object], object] = type  # by another name, so that nothing is narrowed to a dict of unknown things


class MalformedJson(TertuliaError):
    """A body that is no JSON, or nested deeper than is read."""

    kind = Kind.MALFORMED
    code = "malformed_json"


def read_document(data: bytes, max_depth: int) -> Any:
    """Read a JSON document of UTF-8 bytes, whatever its top is.

    Raises `MalformedJson`, and `Invalid` with the place where a string holds the character NUL, which databases refuse.
    """
    try:
        value = _read(data)
    except msgspec.DecodeError as error:
        raise MalformedJson(_sentence(data, error)) from None
    except UnicodeDecodeError:
        raise MalformedJson("The body is not UTF-8. Encode the JSON as UTF-8.") from None
    except RecursionError:
        raise _too_deep(max_depth) from None
    if not _sane(value, max_depth):
        raise Invalid("The character NUL (\\u0000) is not taken. Remove it.", path=_path_of_nul(value))
    return value


def _sentence(data: bytes, error: msgspec.DecodeError) -> str:
    if not data.strip():
        return "The body is empty. Send a JSON object, with `Content-Type: application/json`."
    reason = str(error).removeprefix("JSON is malformed: ").partition(" - at ")[0]
    if reason == "Input data was truncated":
        reason = "it ends too early, or holds half of a surrogate pair"
    return f"The body is not JSON: {reason[:1].lower()}{reason[1:]}. Send a JSON object, encoded as UTF-8."


def _too_deep(max_depth: int) -> MalformedJson:
    return MalformedJson(f"The JSON is nested too deeply. Nest at most {max_depth} arrays and objects.")


def _sane(value: Any, max_depth: int) -> bool:
    """Tell whether no string holds NUL; raise `MalformedJson` for what is nested deeper.

    Level by level, so that depth costs no stack; one flat loop, because every body goes through it.
    """
    level: list[Any] = [(value,)]
    for _ in range(max_depth + 1):
        deeper: list[Any] = []
        for outer in level:
            inside: Any = outer
            if _type(outer) is dict:
                if "\0" in "".join(outer):
                    return False
                inside = outer.values()
            for inner in inside:
                kind = _type(inner)
                if kind is str:
                    if "\0" in inner:
                        return False
                elif kind is dict or kind is list:
                    deeper.append(inner)
        if not deeper:
            return True
        level = deeper
    raise _too_deep(max_depth)


def _path_of_nul(value: Any) -> str:
    waiting: list[tuple[str, Any]] = [("", value)]
    while waiting:
        path, this = waiting.pop()
        if isinstance(this, str) and "\0" in this:
            break
        if isinstance(this, dict):
            fields = cast("Json", this)
            if "\0" in "".join(fields):
                break
            waiting += ((f"{path}.{key}" if path else key, inner) for key, inner in fields.items())
        elif isinstance(this, list):
            waiting += ((f"{path}.{n}" if path else f"{n}", inner) for n, inner in enumerate(cast("list[Any]", this)))
    else:
        path = ""
    return path or "body"
