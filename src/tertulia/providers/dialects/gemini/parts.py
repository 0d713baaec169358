"""Content parts of this wire, from the parts of a message."""

from collections.abc import Mapping

import msgspec

from tertulia.kernel.errors import Invalid
from tertulia.providers.dialects.conversation import argument_object, calls_of, kept_blocks, result_id
from tertulia.providers.dialects.data_url import read_data_url
from tertulia.providers.dialects.gemini.answer import WIRE
from tertulia.providers.dialects.reading import Json, dict_of, text_of
from tertulia.turn.content import (
    AudioPart,
    FilePart,
    ImagePart,
    Message,
    Part,
    RefusalPart,
    TextPart,
    ToolCall,
    VideoPart,
)

_FILES = "https://generativelanguage.googleapis.com/"


def content_parts(parts: list[Part]) -> list[Json]:
    """Write the parts of a message; empty texts are left out.

    Raises `Invalid` for what this wire cannot carry.
    """
    return [written for part in parts if (written := _part(part)) is not None]


def assistant_parts(message: Message) -> list[Json]:
    """Write an earlier answer: its text and calls, each with the signature that it came with."""
    kept = kept_blocks(message, WIRE)
    parts = [data for data in kept if data.keys() & {"executableCode", "codeExecutionResult", "fileData"}]
    texts = content_parts(message.parts())
    signatures = [data for data in kept if "thoughtSignature" in data]
    calls = calls_of(message)
    if signatures and texts:
        texts[-1] = {**texts[-1], **signatures[-1]}
    elif signatures and not calls:
        texts = [{"text": "", **signatures[-1]}]
    return [*parts, *texts, *(_call(call) for call in calls)]


def result_part(message: Message, names: Mapping[str, str]) -> Json:
    """Write the result of a tool; `names` tells which function a call's id belongs to."""
    identity = result_id(message)
    name = names.get(identity) or message.name or identity
    return {"functionResponse": {"name": name, "response": _object(message.text())}}


def _call(call: ToolCall) -> Json:
    part: Json = {"functionCall": {"name": call.function.name, "args": argument_object(call.function.arguments)}}
    if call.opaque is not None and call.opaque.get("wire") == WIRE:
        part.update(dict_of(call.opaque.get("data")))
    return part


def _object(text: str) -> Json:
    """Give a result as the object that this wire wants; anything else is wrapped."""
    try:
        value = msgspec.json.decode(text)
    except (ValueError, RecursionError):
        return {"result": text}
    return dict_of(value) if isinstance(value, dict) else {"result": value}


def _part(part: Part) -> Json | None:
    match part:
        case TextPart():
            return {"text": part.text} if part.text else None
        case RefusalPart():
            return {"text": part.refusal} if part.refusal else None
        case ImagePart():
            return _media(part.image_url.url)
        case VideoPart():
            return _media(text_of(part.video_url.get("url")) or "")
        case FilePart():
            return _media(text_of(part.file.get("file_data")) or text_of(part.file.get("file_id")) or "")
        case AudioPart():
            sound = part.input_audio
            kind = f"audio/{text_of(sound.get('format')) or 'wav'}"
            return {"inlineData": {"mimeType": kind, "data": text_of(sound.get("data")) or ""}}


def _media(url: str) -> Json:
    data = read_data_url(url)
    if data is not None:
        return {"inlineData": {"mimeType": data.media_type, "data": data.base64}}
    if url.startswith((_FILES, "gs://", "https://www.youtube.com/", "https://youtu.be/")):
        return {"fileData": {"fileUri": url}}
    raise Invalid("This model's provider takes images and files as data URLs, not by the address of another host.")
