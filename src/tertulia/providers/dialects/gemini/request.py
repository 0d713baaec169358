"""Write a request of this wire."""

from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import quote

import msgspec

from tertulia.providers.dialects.conversation import PLACEHOLDER, Turn, add_blocks, is_instruction
from tertulia.providers.dialects.gemini.parts import assistant_parts, content_parts, result_part
from tertulia.providers.dialects.parameters import Draft, stop_sequences
from tertulia.providers.dialects.reading import Json, dict_of, dicts_of, list_of, text_of
from tertulia.providers.port import Encoded, Profile
from tertulia.turn.content import Message
from tertulia.turn.request import Request

_encoder: Final = msgspec.json.Encoder()
_HEADERS: Final = {"content-type": "application/json"}
_MOST_STOPS: Final = 5
_BUDGETS: Final = {"none": 0, "minimal": 512, "low": 1024, "medium": 8192, "high": 24576, "xhigh": 24576}
_LEVELS: Final = {
    "none": "minimal",
    "minimal": "minimal",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "high",
}
_CONFIG: Final = {
    "temperature": "temperature",
    "top_p": "topP",
    "top_k": "topK",
    "seed": "seed",
    "presence_penalty": "presencePenalty",
    "frequency_penalty": "frequencyPenalty",
    "logprobs": "responseLogprobs",
    "top_logprobs": "logprobs",
}
"""Parameters that only change their name and their place."""

_MODES: Final = {"auto": "AUTO", "none": "NONE", "required": "ANY", "any": "ANY"}


def encode(request: Request, model: str, profile: Profile) -> Encoded:
    """Write the request; parameters that this wire does not have, or the profile refuses, are left out and named.

    Raises `Invalid` for content that this wire cannot carry.
    """
    draft = Draft(request.parameters, profile)
    body: Json = {"contents": _contents(request.messages)}
    instructions = [part for message in request.messages if is_instruction(message) for part in message.parts()]
    if parts := content_parts(instructions):
        body["systemInstruction"] = {"parts": parts}
    config: Json = {} if request.max_tokens is None else {"maxOutputTokens": request.max_tokens}
    for name, target in _CONFIG.items():
        if (value := draft.take(name)) is not None:
            config[target] = value
    for name, write in _WRITERS.items():
        if (value := draft.take(name)) is not None:
            write(value, body, config, draft)
    _think(config, draft, profile)
    config |= dict_of(draft.take("generationConfig"))
    if config:
        body["generationConfig"] = config
    draft.copy_unknown(body)
    return Encoded("POST", _path(model, stream=request.stream), _encoder.encode(body), _HEADERS, draft.dropped)


def _path(model: str, *, stream: bool) -> str:
    name = model if "/" in model else f"models/{model}"
    act = ":streamGenerateContent?alt=sse" if stream else ":generateContent"
    return f"/v1beta/{quote(name, safe='/-._~@')}{act}"


def _contents(messages: tuple[Message, ...]) -> list[Json]:
    turns: list[Turn] = []
    names: dict[str, str] = {}
    for message in messages:
        if message.role in {"tool", "function"}:
            add_blocks(turns, "user", [result_part(message, names)])
        elif message.role == "assistant":
            names |= {call.id: call.function.name for call in message.tool_calls or ()}
            add_blocks(turns, "assistant", assistant_parts(message))
        elif not is_instruction(message):
            add_blocks(turns, "user", _named(message, content_parts(message.parts())))
    if not turns or turns[0].side == "assistant":
        turns.insert(0, Turn("user", [{"text": PLACEHOLDER}]))
    return [{"role": "user" if turn.side == "user" else "model", "parts": turn.blocks} for turn in turns]


def _named(message: Message, parts: list[Json]) -> list[Json]:
    """Fold the speaker's name into his text, since this wire has no field for it."""
    if not message.name or not parts:
        return parts
    if "text" in parts[0]:
        return [{**parts[0], "text": f"{message.name}: {parts[0]['text']}"}, *parts[1:]]
    return [{"text": f"{message.name}:"}, *parts]


def _write_stop(value: Any, body: Json, config: Json, draft: Draft) -> None:
    del body
    words = stop_sequences(value)
    if len(words) > _MOST_STOPS:
        draft.drop("stop")
    if words:
        config["stopSequences"] = words[:_MOST_STOPS]


def _write_n(value: Any, body: Json, config: Json, draft: Draft) -> None:
    del body, draft
    if value != 1:
        config["candidateCount"] = value


def _write_modalities(value: Any, body: Json, config: Json, draft: Draft) -> None:
    del body, draft
    config["responseModalities"] = [str(item).upper() for item in list_of(value)]


def _write_tools(value: Any, body: Json, config: Json, draft: Draft) -> None:
    """Write functions as one list of declarations; tools of this wire's own kinds pass as they are."""
    del config, draft
    declared = [_declaration(dict_of(tool["function"])) for tool in dicts_of(value) if "function" in tool]
    own = [tool for tool in dicts_of(value) if "function" not in tool]
    body["tools"] = [*([{"functionDeclarations": declared}] if declared else []), *own]


def _write_functions(value: Any, body: Json, config: Json, draft: Draft) -> None:
    _write_tools([{"function": item} for item in dicts_of(value)], body, config, draft)


def _declaration(function: Json) -> Json:
    """Write a function; its parameters stay JSON Schema, in the field that takes all of it."""
    written: Json = {"name": function.get("name")}
    if description := text_of(function.get("description")):
        written["description"] = description
    if parameters := function.get("parameters"):
        written["parametersJsonSchema"] = parameters
    return written


def _write_choice(value: Any, body: Json, config: Json, draft: Draft) -> None:
    del config, draft
    fields = dict_of(value)
    name = dict_of(fields.get("function")).get("name") or fields.get("name")
    if name:
        mode: Json = {"mode": "ANY", "allowedFunctionNames": [name]}
    else:
        mode = {"mode": _MODES.get(str(value), "AUTO")}
    body["toolConfig"] = {"functionCallingConfig": mode}


def _write_format(value: Any, body: Json, config: Json, draft: Draft) -> None:
    del body, draft
    fields = dict_of(value)
    if fields.get("type") in {"json_object", "json_schema"}:
        config["responseMimeType"] = "application/json"
    if schema := dict_of(fields.get("json_schema")).get("schema"):
        config["responseJsonSchema"] = schema


def _think(config: Json, draft: Draft, profile: Profile) -> None:
    """Ask for thought and to see its summary, unless the request has a `thinkingConfig` of its own."""
    effort = text_of(draft.take("reasoning_effort"))
    if effort is None or "thinkingConfig" in dict_of(draft.parameters.get("generationConfig")):
        return
    if effort not in _LEVELS:
        draft.drop("reasoning_effort")
        return
    depth: Json = (
        {"thinkingBudget": _BUDGETS[effort]} if profile.thinking == "budget" else {"thinkingLevel": _LEVELS[effort]}
    )
    config["thinkingConfig"] = {**depth, "includeThoughts": effort != "none"}


_WRITERS: Final[Mapping[str, Callable[[Any, Json, Json, Draft], None]]] = {
    "stop": _write_stop,
    "n": _write_n,
    "modalities": _write_modalities,
    "functions": _write_functions,
    "tools": _write_tools,
    "function_call": _write_choice,
    "tool_choice": _write_choice,
    "response_format": _write_format,
}
"""How each parameter of OpenAI's is written here, in the order in which they build on each other."""
