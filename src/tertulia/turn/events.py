"""Everything that can happen in a generation: a closed set of kinds (Design notes, 1).

A log is a list of these. An entry's number is `epoch << 32 | n`: `n` counts from 1, and the epoch rises when another
process takes the generation over. The first entry is always `Started`, the last of an ended generation `Ended`.
"""

from typing import Any, Literal

import msgspec

from tertulia.turn.usage import Usage

FinishReason = Literal["stop", "length", "tool_calls", "content_filter", "error"]
Outcome = Literal["completed", "cancelled", "interrupted", "failed"]


class Started(msgspec.Struct, frozen=True, omit_defaults=True, array_like=True, tag="s"):
    """The generation exists, and what the user wrote is stored where it is to be stored.

    Ids are in their text form. `text` is what a continued answer goes on from. `user_message` and
    `assistant_message` are the two whole messages as the sessions face shows them.
    """

    generation_id: str
    model: str
    created_at: int
    conversation_id: str | None = None
    message_id: str | None = None
    user_message_id: str | None = None
    message_ids: tuple[str, ...] = ()
    text: str = ""
    user_message: dict[str, Any] | None = None
    assistant_message: dict[str, Any] | None = None
    request_id: str = ""


class Queued(msgspec.Struct, frozen=True, array_like=True, tag="q"):
    """It waits for a place at its provider; `position` counts from 1, the estimate is in milliseconds."""

    position: int
    estimated_wait_ms: int


class Attempt(msgspec.Struct, frozen=True, omit_defaults=True, array_like=True, tag="a"):
    """A provider was tried: `answering` from its first event on, `failed` when given up for another."""

    provider: str
    model: str
    status: Literal["answering", "failed"]
    started_at: int
    first_token_ms: int | None = None
    code: str | None = None


class Text(msgspec.Struct, frozen=True, omit_defaults=True, array_like=True, tag="t"):
    """A piece of the answer's text.

    `part` tells content parts of one choice apart where a wire has several (Anthropic's blocks); it grows through the
    choice over all kinds. `opaque` must be replayed to the provider as it came.
    """

    text: str
    choice: int = 0
    part: int = 0
    logprobs: Any = None
    opaque: dict[str, Any] | None = None


class Reasoning(msgspec.Struct, frozen=True, omit_defaults=True, array_like=True, tag="r"):
    """A piece of thinking; a signature or an encrypted block comes as `opaque`, perhaps without text."""

    text: str
    choice: int = 0
    part: int = 0
    opaque: dict[str, Any] | None = None


class ToolCallDelta(msgspec.Struct, frozen=True, omit_defaults=True, array_like=True, tag="c"):
    """A fragment of a tool call; `index` is its place among the choice's calls, `arguments` a piece of JSON text."""

    index: int
    id: str | None = None
    name: str | None = None
    arguments: str = ""
    choice: int = 0
    part: int = 0
    kind: Literal["function", "custom"] = "function"
    opaque: dict[str, Any] | None = None


class Image(msgspec.Struct, frozen=True, omit_defaults=True, array_like=True, tag="i"):
    """An image that the model made, by `data:` URL or `/api/files/…`."""

    url: str
    choice: int = 0
    part: int = 0
    opaque: dict[str, Any] | None = None


class Refusal(msgspec.Struct, frozen=True, omit_defaults=True, array_like=True, tag="f"):
    """A piece of a refusal."""

    text: str
    choice: int = 0
    part: int = 0


class Citation(msgspec.Struct, frozen=True, omit_defaults=True, array_like=True, tag="n"):
    """A source of the text of the same part.

    `wire` names whose form `data` has: `openai` (an annotation), `anthropic` (a citation), `gemini` (grounding).
    """

    data: dict[str, Any]
    wire: str
    choice: int = 0
    part: int = 0


class Opaque(msgspec.Struct, frozen=True, omit_defaults=True, array_like=True, tag="o"):
    """Something of a provider that no other kind holds and that must be shown or replayed in that wire's form."""

    data: dict[str, Any]
    wire: str
    choice: int = 0
    part: int = 0


class UsageSeen(msgspec.Struct, frozen=True, array_like=True, tag="u"):
    """The provider's count so far; a later one replaces it."""

    usage: Usage


class Finish(msgspec.Struct, frozen=True, omit_defaults=True):
    """How one choice ended; `native` is the provider's own word, `stop_sequence` the text that ended it."""

    reason: FinishReason
    choice: int = 0
    native: str | None = None
    stop_sequence: str | None = None


class Fault(msgspec.Struct, frozen=True, omit_defaults=True):
    """What went wrong, safe to show: a code of the HTTP contract and a sentence."""

    code: str
    message: str
    details: dict[str, Any] | None = None


class Ended(msgspec.Struct, frozen=True, omit_defaults=True, array_like=True, tag="e"):
    """The end: exactly one, always, after everything about it is stored.

    `credits` is what was charged, a decimal string, where credits are charged.
    """

    outcome: Outcome
    finishes: tuple[Finish, ...] = ()
    usage: Usage | None = None
    fault: Fault | None = None
    ended_at: int = 0
    provider: str | None = None
    model: str | None = None
    first_token_ms: int | None = None
    credits: str | None = None
    partial: bool = False  # something of the answer had come before it ended

    @property
    def finish_reason(self) -> str:
        """The first choice's reason, in the words of the `/events` stream."""
        if self.outcome == "cancelled":
            return "cancelled"
        if self.outcome in {"failed", "interrupted"}:
            return "error" if self.outcome == "failed" else "interrupted"
        return self.finishes[0].reason if self.finishes else "stop"


Delta = Text | Reasoning | ToolCallDelta | Image | Refusal | Citation | Opaque
Event = Started | Queued | Attempt | Delta | UsageSeen | Ended


EPOCH_BITS = 32


def number(epoch: int, n: int) -> int:
    """Give the number of entry `n` of the writer with this epoch."""
    return epoch << EPOCH_BITS | n
