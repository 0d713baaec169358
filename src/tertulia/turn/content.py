"""What a message holds. The shapes are those of OpenAI's Chat Completions, which is the canonical input."""

from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

Role = Literal["system", "developer", "user", "assistant", "tool", "function"]


class ImageUrl(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where an image is: an https URL or a `data:` URL."""

    url: str
    detail: str | None = None


class TextPart(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="type", tag="text"):
    """A stretch of text; `cache_control` is Anthropic's and is kept for it."""

    text: str
    cache_control: dict[str, Any] | None = None


class ImagePart(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="type", tag="image_url"):
    """An image."""

    image_url: ImageUrl
    cache_control: dict[str, Any] | None = None


class AudioPart(msgspec.Struct, frozen=True, tag_field="type", tag="input_audio"):
    """Sound: `{"data": base64, "format": "wav" | "mp3"}`."""

    input_audio: dict[str, Any]


class VideoPart(msgspec.Struct, frozen=True, tag_field="type", tag="video_url"):
    """A film, as several hosts take it."""

    video_url: dict[str, Any]


class FilePart(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="type", tag="file"):
    """A file: `{"file_data", "filename"}` or `{"file_id"}`."""

    file: dict[str, Any]
    cache_control: dict[str, Any] | None = None


class RefusalPart(msgspec.Struct, frozen=True, tag_field="type", tag="refusal"):
    """A refusal that an assistant gave earlier."""

    refusal: str


Part = TextPart | ImagePart | AudioPart | VideoPart | FilePart | RefusalPart


class Function(msgspec.Struct, frozen=True):
    """The function that a tool call names, with its arguments as JSON text."""

    name: str
    arguments: str = "{}"


class ToolCall(msgspec.Struct, frozen=True, omit_defaults=True):
    """A whole tool call, as it stands in a message."""

    id: str
    function: Function
    type: Literal["function", "custom"] = "function"
    opaque: dict[str, Any] | None = None  # replayed to the provider that it came from

    def to_wire(self) -> dict[str, Any]:
        """Give OpenAI's form of it, without what is ours."""
        function = {"name": self.function.name, "arguments": self.function.arguments}
        return {"id": self.id, "type": self.type, "function": function}


class Message(msgspec.Struct, frozen=True, omit_defaults=True):
    """One message of a prompt.

    `reasoning_content`, `reasoning` and `reasoning_details` are what hosts want back of an earlier answer's thinking;
    `opaque` is what the fold of an earlier answer kept for the wire that it came by; `extra` holds fields that this
    vocabulary does not know, for the provider.
    """

    role: Role
    content: str | list[Part] | UnsetType | None = UNSET
    name: str | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: str | None = None
    refusal: str | None = None
    audio: dict[str, Any] | None = None
    function_call: dict[str, Any] | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    reasoning_details: list[dict[str, Any]] | None = None
    prefix: bool | None = None
    extra: dict[str, Any] | None = None
    opaque: tuple[dict[str, Any], ...] | None = None

    def text(self) -> str:
        """Give the text of it, parts joined; an empty string where there is none."""
        if isinstance(self.content, str):
            return self.content
        if not self.content:
            return ""
        return "".join(part.text for part in self.content if isinstance(part, TextPart))

    def parts(self) -> list[Part]:
        """Give the content as parts, whichever form it came in."""
        if isinstance(self.content, str):
            return [TextPart(self.content)]
        return self.content or []
