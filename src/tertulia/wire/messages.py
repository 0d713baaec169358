"""The messages of a Chat Completions request: read, checked, with what only we or one provider know kept apart."""

from collections.abc import Iterator
from typing import Any, Final, cast

import msgspec

from tertulia.kernel.errors import Kind, TertuliaError
from tertulia.turn.content import ImagePart, Message, Part, RefusalPart, TextPart
from tertulia.wire.document import require_depth
from tertulia.wire.replay import kept_of, unpack
from tertulia.wire.rules import Json, kind_of, obj, one_spelling, placed, refuse, twins
from tertulia.wire.sizes import Sizes

_KNOWN: Final = frozenset(Message.__struct_fields__) - {"extra", "opaque"}
_PLAIN: Final = _KNOWN - {"tool_calls", "reasoning_details", "audio", "function_call"}
_TWINS: Final = twins(_KNOWN)
_ABOVE: Final = 2  # levels above a message: the body and the list
_OURS: Final = frozenset({"annotations", "citations"})  # of answers of ours that come back, and that hosts refuse
_CHOICES: Final = {
    "role": "system, developer, user, assistant, tool, function",
    "type": "text, image_url, input_audio, video_url, file, refusal; for a tool call function, custom",
}


class AttachmentTooLarge(TertuliaError):
    """An image in a message is larger than is taken."""

    kind = Kind.TOO_LARGE
    code = "attachment_too_large"


def read_messages(value: Any, sizes: Sizes) -> tuple[Message, ...]:
    """Read `messages`.

    Raises `Invalid` at the place that is wrong, `AttachmentTooLarge`, and `MalformedJson` for what is nested too
    deeply: where the types do not bound the depth, it is measured.
    """
    if type(value) is not list:
        refuse(
            "messages", f"must be a list of messages, not {kind_of(value)}." if value is not None else "is required."
        )
    fields = cast("list[Any]", value)
    if len(fields) > sizes.max_messages:
        refuse("messages", f"must have at most {sizes.max_messages} messages. Leave out the oldest.")
    for n, message in enumerate(fields):
        if type(message) is not dict or not message.keys() <= _PLAIN:
            require_depth(message, sizes.max_json_depth, _ABOVE)
            fields[n] = _plain(f"messages.{n}", obj(f"messages.{n}", message))
    try:
        messages = msgspec.convert(fields, tuple[Message, ...])
    except msgspec.ValidationError as error:
        raise placed(error, "messages", _CHOICES) from None
    _require_rules(fields, messages, sizes)
    return messages


def _plain(path: str, fields: Json) -> Json:
    """Bring one message into the vocabulary: one spelling, unknown fields in `extra`, what is replayed in `opaque`."""
    fields = one_spelling(fields, _TWINS, f"{path}.")
    plain = {name: value for name, value in fields.items() if name in _KNOWN}
    if extra := {name: value for name, value in fields.items() if name not in _KNOWN and name not in _OURS}:
        plain["extra"] = extra
    calls = plain.get("tool_calls")
    if isinstance(calls, list):
        calls = [_call(f"{path}.tool_calls.{n}", call) for n, call in enumerate(cast("list[Any]", calls))]
        plain["tool_calls"] = calls or None
    if isinstance(plain.get("reasoning_details"), list):
        _unpack_details(f"{path}.reasoning_details", plain)
    return plain


def _call(path: str, value: Any) -> Json:
    """Read a tool call: a custom tool's input is kept as its arguments, a host's `extra_content` as opaque."""
    fields = obj(path, value)
    call: Json = {name: fields[name] for name in ("id", "type", "function") if fields.get(name) is not None}
    custom = fields.get("custom")
    if fields.get("type") == "custom" and isinstance(custom, dict):
        its = cast("Json", custom)
        call["function"] = {"name": its.get("name"), "arguments": its.get("input", "")}
    if fields.get("extra_content") is not None:
        call["opaque"] = {"wire": "openai", "data": {"extra_content": fields["extra_content"]}}
    return call


def _unpack_details(path: str, plain: Json) -> None:
    """Take out of `reasoning_details` what we packed into it, and put it where it came from."""
    foreign: list[Any] = []
    opaque: list[Json] = []
    for n, entry in enumerate(plain["reasoning_details"]):
        data = obj(f"{path}.{n}", entry).get("data")
        piece = unpack(data, f"{path}.{n}.data") if isinstance(data, str) else None
        if piece is None:
            foreign.append(entry)
        elif piece.call is None:
            opaque.append(kept_of(piece))
        else:
            for call in plain.get("tool_calls") or ():
                if call.get("id") == piece.call:
                    call["opaque"] = piece.opaque
    plain["reasoning_details"] = foreign or None
    if opaque:
        plain["opaque"] = opaque


def _require_rules(fields: list[Json], messages: tuple[Message, ...], sizes: Sizes) -> None:
    most = sizes.max_text_chars
    images = 0
    for n, message in enumerate(messages):
        content = message.content
        if type(content) is str:
            if len(content) > most:
                _refuse_length(f"messages.{n}.content", most)
        elif type(content) is list:
            require_depth(fields[n]["content"], sizes.max_json_depth, _ABOVE + 1)
            images += _require_parts(f"messages.{n}.content", content, sizes)
        elif message.role != "assistant":
            refuse(f"messages.{n}.content", "is required: a text, or a list of parts.")
        elif message.tool_calls is None:
            _require_something(f"messages.{n}", message)
        if message.role == "tool" and not message.tool_call_id:
            refuse(f"messages.{n}.tool_call_id", "is required: the id of the tool call that this answers.")
        if message.role == "function" and not message.name:
            refuse(f"messages.{n}.name", "is required: the name of the function that this answers.")
    if images > sizes.max_images:
        refuse("messages", f"must have at most {sizes.max_images} images together; there are {images}.")


def _require_something(path: str, message: Message) -> None:
    """Refuse an assistant's message without a content of any kind; `null` means that nothing came."""
    said = (message.refusal, message.function_call, message.audio, message.reasoning_content, message.reasoning)
    if message.content is not None and all(each is None for each in said) and message.reasoning_details is None:
        refuse(f"{path}.content", "is required, unless there are tool_calls.")


def _require_parts(path: str, parts: list[Part], sizes: Sizes) -> int:
    """Check the parts of one message; give how many are images."""
    if not parts:
        refuse(path, "must not be an empty list. Send a text, or at least one part.")
    for n, said in _texts(parts):
        if len(said) > sizes.max_text_chars:
            _refuse_length(f"{path}.{n}", sizes.max_text_chars)
    images = [(n, part) for n, part in enumerate(parts) if isinstance(part, ImagePart)]
    for n, part in images:
        _require_image(f"{path}.{n}.image_url.url", part.image_url.url, sizes.max_image_bytes)
    return len(images)


def _texts(parts: list[Part]) -> Iterator[tuple[str, str]]:
    for n, part in enumerate(parts):
        if isinstance(part, TextPart):
            yield f"{n}.text", part.text
        elif isinstance(part, RefusalPart):
            yield f"{n}.refusal", part.refusal


def _require_image(path: str, url: str, most: int) -> None:
    if url.startswith("https://"):
        if len(url) > 16_384 or not url[8:].strip() or not url.isprintable() or " " in url:
            refuse(path, "is no URL. Send one that begins with https:// and has no blanks.")
        return
    head, comma, data = url[:100].partition(",")
    if not url.startswith("data:image/") or not comma or not head.endswith(";base64") or not data:
        refuse(path, "must be an https: URL, or data:image/<type>;base64,<data>.")
    size = (len(url) - len(head) - 1) * 3 // 4
    if size > most:
        error = AttachmentTooLarge(f"`{path}` is an image of {size} bytes. Send at most {most} bytes an image.")
        error.details = {"errors": [{"path": path, "message": error.message}]}
        raise error


def _refuse_length(path: str, most: int) -> None:
    refuse(path, f"must have at most {most} characters.")
