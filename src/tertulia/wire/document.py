"""JSON as a client sent it: read once, or refused with a sentence that says where it is broken.

Python's own reader takes `NaN`, lone surrogates and any depth; what comes out of this one can be stored, encoded and
sent on. A key that stands twice is resolved here, to its last value, and nowhere else.
"""

from typing import Any, Final, cast

import msgspec

from tertulia.kernel.errors import Invalid, Kind, TertuliaError

Json = dict[str, Any]

_read = msgspec.json.Decoder().decode
_ESCAPED_NUL: Final = b"\\u0000"


class MalformedJson(TertuliaError):
    """A body that is no JSON, or nested deeper than is read."""

    kind = Kind.MALFORMED
    code = "malformed_json"


def read_document(data: bytes, max_depth: int) -> Any:
    """Read a JSON document of UTF-8 bytes, whatever its top is.

    Raises `MalformedJson`, and `Invalid` with the place where a string holds the character NUL, which databases refuse.
    """
    value = read_unbounded(data, max_depth)
    require_depth(value, max_depth)
    return value


def read_unbounded(data: bytes, max_depth: int) -> Any:
    """Read a document whose depth the caller goes on to check, where its types do not bound it already.

    Raises as `read_document`; `max_depth` is only named.
    """
    try:
        value = _read(data)
    except msgspec.DecodeError as error:
        raise MalformedJson(_sentence(data, error)) from None
    except UnicodeDecodeError:
        raise MalformedJson("The body is not UTF-8. Encode the JSON as UTF-8.") from None
    except RecursionError:
        raise _too_deep(max_depth) from None
    if _ESCAPED_NUL in data and (path := _path_of_nul(value)) is not None:
        raise Invalid("The character NUL (\\u0000) is not taken. Remove it.", path=path)
    return value


def require_depth(value: Any, most: int, above: int = 0) -> None:
    """Refuse arrays and objects that are nested deeper: level by level, so that depth costs no stack.

    `above` are the levels of the document above this value. Raises `MalformedJson`.
    """
    level: list[Any] = [(value,)]
    for _ in range(most - above + 1):
        deeper: list[Any] = []
        for outer in level:
            for inner in cast("Json", outer).values() if type(outer) is dict else outer:
                if type(inner) is dict or type(inner) is list:
                    deeper.append(inner)  # noqa: PERF401 - a comprehension in a loop is slower here
        if not deeper:
            return
        level = deeper
    raise _too_deep(most)


def _sentence(data: bytes, error: msgspec.DecodeError) -> str:
    if not data.strip():
        return "The body is empty. Send a JSON object, with `Content-Type: application/json`."
    reason = str(error).removeprefix("JSON is malformed: ").partition(" - at ")[0]
    if reason == "Input data was truncated":
        reason = "it ends too early, or holds half of a surrogate pair"
    return f"The body is not JSON: {reason[:1].lower()}{reason[1:]}. Send a JSON object, encoded as UTF-8."


def _too_deep(most: int) -> MalformedJson:
    return MalformedJson(f"The JSON is nested too deeply. Nest at most {most} arrays and objects.")


def _path_of_nul(value: Any) -> str | None:
    """Find the character itself: the escape may also be text about an escape."""
    waiting: list[tuple[str, Any]] = [("", value)]
    while waiting:
        path, this = waiting.pop()
        inside = _named(this)
        own = this if isinstance(this, str) else "".join(name for name, _ in inside)
        if "\0" in own:
            return path or "body"
        waiting += ((f"{path}.{name}" if path else name, inner) for name, inner in inside)
    return None


def _named(value: Any) -> list[tuple[str, Any]]:
    if isinstance(value, dict):
        return list(cast("Json", value).items())
    return [(str(n), each) for n, each in enumerate(cast("list[Any]", value))] if isinstance(value, list) else []
