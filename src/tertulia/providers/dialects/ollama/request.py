"""Write a request of this wire."""

from typing import Any, Final

import msgspec

from tertulia.kernel.errors import Invalid
from tertulia.providers.dialects.conversation import argument_object, calls_of
from tertulia.providers.dialects.data_url import read_data_url
from tertulia.providers.dialects.parameters import Draft, stop_sequences
from tertulia.providers.dialects.reading import Json, dict_of, text_of
from tertulia.providers.port import Encoded, Profile
from tertulia.turn.content import ImagePart, Message, RefusalPart, TextPart
from tertulia.turn.request import Request

_encoder: Final = msgspec.json.Encoder()
_HEADERS: Final = {"content-type": "application/json"}
_OPTIONS: Final = {
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "min_p": "min_p",
    "typical_p": "typical_p",
    "seed": "seed",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
    "repeat_penalty": "repeat_penalty",
    "repetition_penalty": "repeat_penalty",
    "repeat_last_n": "repeat_last_n",
    "num_ctx": "num_ctx",
    "num_keep": "num_keep",
}
"""Parameters that go into `options`, by their names there."""

_TOP: Final = ("logprobs", "top_logprobs", "keep_alive", "think", "format", "template", "truncate", "shift")
"""Parameters that this wire has beside `options`."""

_EFFORTS: Final = {"none": False, "minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "high"}


def encode(request: Request, model: str, profile: Profile) -> Encoded:
    """Write the request; parameters that this wire does not have, or the profile refuses, are left out and named.

    Raises `Invalid` for content that this wire cannot carry.
    """
    draft = Draft(request.parameters, profile)
    names: dict[str, str] = {}
    body: Json = {"model": model, "stream": request.stream}
    body["messages"] = [_message(message, names) for message in request.messages]
    options = _options(request, draft)
    _tools(body, draft)
    _format(body, draft)
    effort = text_of(draft.take("reasoning_effort"))
    if effort in _EFFORTS:
        body["think"] = _EFFORTS[effort]
    elif effort is not None:
        draft.drop("reasoning_effort")
    for name in _TOP:
        if (value := draft.take(name)) is not None:
            body[name] = value
    if (n := draft.take("n")) is not None and n != 1:
        draft.drop("n")
    draft.copy_unknown(options)
    if options:
        body["options"] = options
    return Encoded("POST", "/api/chat", _encoder.encode(body), _HEADERS, draft.dropped)


def _options(request: Request, draft: Draft) -> Json:
    options: Json = dict(dict_of(draft.take("options")))
    if request.max_tokens is not None:
        options["num_predict"] = request.max_tokens
    if words := stop_sequences(draft.take("stop")):
        options["stop"] = words
    for name, target in _OPTIONS.items():
        if (value := draft.take(name)) is not None:
            options[target] = value
    return options


def _tools(body: Json, draft: Draft) -> None:
    """Pass the tools on; this wire does not obey a choice, so "none" leaves them out and a forced one is named."""
    tools, choice = draft.take("tools"), draft.take("tool_choice")
    if not isinstance(choice, str | None) or choice not in {None, "auto", "none"}:
        draft.drop("tool_choice")
    if tools and choice != "none":
        body["tools"] = tools


def _format(body: Json, draft: Draft) -> None:
    fields = dict_of(draft.take("response_format"))
    if fields.get("type") == "json_object":
        body["format"] = "json"
    elif schema := dict_of(fields.get("json_schema")).get("schema"):
        body["format"] = schema


def _message(message: Message, names: dict[str, str]) -> Json:
    """Write a message; `names` learns which function each call's id belongs to."""
    role = {"developer": "system", "function": "tool"}.get(message.role, message.role)
    text, images = _content(message)
    fields: Json = {"role": role, "content": text}
    if message.name and role == "user":
        fields["content"] = f"{message.name}: {text}"
    if images:
        fields["images"] = images
    if thinking := message.reasoning_content or message.reasoning:
        fields["thinking"] = thinking
    if calls := calls_of(message):
        names |= {call.id: call.function.name for call in calls}
        fields["tool_calls"] = [_call(call.function.name, call.function.arguments) for call in calls]
    if role == "tool":
        fields["tool_name"] = names.get(message.tool_call_id or "") or message.name or ""
    return fields


def _call(name: str, arguments: str) -> Json:
    return {"function": {"name": name, "arguments": argument_object(arguments)}}


def _content(message: Message) -> tuple[str, list[str]]:
    texts, images = list[str](), list[str]()
    for part in message.parts():
        match part:
            case TextPart():
                texts.append(part.text)
            case RefusalPart():
                texts.append(part.refusal)
            case ImagePart():
                images.append(_image(part.image_url.url))
            case _:
                raise Invalid("This model's provider takes text and images, but no sound, no film and no files.")
    return "".join(texts), images


def _image(url: str) -> Any:
    data = read_data_url(url)
    if data is None:
        raise Invalid("This model's provider takes images as data URLs, not by their address.")
    return data.base64
