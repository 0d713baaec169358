"""Request bodies: read with a bound, decoded into msgspec types, refused with the place that is wrong."""

import re
from typing import Any, Final, Generic, TypeVar

import msgspec

from tertulia.asgi.exchange import Exchange
from tertulia.kernel.errors import Invalid, Kind, TertuliaError
from tertulia.wire.document import MalformedJson

T = TypeVar("T")

_PLACE: Final = re.compile(r"(?P<message>.*?)(?: - at (?:`key` in )?`\$(?P<path>[^`]*)`)?", re.DOTALL)
_STEP: Final = re.compile(r"\[(\.\.\.|\d+)\]")
_UNKNOWN: Final = re.compile(r"Object contains unknown field `(?P<name>.*)`", re.DOTALL)
_MISSING: Final = re.compile(r"Object missing required field `(?P<name>.*)`", re.DOTALL)
_NOT_STRUCTURE: Final = bytes(set(range(256)) - set(b'[]{}"'))
_SHALLOW: Final = 8
_ONE_KIND: Final = bytes.maketrans(b"{}", b"[]")
_OPEN: Final = ord("[")
_MAX_BRACKETS: Final = 2_000_000
"""Two million brackets are beyond any honest body of 32 MiB; as objects they would be hundreds of megabytes."""


class UnsupportedMedia(TertuliaError):
    """The body is of a media type, or in a coding, that this route does not read."""

    kind = Kind.UNSUPPORTED_MEDIA
    code = "unsupported_media_type"


class JsonBody(Generic[T]):
    """Reads bodies of one msgspec type; made once for a route."""

    def __init__(self, shape: type[T]) -> None:
        self.shape = shape
        self._decode = msgspec.json.Decoder(shape).decode

    async def read(self, exchange: Exchange) -> T:
        """Read and decode the body.

        Raises `UnsupportedMedia`, what `Exchange.body` raises, and what `decode` raises.
        """
        require_media(exchange, b"application/json")
        return self.decode(await exchange.body(), exchange.limits.max_json_depth)

    def decode(self, data: bytes, max_depth: int = 128) -> T:
        """Decode JSON.

        Raises `MalformedJson` for what is none or is nested deeper than `max_depth`, and `Invalid` for what is not of
        the type, naming the place; so it does for a NUL in a text, which not every database can hold.
        """
        require_shallow(data, max_depth)
        if b"\\u0000" in data and b"\\u0000" in data.replace(b"\\\\", b""):
            raise Invalid("Texts must not contain the character U+0000.")
        try:
            return self._decode(data)
        except msgspec.ValidationError as error:
            raise _invalid(str(error)) from None
        except msgspec.DecodeError as error:
            raise MalformedJson(f"The body is not JSON: {error}.") from None
        except UnicodeDecodeError:
            raise MalformedJson("The body is not JSON: it is not UTF-8.") from None
        except RecursionError:
            raise _too_deep(max_depth) from None


def require_media(exchange: Exchange, *accepted: bytes) -> str:
    """Check the media type of the body, which may be absent, and that it is in no coding; give the whole header.

    Raises `UnsupportedMedia`.
    """
    value = exchange.header(b"content-type")
    if value is not None and value not in accepted:
        name = value.partition(b";")[0].strip().lower()
        if name not in accepted:
            wanted = " or ".join(each.decode() for each in accepted)
            shown = name[:100].decode("latin-1")
            raise UnsupportedMedia(f"The body is sent as {shown!r}. Send it with `Content-Type: {wanted}`.")
    coding = exchange.header(b"content-encoding")
    if coding is not None and coding.strip().lower() not in {b"", b"identity"}:
        raise UnsupportedMedia("Compressed request bodies are not taken. Send it without `Content-Encoding`.")
    return (value or b"").decode("latin-1")


def require_shallow(data: bytes, max_depth: int) -> None:
    """Check how deeply JSON is nested, without decoding it; the cost is linear, and next to nothing for small bodies.

    Raises `MalformedJson`.
    """
    if data.count(b"[") + data.count(b"{") <= max_depth:
        return
    brackets = _brackets(data)
    if len(brackets) > _MAX_BRACKETS:
        raise MalformedJson("The body has too many lists and objects.")
    depth = min(_SHALLOW, max_depth)
    for _ in range(depth):  # each pass takes off the innermost level everywhere
        brackets = brackets.replace(b"[]", b"")
        if not brackets:
            return
    for bracket in brackets:
        depth += 1 if bracket == _OPEN else -1
        if depth > max_depth:
            raise _too_deep(max_depth)


def _brackets(data: bytes) -> bytes:
    """Give the brackets of JSON that stand outside of texts, in order; those of objects as if they were lists'."""
    if b"\\" in data:
        data = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    # With all else taken out, a text without brackets in it is two quotes; taking two neighbours out of the others
    # joins two texts, and changes nothing about what is outside.
    kept = data.translate(_ONE_KIND, _NOT_STRUCTURE).replace(b'""', b"")
    return b"".join(kept.split(b'"')[::2])


def convert(value: Any, shape: type[T]) -> T:
    """Convert what was decoded already, such as a query's fields, to a type; numbers may be written as texts.

    Raises `Invalid`.
    """
    try:
        return msgspec.convert(value, shape, strict=False)
    except msgspec.ValidationError as error:
        raise _invalid(str(error)) from None


def _too_deep(limit: int) -> MalformedJson:
    return MalformedJson(f"The body's JSON is nested more than {limit} levels deep.")


def _invalid(text: str) -> Invalid:
    """Read msgspec's sentence: what is wrong, and where."""
    found = _PLACE.fullmatch(text)
    message, path = (found["message"], found["path"] or "") if found else (text, "")
    path = _STEP.sub(r".\1", path).lstrip(".")
    named = _UNKNOWN.fullmatch(message) or _MISSING.fullmatch(message)
    if named:
        name = named["name"][:200]
        message = "This field is not known here." if named.re is _UNKNOWN else "This field is required."
        path = f"{path}.{name}" if path else name
    else:
        message = f"{message}."
    shown = path[:500]
    error = Invalid(f"{shown}: {message}" if shown else message, path=shown)
    if error.details and shown:
        error.details = {"errors": [{"path": shown, "message": message}]}
    return error
