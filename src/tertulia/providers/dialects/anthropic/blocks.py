"""Content blocks of this wire, from the parts of a message."""

from typing import Any

from tertulia.kernel.errors import Invalid
from tertulia.providers.dialects.anthropic.answer import WIRE
from tertulia.providers.dialects.conversation import argument_object, calls_of, kept_blocks, result_id
from tertulia.providers.dialects.data_url import Data, read_data_url
from tertulia.providers.dialects.reading import Json, dicts_of, text_of
from tertulia.turn.content import AudioPart, FilePart, ImagePart, Message, Part, RefusalPart, TextPart, VideoPart

_PDF = "application/pdf"


def content_blocks(parts: list[Part]) -> list[Json]:
    """Write the parts of a message; empty texts are left out, since the wire refuses them.

    Raises `Invalid` for what this wire cannot carry.
    """
    return [block for part in parts if (block := _block(part)) is not None]


def assistant_blocks(message: Message) -> list[Json]:
    """Write an earlier answer: first what its provider wants back unchanged, then its text, then its calls."""
    blocks = kept_blocks(message, WIRE) or _thinking_of(message)
    blocks += content_blocks(message.parts())
    if message.refusal:
        blocks.append({"type": "text", "text": message.refusal})
    for call in calls_of(message):
        given = argument_object(call.function.arguments)
        blocks.append({"type": "tool_use", "id": call.id, "name": call.function.name, "input": given})
    return blocks


def result_block(message: Message) -> Json:
    """Write the result of a tool."""
    block: Json = {"type": "tool_result", "tool_use_id": result_id(message)}
    if blocks := content_blocks(message.parts()):
        block["content"] = blocks
    if message.extra and message.extra.get("is_error"):
        block["is_error"] = True
    return block


def _block(part: Part) -> Json | None:
    match part:
        case TextPart():
            return _cached({"type": "text", "text": part.text}, part.cache_control) if part.text.strip() else None
        case ImagePart():
            return _cached(_image(part.image_url.url), part.cache_control)
        case FilePart():
            return _cached(_file(part.file), part.cache_control)
        case RefusalPart():
            return {"type": "text", "text": part.refusal} if part.refusal.strip() else None
        case AudioPart() | VideoPart():
            raise Invalid("This model's provider takes text, images and documents, but no sound and no film.")


def _cached(block: Json, control: dict[str, Any] | None) -> Json:
    return {**block, "cache_control": control} if control else block


def _image(url: str) -> Json:
    data = read_data_url(url)
    if data is None:
        return {"type": "image", "source": {"type": "url", "url": url}}
    return _document(data) if data.media_type == _PDF else {"type": "image", "source": _source(data)}


def _file(file: Json) -> Json:
    if identity := text_of(file.get("file_id")):
        return {"type": "document", "source": {"type": "file", "file_id": identity}}
    given = text_of(file.get("file_data")) or ""
    data = read_data_url(given)
    if data is None:
        raise Invalid("A file in the messages has neither `file_id` nor `file_data` as a data URL.")
    block = _document(data)
    name = text_of(file.get("filename"))
    return {**block, "title": name} if name else block


def _document(data: Data) -> Json:
    if data.media_type.startswith("image/"):
        return {"type": "image", "source": _source(data)}
    if data.media_type == _PDF:
        return {"type": "document", "source": _source(data)}
    return {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": data.text()}}


def _source(data: Data) -> Json:
    return {"type": "base64", "media_type": data.media_type, "data": data.base64}


def _thinking_of(message: Message) -> list[Json]:
    """Read signed thinking that came back in OpenRouter's form (`reasoning_details`)."""
    blocks: list[Json] = []
    for item in dicts_of(message.reasoning_details):
        signature, sealed = text_of(item.get("signature")), text_of(item.get("data"))
        if signature:
            thinking = text_of(item.get("text")) or ""
            blocks.append({"type": "thinking", "thinking": thinking, "signature": signature})
        elif sealed and item.get("type") == "reasoning.encrypted":
            blocks.append({"type": "redacted_thinking", "data": sealed})
    return blocks
