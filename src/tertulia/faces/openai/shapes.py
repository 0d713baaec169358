"""The shapes of this face, for its description and its lists. What a body may hold is checked in `decode`."""

from typing import Any, Literal

import msgspec

from tertulia.turn.content import Message


class ChatBody(msgspec.Struct, frozen=True, kw_only=True):
    """The body of a chat completion: OpenAI's fields, those of ours, and any other for the provider.

    Fields of several words may also be written in camelCase.
    """

    messages: list[Message]
    model: str | None = None
    stream: bool = False
    stream_options: dict[str, Any] | None = None
    temperature: float | None = None
    top_p: float | None = None
    n: int = 1
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    stop: str | list[str] | None = None
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    response_format: dict[str, Any] | None = None
    reasoning_effort: str | None = None
    save_to_db: bool | None = None
    store: bool | None = None
    api_provider: str | None = None
    fallbacks: list[str] | None = None
    on_disconnect: Literal["continue", "cancel"] | None = None
    priority: Literal["low", "normal", "high", "critical"] = "normal"
    strict_params: bool = False


class ModelObject(msgspec.Struct, frozen=True, kw_only=True):
    """One model of the list; `created` is in seconds since 1970."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str


class ModelList(msgspec.Struct, frozen=True, kw_only=True):
    """All models that the caller may use, aliases included."""

    object: Literal["list"] = "list"
    data: list[ModelObject]
