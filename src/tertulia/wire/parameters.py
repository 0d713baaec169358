"""The parameters of a Chat Completions request: OpenAI's, checked for form; ranges are OpenAI's own."""

from typing import Any, Final, cast

from tertulia.wire.rules import (
    Json,
    Rule,
    boolean,
    integer,
    kind_of,
    listed,
    number,
    obj,
    one_of,
    refuse,
    text,
)

MAX_CHOICES: Final = 8
MAX_STOPS: Final = 64  # OpenAI takes 4, others many: what a provider does not take, its adapter says
_INT64: Final = (1 << 63) - 1
_NAME: Final = 256
_WORD: Final = 64
_USER: Final = 512
_stops: Final = listed(text(_NAME), MAX_STOPS)


def _stop(path: str, value: Any) -> Any:
    if type(value) is str:
        return text(_NAME)(path, value)
    if type(value) is not list:
        refuse(path, f"must be a text or a list of texts, not {kind_of(value)}.")
    return list(_stops(path, value))


def _response_format(path: str, value: Any) -> Json:
    fields = obj(path, value)
    kind = text(_WORD, least=1)(f"{path}.type", fields.get("type"))
    if kind == "json_schema":
        obj(f"{path}.json_schema", fields.get("json_schema"))
    return fields


def _tool_choice(path: str, value: Any) -> Any:
    if type(value) is str:
        return one_of("none", "auto", "required", "any")(path, value)
    fields = obj(path, value)
    kind = text(_WORD, least=1)(f"{path}.type", fields.get("type"))
    if kind == "function":
        named = obj(f"{path}.function", fields.get("function"))
        text(_NAME, least=1)(f"{path}.function.name", named.get("name"))
    return fields


def _function_call(path: str, value: Any) -> Any:
    if type(value) is str:
        return one_of("none", "auto")(path, value)
    text(_NAME, least=1)(f"{path}.name", obj(path, value).get("name"))
    return value


def _functions(path: str, value: Any) -> list[Any]:
    return [_function(at, each) for at, each in _entries(path, value)]


def _function(path: str, value: Any) -> Json:
    fields = obj(path, value)
    text(_NAME, least=1)(f"{path}.name", fields.get("name"))
    if fields.get("parameters") is not None:
        obj(f"{path}.parameters", fields["parameters"])
    return fields


def _logit_bias(path: str, value: Any) -> Json:
    fields = obj(path, value)
    for token, bias in fields.items():
        number(-100, 100)(f"{path}.{token[:_WORD]}", bias)
    return fields


PARAMETERS: Final[dict[str, Rule]] = {
    "audio": obj,
    "frequency_penalty": number(-2, 2),
    "function_call": _function_call,
    "functions": _functions,
    "logit_bias": _logit_bias,
    "logprobs": boolean,
    "max_completion_tokens": integer(1, _INT64),
    "max_tokens": integer(1, _INT64),
    "metadata": obj,
    "min_p": number(0, 1),
    "modalities": lambda path, value: list(listed(text(_WORD), 8)(path, value)),
    "n": integer(1, MAX_CHOICES),
    "parallel_tool_calls": boolean,
    "prediction": obj,
    "presence_penalty": number(-2, 2),
    "prompt_cache_key": text(_USER),
    "reasoning_effort": text(_WORD),
    "repetition_penalty": number(0, 10),
    "response_format": _response_format,
    "safety_identifier": text(_USER),
    "seed": integer(-_INT64 - 1, _INT64),
    "service_tier": text(_WORD),
    "stop": _stop,
    "temperature": number(0, 2),
    "tool_choice": _tool_choice,
    "top_k": integer(-1, _INT64),
    "top_logprobs": integer(0, 20),
    "top_p": number(0, 1),
    "user": text(_USER),
    "verbosity": text(_WORD),
    "web_search_options": obj,
}
"""Rules by name; `null` means that it is left out. Other names go to the provider as they are."""

UNRULED: Final = frozenset(
    {"max_output_tokens", "min_tokens", "prompt_cache_options", "prompt_cache_retention", "top_a"}
)
"""Names that are known by both spellings too, and have no rule."""


def split_tools(value: Any, most: int) -> tuple[list[Json], tuple[str, ...]]:
    """Tell the tools that the caller runs from the server's, which are named by a text.

    Raises `Invalid` at `tools`.
    """
    own: list[Json] = []
    named: list[str] = []
    entries = _entries("tools", value)
    if len(entries) > most:
        refuse("tools", f"must have at most {most} tools; there are {len(entries)}.")
    for path, entry in entries:
        if type(entry) is str:
            named.append(text(_WORD, least=1)(path, entry))
        else:
            own.append(_tool(path, entry))
    return own, tuple(dict.fromkeys(named))


def _tool(path: str, value: Any) -> Json:
    if type(value) is not dict:
        refuse(path, f"must be a tool object, or the name of a server tool, not {kind_of(value)}.")
    fields = cast("Json", value)
    kind = text(_WORD, least=1)(f"{path}.type", fields.get("type"))
    if kind == "function":
        _function(f"{path}.function", fields.get("function"))
    return fields


def _entries(path: str, value: Any) -> list[tuple[str, Any]]:
    if type(value) is not list:
        refuse(path, f"must be a list, not {kind_of(value)}.")
    return [(f"{path}.{n}", each) for n, each in enumerate(cast("list[Any]", value))]
