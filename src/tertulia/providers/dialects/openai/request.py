"""Write a request of this wire."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from tertulia.providers.dialects.reading import Json, dict_of, dicts_of, text_of
from tertulia.providers.port import Encoded, Profile
from tertulia.turn.content import Message, ToolCall
from tertulia.turn.request import Request

_encoder: Final = msgspec.json.Encoder()
_HEADERS: Final = {"content-type": "application/json"}


def encode(request: Request, model: str, profile: Profile, wire: str, path: str) -> Encoded:
    """Write the request; what the profile refuses is left out and named."""
    body: Json = {"model": model, "messages": [_message(message, profile, wire) for message in request.messages]}
    dropped = _parameters(request.parameters, profile, body)
    body.pop("stream_options", None)
    if request.stream:
        body["stream"] = True
        options = dict_of(request.parameters.get("stream_options"))
        if profile.include_usage:
            body["stream_options"] = {**options, "include_usage": True}
    return Encoded("POST", path, _encoder.encode(body), _HEADERS, dropped)


def _parameters(parameters: Mapping[str, Any], profile: Profile, body: Json) -> tuple[str, ...]:
    """Copy the parameters into the body by the host's names; give those that it refuses."""
    dropped: list[str] = []
    renamed: Json = {}
    for name, value in parameters.items():
        target = profile.renames.get(name, name)
        if name in profile.refuses or target in profile.refuses:
            dropped.append(name)
        elif target != name:
            renamed[target] = value
        elif name not in {"model", "messages", "stream"}:
            body[name] = value
    body.update(renamed)
    return tuple(dropped)


def _message(message: Message, profile: Profile, wire: str) -> Message | Json:
    """Give what is encoded for a message: itself where its fields are the wire's own, else an object."""
    role = profile.system_role if message.role in {"system", "developer"} else message.role
    folded = message.name is not None and not profile.names and role != "function"
    plain = message.tool_calls is None and message.extra is None and message.opaque is None
    if plain and not folded and role == message.role:
        return message
    fields: Json = msgspec.to_builtins(
        msgspec.structs.replace(message, role=role, tool_calls=None, extra=None, opaque=None)
    )
    if message.tool_calls is not None:
        fields["tool_calls"] = [_call(call, wire) for call in message.tool_calls]
    if folded:
        _fold_name(fields)
    for kept in message.opaque or ():
        if kept.get("wire") == wire:
            _replay(dict_of(kept.get("data")), fields)
    return {**(message.extra or {}), **fields}


def _call(call: ToolCall, wire: str) -> Json:
    fields = call.to_wire()
    if call.type == "custom":
        fields["custom"] = {"name": call.function.name, "input": call.function.arguments}
        del fields["function"]
    elif not call.function.arguments:
        fields["function"]["arguments"] = "{}"
    if call.opaque is not None and call.opaque.get("wire") == wire:
        fields.update(dict_of(call.opaque.get("data")))
    return fields


def _fold_name(fields: Json) -> None:
    """Put the speaker's name into the text, for hosts that refuse `name`."""
    name = fields.pop("name")
    content = fields.get("content")
    if isinstance(content, str):
        fields["content"] = f"{name}: {content}"
    elif content:
        fields["content"] = [{"type": "text", "text": f"{name}:"}, *content]


def _replay(data: Json, fields: Json) -> None:
    """Hand back what an earlier answer kept for this wire: thinking, signatures, the id of its sound."""
    if details := dicts_of(data.get("reasoning_details")):
        fields["reasoning_details"] = _joined([*dicts_of(fields.get("reasoning_details")), *details])
    if extra := data.get("extra_content"):
        fields["extra_content"] = extra
    if sound := text_of(dict_of(data.get("audio")).get("id")):
        fields["audio"] = {"id": sound}


def _joined(details: list[Json]) -> list[Json]:
    """Join the streamed pieces of `reasoning_details` that belong together, by index and type."""
    whole: list[Json] = []
    for piece in details:
        last = whole[-1] if whole else {}
        if whole and all(last.get(key) == piece.get(key) for key in ("index", "type")) and "index" in piece:
            texts = {
                key: f"{last.get(key) or ''}{piece[key]}"
                for key in ("text", "summary", "data")
                if isinstance(piece.get(key), str)
            }
            whole[-1] = {**last, **{k: v for k, v in piece.items() if v is not None}, **texts}
        else:
            whole.append(piece)
    return whole
