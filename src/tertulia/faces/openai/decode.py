"""The body of POST /v1/chat/completions, read and checked (HTTP contract, OpenAI face)."""

import re
from typing import Any, Final, Literal, cast

import msgspec
from msgspec import UNSET, UnsetType

from tertulia.kernel.errors import Invalid
from tertulia.turn.request import Request
from tertulia.wire.document import read_unbounded, require_depth
from tertulia.wire.messages import read_messages
from tertulia.wire.parameters import PARAMETERS, UNRULED, split_tools
from tertulia.wire.rules import (
    Json,
    Rule,
    boolean,
    integer,
    kind_of,
    listed,
    obj,
    one_of,
    one_spelling,
    refuse,
    text,
    twins,
    uuid,
)
from tertulia.wire.sizes import Sizes

Priority = Literal["low", "normal", "high", "critical"]

_MAX_IDS: Final = 100
_MAX_FALLBACKS: Final = 16
_NAME: Final = 255
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def _one_line(most: int) -> Rule:
    """Take a name that goes into headers, logs and addresses: without control characters."""
    rule = text(most, least=1)

    def check(path: str, value: Any) -> str:
        name: str = rule(path, value)
        if _CONTROL.search(name):
            refuse(path, "must not contain control characters. Remove them.")
        return name

    return check


_model: Final = _one_line(512)
_name: Final = _one_line(_NAME)
_ids: Final = listed(uuid, _MAX_IDS)

_OPTIONS: Final[dict[str, Rule]] = {
    "api_provider": _name,
    "character_id": uuid,
    "conversation_id": uuid,
    "dictionary_ids": _ids,
    "fallbacks": listed(_model, _MAX_FALLBACKS),
    "history_message_limit": integer(1, 500),
    "model": _model,
    "on_disconnect": one_of("continue", "cancel"),
    "parent_message_id": uuid,
    "priority": one_of("low", "normal", "high", "critical"),
    "prompt_template_name": _name,
    "save_to_db": boolean,
    "store": boolean,
    "stream": boolean,
    "strict_params": boolean,
    "user_name": _name,
    "world_book_ids": _ids,
}
"""Fields of ours, and OpenAI's that are for us: none of them reaches a provider."""

_APART: Final = frozenset({"messages", "stream_options", "tools"})
_SPELLINGS: Final = twins({*PARAMETERS, *UNRULED, *_OPTIONS, *_APART})


class ChatRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for. Ids are sixteen bytes.

    `model` None: the default model. `save` None: as the server is set up. `parent_message_id`: UNSET goes under the
    active leaf, None begins a second root. `dictionary_ids` and `world_book_ids`: None leaves it to character and chat,
    an empty tuple means none at all. `server_tools` are the names among `tools`.
    """

    request: Request
    model: str | None = None
    include_usage: bool = False
    character_id: bytes | None = None
    conversation_id: bytes | None = None
    parent_message_id: bytes | UnsetType | None = UNSET
    save: bool | None = None
    prompt_template_name: str | None = None
    priority: Priority = "normal"
    dictionary_ids: tuple[bytes, ...] | None = None
    world_book_ids: tuple[bytes, ...] | None = None
    api_provider: str | None = None
    fallbacks: tuple[str, ...] = ()
    user_name: str | None = None
    on_disconnect: Literal["continue", "cancel"] | None = None
    strict_params: bool = False
    history_message_limit: int | None = None
    server_tools: tuple[str, ...] = ()

    @property
    def stream(self) -> bool:
        """Whether the answer is to come as a stream."""
        return self.request.stream


def decode_chat(body: bytes, sizes: Sizes) -> ChatRequest:
    """Read a body.

    Raises `MalformedJson`, `Invalid` with the path of what is wrong, and `AttachmentTooLarge`.
    """
    document = read_unbounded(body, sizes.max_json_depth)
    if type(document) is not dict:
        raise Invalid(f"The body must be a JSON object, not {kind_of(document)}.")
    fields = one_spelling(cast("Json", document), _SPELLINGS)
    options: Json = {}
    parameters: Json = {}
    for name, value in fields.items():
        if (type(value) is dict or type(value) is list) and name != "messages":  # whose depth `read_messages` checks
            require_depth(value, sizes.max_json_depth, above=1)
        if (rule := _OPTIONS.get(name)) is not None:
            if value is not None or name == "parent_message_id":
                options[name] = None if value is None else rule(name, value)
        elif name in _APART:
            pass
        elif (rule := PARAMETERS.get(name)) is None:
            parameters[name] = value
        elif value is not None:
            parameters[name] = rule(name, value)
    messages = read_messages(fields.get("messages"), sizes)
    stream: bool = options.pop("stream", False)
    if "tools" in fields:
        _take_tools(fields["tools"], parameters, options, sizes)
    if "stream_options" in fields:
        options["include_usage"] = _include_usage(fields["stream_options"], stream=stream)
    _settle(options, has_messages=bool(messages))
    return ChatRequest(request=Request(messages, parameters, stream), **options)


def _take_tools(value: Any, parameters: Json, options: Json, sizes: Sizes) -> None:
    if value is None:
        return
    own, options["server_tools"] = split_tools(value, sizes.max_tools)
    if own:
        parameters["tools"] = own


def _include_usage(value: Any, *, stream: bool) -> bool:
    if value is None:
        return False
    if not stream:
        refuse("stream_options", "is only for `stream: true`. Leave it out, or stream.")
    fields = one_spelling(obj("stream_options", value), {"includeUsage": "include_usage"}, "stream_options.")
    asked = fields.get("include_usage")
    return asked is not None and boolean("stream_options.include_usage", asked)


def _settle(options: Json, *, has_messages: bool) -> None:
    """Bring options that hang together into line."""
    kept = {options.pop(name) for name in ("save_to_db", "store") if name in options}
    if len(kept) > 1:
        refuse("store", "and `save_to_db` are the same field with different values. Send one of them.")
    if kept:
        options["save"] = kept.pop()
    if "conversation_id" not in options:
        if options.get("parent_message_id") is not None:
            refuse("parent_message_id", "needs `conversation_id`: the conversation that the message is in.")
        if not has_messages:
            refuse("messages", "must not be empty. Send at least one message.")
