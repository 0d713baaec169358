"""Write a request of this wire."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from tertulia.providers.dialects.anthropic.blocks import assistant_blocks, content_blocks, result_block
from tertulia.providers.dialects.conversation import PLACEHOLDER, Turn, add_blocks, is_instruction
from tertulia.providers.dialects.parameters import Draft, stop_sequences
from tertulia.providers.dialects.reading import Json, dict_of, dicts_of, text_of
from tertulia.providers.port import Encoded, Profile
from tertulia.turn.content import Message, TextPart
from tertulia.turn.request import Request

VERSION: Final = "2023-06-01"
"""The version that is asked for, kept here on purpose: later ones refuse sampling parameters."""

_encoder: Final = msgspec.json.Encoder()
_HEADERS: Final = {"content-type": "application/json", "anthropic-version": VERSION}
_LEAST_BUDGET: Final = 1024
_BUDGETS: Final = {"minimal": 1024, "low": 2048, "medium": 8192, "high": 16384, "xhigh": 32768, "max": 32768}
_EFFORTS: Final = {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "max", "max": "max"}


def encode(request: Request, model: str, profile: Profile) -> Encoded:
    """Write the request; parameters that this wire does not have, or the profile refuses, are left out and named.

    Raises `Invalid` for content that this wire cannot carry.
    """
    cap = request.max_tokens or profile.max_output
    body: Json = {"model": model, "max_tokens": cap, "messages": _messages(request.messages)}
    if system := _system(request.messages):
        body["system"] = system
    if request.stream:
        body["stream"] = True
    draft = Draft(request.parameters, profile)
    for name, write in _WRITERS.items():
        if (value := draft.take(name)) is not None:
            write(value, body, draft)
    _think(body, draft, profile)
    draft.copy_unknown(body)
    return Encoded("POST", "/v1/messages", _encoder.encode(body), _HEADERS, draft.dropped)


def _system(messages: tuple[Message, ...]) -> str | list[Json]:
    """Gather all instructions: one plain text where they are one, else blocks, so that cache marks stay."""
    parts = [part for message in messages if is_instruction(message) for part in message.parts()]
    blocks = content_blocks(parts)
    if len(blocks) == 1 and isinstance(parts[0], TextPart) and "cache_control" not in blocks[0]:
        return str(blocks[0].get("text", ""))
    return blocks


def _messages(messages: tuple[Message, ...]) -> list[Json]:
    turns: list[Turn] = []
    for message in messages:
        if message.role in {"tool", "function"}:
            add_blocks(turns, "user", [result_block(message)])
        elif message.role == "assistant":
            add_blocks(turns, "assistant", assistant_blocks(message))
        elif not is_instruction(message):
            add_blocks(turns, "user", _named(message, content_blocks(message.parts())))
    if not turns or turns[0].side == "assistant":
        turns.insert(0, Turn("user", [{"type": "text", "text": PLACEHOLDER}]))
    if turns[-1].side == "assistant":
        _trim(turns[-1].blocks)
    return [{"role": turn.side, "content": _results_first(turn.blocks)} for turn in turns]


def _named(message: Message, blocks: list[Json]) -> list[Json]:
    """Fold the speaker's name into his text, since this wire has no field for it."""
    if not message.name or not blocks:
        return blocks
    if blocks[0]["type"] == "text":
        return [{**blocks[0], "text": f"{message.name}: {blocks[0]['text']}"}, *blocks[1:]]
    return [{"type": "text", "text": f"{message.name}:"}, *blocks]


def _results_first(blocks: list[Json]) -> list[Json]:
    return sorted(blocks, key=lambda block: block["type"] != "tool_result")


def _trim(blocks: list[Json]) -> None:
    """Cut the white space that ends a prefilled answer; the wire refuses it."""
    if blocks[-1]["type"] == "text":
        blocks[-1] = {**blocks[-1], "text": blocks[-1]["text"].rstrip()}


def _write_stop(value: Any, body: Json, draft: Draft) -> None:
    del draft
    if words := [word for word in stop_sequences(value) if word.strip()]:
        body["stop_sequences"] = words


def _write_user(value: Any, body: Json, draft: Draft) -> None:
    del draft
    body["metadata"] = {"user_id": str(value)}


def _write_temperature(value: Any, body: Json, draft: Draft) -> None:
    del draft
    body["temperature"] = min(max(value, 0), 1) if isinstance(value, int | float) else value


def _write_tools(value: Any, body: Json, draft: Draft) -> None:
    del draft
    body["tools"] = [_tool(tool) for tool in dicts_of(value)]


def _write_functions(value: Any, body: Json, draft: Draft) -> None:
    _write_tools([{"type": "function", "function": item} for item in dicts_of(value)], body, draft)


def _tool(tool: Json) -> Json:
    """Write a function as this wire's tool; tools of its own kinds pass as they are."""
    function = tool.get("function")
    if not isinstance(function, dict):
        return tool
    fields = dict_of(function)
    written: Json = {"name": fields.get("name"), "input_schema": fields.get("parameters") or {"type": "object"}}
    if description := text_of(fields.get("description")):
        written["description"] = description
    return {**written, **{name: tool[name] for name in ("cache_control",) if name in tool}}


def _write_choice(value: Any, body: Json, draft: Draft) -> None:
    choice = _choice(value)
    if draft.take("parallel_tool_calls") is False and choice["type"] != "none":
        choice["disable_parallel_tool_use"] = True
    body["tool_choice"] = choice


def _write_parallel(value: Any, body: Json, draft: Draft) -> None:
    del draft
    if value is False and body.get("tools"):
        body["tool_choice"] = {"type": "auto", "disable_parallel_tool_use": True}


def _choice(value: Any) -> Json:
    if isinstance(value, str):
        return {"type": {"required": "any", "none": "none", "any": "any"}.get(value, "auto")}
    fields = dict_of(value)
    name = dict_of(fields.get("function")).get("name") or fields.get("name")
    return {"type": "tool", "name": name} if name else {"type": str(fields.get("type", "auto"))}


def _write_format(value: Any, body: Json, draft: Draft) -> None:
    """Ask for a schema; this wire has no JSON without one."""
    fields = dict_of(value)
    schema = dict_of(fields.get("json_schema")).get("schema")
    if fields.get("type") == "json_schema" and isinstance(schema, dict):
        config = dict_of(body.get("output_config"))
        body["output_config"] = {**config, "format": {"type": "json_schema", "schema": schema}}
    elif fields.get("type") == "json_object":
        draft.drop("response_format")


def _write_n(value: Any, body: Json, draft: Draft) -> None:
    del body
    if value != 1:
        draft.drop("n")


def _think(body: Json, draft: Draft, profile: Profile) -> None:
    """Ask for thought, unless the request says it in this wire's own words (`thinking`)."""
    effort = text_of(draft.take("reasoning_effort"))
    if "thinking" in draft.parameters:
        return
    if effort == "none":
        body["thinking"] = {"type": "disabled"}
    elif effort in _EFFORTS and profile.thinking == "effort":
        body["thinking"] = {"type": "adaptive"}
        body["output_config"] = {**dict_of(body.get("output_config")), "effort": _EFFORTS[effort]}
    elif effort in _BUDGETS and body["max_tokens"] > _LEAST_BUDGET:
        body["thinking"] = {"type": "enabled", "budget_tokens": min(_BUDGETS[effort], body["max_tokens"] - 1)}
        _calm(body, draft)
    elif effort is not None:
        draft.drop("reasoning_effort")


def _calm(body: Json, draft: Draft) -> None:
    """Leave out the sampling that budgeted thinking refuses."""
    if body.pop("temperature", None) is not None:
        draft.drop("temperature")
    if draft.take("top_k") is not None:
        draft.drop("top_k")
    top_p = draft.take("top_p")
    if isinstance(top_p, int | float):
        body["top_p"] = min(max(top_p, 0.95), 1)


_WRITERS: Final[Mapping[str, Callable[[Any, Json, Draft], None]]] = {
    "stop": _write_stop,
    "user": _write_user,
    "safety_identifier": _write_user,
    "temperature": _write_temperature,
    "functions": _write_functions,
    "tools": _write_tools,
    "function_call": _write_choice,
    "tool_choice": _write_choice,
    "parallel_tool_calls": _write_parallel,
    "response_format": _write_format,
    "n": _write_n,
}
"""How each parameter of OpenAI's is written here, in the order in which they build on each other."""
