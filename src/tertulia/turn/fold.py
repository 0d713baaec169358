"""Fold a log to what it comes to: `fold(events)` equals the stored message (Architecture, invariant 1)."""

from collections.abc import Iterable
from typing import Any, Literal

import msgspec

from tertulia.turn.content import Function, ToolCall
from tertulia.turn.events import (
    Attempt,
    Citation,
    Ended,
    Event,
    Image,
    Opaque,
    Queued,
    Reasoning,
    Refusal,
    Started,
    Text,
    ToolCallDelta,
    UsageSeen,
)
from tertulia.turn.usage import Usage


class Choice(msgspec.Struct, frozen=True, omit_defaults=True):
    """One whole answer. `opaque` are the things to be replayed to the provider, in order, each with its part."""

    text: str = ""
    reasoning: str = ""
    refusal: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    images: tuple[str, ...] = ()
    citations: tuple[Citation, ...] = ()
    opaque: tuple[dict[str, Any], ...] = ()
    logprobs: tuple[Any, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether nothing of an answer has come."""
        return not (self.text or self.reasoning or self.refusal or self.tool_calls or self.images)

    @property
    def size(self) -> int:
        """Characters of text, thinking, refusal and arguments: what an estimate counts."""
        arguments = sum(len(call.function.name) + len(call.function.arguments) for call in self.tool_calls)
        return len(self.text) + len(self.reasoning) + len(self.refusal) + arguments


class _Call:
    """A tool call as its fragments come."""

    __slots__ = ("arguments", "id", "kind", "name", "opaque")

    def __init__(self) -> None:
        self.id = ""
        self.name = ""
        self.kind: Any = "function"
        self.arguments: list[str] = []
        self.opaque: dict[str, Any] | None = None

    def add(self, delta: ToolCallDelta) -> None:
        self.id = delta.id or self.id
        self.name = delta.name or self.name
        self.kind = delta.kind
        self.arguments.append(delta.arguments)
        self.opaque = delta.opaque or self.opaque

    def whole(self, index: int) -> ToolCall:
        arguments = "".join(self.arguments) or "{}"
        return ToolCall(self.id or f"call_{index}", Function(self.name, arguments), self.kind, self.opaque)


class _Choice:
    """A choice as its deltas come: lists that are joined once."""

    __slots__ = ("calls", "citations", "images", "logprobs", "opaque", "reasoning", "refusal", "text")

    def __init__(self) -> None:
        self.text: list[str] = []
        self.reasoning: list[str] = []
        self.refusal: list[str] = []
        self.calls: dict[int, _Call] = {}
        self.images: list[str] = []
        self.citations: list[Citation] = []
        self.opaque: list[dict[str, Any]] = []
        self.logprobs: list[Any] = []

    def whole(self) -> Choice:
        return Choice(
            text="".join(self.text),
            reasoning="".join(self.reasoning),
            refusal="".join(self.refusal),
            tool_calls=tuple(self.calls[index].whole(index) for index in sorted(self.calls)),
            images=tuple(self.images),
            citations=tuple(self.citations),
            opaque=tuple(self.opaque),
            logprobs=tuple(self.logprobs),
        )


class Fold:
    """A fold that goes on: add events as they come, ask for the whole at any time."""

    __slots__ = ("_choices", "ended", "started", "usage")

    def __init__(self) -> None:
        self._choices: dict[int, _Choice] = {}
        self.started: Started | None = None
        self.usage: Usage | None = None
        self.ended: Ended | None = None

    def add(self, event: Event) -> None:  # noqa: C901, PLR0912 - one arm for each kind of a closed set
        """Take one more event."""
        match event:
            case Text():
                choice = self._choice(event.choice)
                choice.text.append(event.text)
                if event.logprobs is not None:
                    choice.logprobs.append(event.logprobs)
                self._keep(choice, event.part, event.opaque)
            case Reasoning():
                choice = self._choice(event.choice)
                choice.reasoning.append(event.text)
                self._keep(choice, event.part, event.opaque)
            case ToolCallDelta():
                self._choice(event.choice).calls.setdefault(event.index, _Call()).add(event)
            case Refusal():
                self._choice(event.choice).refusal.append(event.text)
            case Image():
                choice = self._choice(event.choice)
                choice.images.append(event.url)
                self._keep(choice, event.part, event.opaque)
            case Citation():
                self._choice(event.choice).citations.append(event)
            case Opaque():
                self._keep(self._choice(event.choice), event.part, {"wire": event.wire, "data": event.data})
            case UsageSeen():
                self.usage = event.usage
            case Started():
                self.started = event
                if event.text:
                    self._choice(0).text.append(event.text)
            case Ended():
                self.ended = event
                self.usage = event.usage or self.usage
            case Attempt():
                if event.status == "failed":
                    self.usage = None  # the next provider counts anew
            case Queued():
                pass

    def extend(self, events: Iterable[Event]) -> "Fold":
        """Take many events, and give the fold itself."""
        for event in events:
            self.add(event)
        return self

    def choice(self, index: int = 0) -> Choice:
        """Give one choice as it is now."""
        found = self._choices.get(index)
        return found.whole() if found else Choice()

    def choices(self) -> tuple[Choice, ...]:
        """Give all choices as they are now; at least one, perhaps empty."""
        count = max(self._choices, default=0) + 1
        return tuple(self.choice(index) for index in range(count))

    def _choice(self, index: int) -> _Choice:
        found = self._choices.get(index)
        if found is None:
            found = self._choices[index] = _Choice()
        return found

    @staticmethod
    def _keep(choice: _Choice, part: int, opaque: dict[str, Any] | None) -> None:
        if opaque is not None:
            choice.opaque.append({"part": part, **opaque})


def fold(events: Iterable[Event]) -> Fold:
    """Fold a whole log."""
    return Fold().extend(events)


class Gap(msgspec.Struct, frozen=True):
    """Entries that are gone for a follower; not an entry of a log itself.

    `after` is the number that the follower had, `to` the last number that is gone. `snapshot` is the fold up to and
    with `to`, every choice of it, and replaces all that the follower has.
    """

    after: int
    to: int
    snapshot: tuple[Choice, ...]
    reason: Literal["crash", "slow", "folded"]
