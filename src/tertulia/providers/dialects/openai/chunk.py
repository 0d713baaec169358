"""The shape of a chunk or a whole answer, as far as it is read: one typed parse, and a patient one for odd shapes."""

from typing import Any, Final

import msgspec
from msgspec import field

from tertulia.providers.dialects.reading import (
    Json,
    Place,
    dict_of,
    dicts_of,
    json_text,
    list_of,
    patient_json,
    place_of,
    text_of,
)


class Called(msgspec.Struct, gc=False):
    """The function of a call, or a piece of it; custom tools say `input`."""

    name: str | None = None
    arguments: str | None = None
    input: str | None = None


class Call(msgspec.Struct, gc=False):
    """A tool call, or a fragment of one."""

    index: Place | None = None
    id: str | None = None
    type: str | None = None
    function: Called | None = None
    custom: Called | None = None
    extra_content: Json | None = None


class Delta(msgspec.Struct, gc=False):
    """What a chunk adds to a choice, or a whole message."""

    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    reasoning_details: list[Json] | None = None
    refusal: str | None = None
    tool_calls: list[Call] | None = None
    function_call: Called | None = None
    images: list[Json] | None = None
    annotations: list[Json] | None = None
    audio: Json | None = None
    extra_content: Json | None = None


class Choice(msgspec.Struct, gc=False):
    """One choice of a chunk. `stop_reason` and `matched_stop` are vLLM's and SGLang's word for the stop sequence."""

    index: Place = 0
    delta: Delta | None = None
    message: Delta | None = None
    finish_reason: str | None = None
    finish_twin: str | None = field(default=None, name="finishReason")
    native_finish_reason: str | None = None
    stop_reason: Any = None
    matched_stop: Any = None
    logprobs: Json | None = None
    error: Any = None


class Chunk(msgspec.Struct, gc=False):
    """A chunk, or a whole answer."""

    choices: list[Choice] | None = None
    usage: Json | None = None
    error: Any = None
    x_groq: Json | None = None
    citations: Any = None
    search_results: Any = None


_decoder: Final = msgspec.json.Decoder(Chunk)


def read_chunk(data: bytes) -> Chunk:
    """Decode a chunk.

    Raises `UpstreamFault` for what is not a JSON object.
    """
    try:
        return _decoder.decode(data)
    except (ValueError, RecursionError):
        return _patiently(patient_json(data))


def _patiently(value: Any) -> Chunk:
    """Read a chunk field by field: what has the wrong type counts as absent."""
    fields = dict_of(value)
    choices = fields.get("choices")
    return Chunk(
        choices=[_choice(item) for item in dicts_of(choices)] if isinstance(choices, list) else None,
        usage=dict_of(fields.get("usage")) or None,
        error=fields.get("error"),
        x_groq=dict_of(fields.get("x_groq")) or None,
        citations=fields.get("citations"),
        search_results=fields.get("search_results"),
    )


def _choice(fields: Json) -> Choice:
    return Choice(
        index=place_of(fields.get("index")) or 0,
        delta=_delta(fields["delta"]) if isinstance(fields.get("delta"), dict) else None,
        message=_delta(fields["message"]) if isinstance(fields.get("message"), dict) else None,
        finish_reason=text_of(fields.get("finish_reason")),
        finish_twin=text_of(fields.get("finishReason")),
        native_finish_reason=text_of(fields.get("native_finish_reason")),
        stop_reason=fields.get("stop_reason"),
        matched_stop=fields.get("matched_stop"),
        logprobs=dict_of(fields.get("logprobs")) or None,
        error=fields.get("error"),
    )


def _delta(fields: Json) -> Delta:
    delta = Delta(
        content=text_of(fields.get("content")),
        reasoning_content=text_of(fields.get("reasoning_content")),
        reasoning=text_of(fields.get("reasoning")),
        reasoning_details=dicts_of(fields.get("reasoning_details")) or None,
        refusal=text_of(fields.get("refusal")),
        tool_calls=[_call(item) for item in dicts_of(fields.get("tool_calls"))] or None,
        function_call=_called(fields.get("function_call")),
        images=dicts_of(fields.get("images")) or None,
        annotations=dicts_of(fields.get("annotations")) or None,
        audio=dict_of(fields.get("audio")) or None,
        extra_content=dict_of(fields.get("extra_content")) or None,
    )
    if isinstance(fields.get("content"), list):
        _take_parts(delta, fields["content"])
    return delta


def _take_parts(delta: Delta, parts: list[Any]) -> None:
    """Sort a list of content parts (Mistral and others) into text, thinking, refusal, images and references."""
    text, thinking = list[str](), list[str]()
    for part in parts:
        fields = dict_of(part)
        match fields.get("type"):
            case "thinking" | "reasoning":
                thinking.append(_thinking(fields))
            case "image_url":
                delta.images = [*(delta.images or ()), fields]
            case "refusal":
                delta.refusal = (delta.refusal or "") + (text_of(fields.get("refusal")) or "")
            case "reference":
                delta.annotations = [*(delta.annotations or ()), fields]
            case _:
                text.append(part if isinstance(part, str) else text_of(fields.get("text")) or "")
    delta.content = "".join(text)
    delta.reasoning_content = "".join(thinking) or delta.reasoning_content


def _thinking(fields: Json) -> str:
    inner = fields.get("thinking", fields.get("text"))
    if isinstance(inner, str):
        return inner
    return "".join(text_of(dict_of(item).get("text")) or "" for item in list_of(inner))


def _call(fields: Json) -> Call:
    return Call(
        index=place_of(fields.get("index")),
        id=text_of(fields.get("id")),
        type=text_of(fields.get("type")),
        function=_called(fields.get("function")),
        custom=_called(fields.get("custom")),
        extra_content=dict_of(fields.get("extra_content")) or None,
    )


def _called(value: Any) -> Called | None:
    """Read a function; arguments that came as an object are written as the JSON text that they should have been."""
    if not isinstance(value, dict):
        return None
    fields = dict_of(value)
    return Called(
        name=text_of(fields.get("name")),
        arguments=_argument_text(fields.get("arguments")),
        input=_argument_text(fields.get("input")),
    )


def _argument_text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else json_text(value)
