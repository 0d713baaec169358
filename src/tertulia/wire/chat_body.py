"""The body of a Chat Completions request as it is documented: every field that is known, by its snake_case name."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

Json = dict[str, Any]
Id = Annotated[str, Meta(pattern="^[0-9a-fA-F-]{36}$", description="A UUID.")]
Penalty = Annotated[float, Meta(ge=-2, le=2)]
Tokens = Annotated[int, Meta(ge=1)]
Tool = Json | Annotated[str, Meta(description="A server tool: `url-context`, `image-generation`.")]


class StreamOptions(msgspec.Struct, frozen=True):
    """Options of `stream: true`."""

    include_usage: bool = False


class ChatBody(msgspec.Struct, frozen=True, kw_only=True):
    """A request. Fields that are not named here go to the provider as they are; `null` means left out.

    Every name of several words is also taken in camelCase. It is read by hand (`decode_chat`), for speed and for errors
    that name the place; this is what the documentation shows.
    """

    messages: list[Json]
    model: Annotated[str, Meta(min_length=1, max_length=512)] | UnsetType = UNSET
    stream: bool = False
    stream_options: StreamOptions | UnsetType = UNSET
    temperature: Annotated[float, Meta(ge=0, le=2)] | UnsetType = UNSET
    top_p: Annotated[float, Meta(ge=0, le=1)] | UnsetType = UNSET
    top_k: Annotated[int, Meta(ge=-1)] | UnsetType = UNSET
    min_p: Annotated[float, Meta(ge=0, le=1)] | UnsetType = UNSET
    n: Annotated[int, Meta(ge=1, le=8)] = 1
    max_tokens: Tokens | UnsetType = UNSET
    max_completion_tokens: Tokens | UnsetType = UNSET
    stop: str | list[str] | UnsetType = UNSET
    seed: int | UnsetType = UNSET
    presence_penalty: Penalty | UnsetType = UNSET
    frequency_penalty: Penalty | UnsetType = UNSET
    repetition_penalty: Annotated[float, Meta(ge=0, le=10)] | UnsetType = UNSET
    logit_bias: dict[str, Annotated[float, Meta(ge=-100, le=100)]] | UnsetType = UNSET
    logprobs: bool | UnsetType = UNSET
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | UnsetType = UNSET
    tools: list[Tool] | UnsetType = UNSET
    tool_choice: str | Json | UnsetType = UNSET
    parallel_tool_calls: bool | UnsetType = UNSET
    functions: list[Json] | UnsetType = UNSET
    function_call: str | Json | UnsetType = UNSET
    response_format: Json | UnsetType = UNSET
    reasoning_effort: str | UnsetType = UNSET
    verbosity: str | UnsetType = UNSET
    modalities: list[str] | UnsetType = UNSET
    audio: Json | UnsetType = UNSET
    prediction: Json | UnsetType = UNSET
    web_search_options: Json | UnsetType = UNSET
    metadata: Json | UnsetType = UNSET
    service_tier: str | UnsetType = UNSET
    prompt_cache_key: str | UnsetType = UNSET
    safety_identifier: str | UnsetType = UNSET
    user: str | UnsetType = UNSET
    character_id: Id | UnsetType = UNSET
    conversation_id: Id | UnsetType = UNSET
    parent_message_id: Id | UnsetType | None = UNSET
    save_to_db: bool | UnsetType = UNSET
    store: bool | UnsetType = UNSET
    prompt_template_name: str | UnsetType = UNSET
    priority: Literal["low", "normal", "high", "critical"] = "normal"
    dictionary_ids: list[Id] | UnsetType = UNSET
    world_book_ids: list[Id] | UnsetType = UNSET
    api_provider: str | UnsetType = UNSET
    fallbacks: list[str] | UnsetType = UNSET
    user_name: str | UnsetType = UNSET
    on_disconnect: Literal["continue", "cancel"] | UnsetType = UNSET
    strict_params: bool = False
    history_message_limit: Annotated[int, Meta(ge=1, le=500)] | UnsetType = UNSET
