"""A generation as OpenAI's Responses API: events of a stream, or the response (HTTP contract, OpenAI face)."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, final

from tertulia.turn.events import EPOCH_BITS, Attempt, Ended, Event, Queued, Started, Text, UsageSeen
from tertulia.turn.fold import Gap
from tertulia.turn.unfold import unfold
from tertulia.wire.deltas import encode_json
from tertulia.wire.endings import fault_of_gap
from tertulia.wire.response_items import Items
from tertulia.wire.responses import response_object
from tertulia.wire.sse import DONE, HEARTBEAT, comment, frame

Json = dict[str, Any]
_N: Final = (1 << EPOCH_BITS) - 1
_NUMBERED: Final = re.compile(rb'\ndata: \{"type":"[^"]*","sequence_number":(\d+)')


@final
class ResponseEncoder:
    """Writes the events of a stream. A response has one choice: others are not shown.

    `echo` are the fields of the request that a response repeats (`echoed`); without them it has the API's defaults.
    `sequence_number` counts the events that have been written, from 0, which is the same for everyone.
    """

    __slots__ = ("_echo", "_items", "_sequence", "_started", "response")

    heartbeat = HEARTBEAT
    done = DONE

    def __init__(self, echo: Mapping[str, Any] | None = None) -> None:
        self._echo = echo
        self._items = Items("")
        self._sequence = 0
        self._started: Started | None = None
        self.response: Json | None = None

    def entry(self, number: int, event: Event) -> bytes:
        """Write one entry: its events, the last with the `id:` line; nothing for what a response does not show."""
        if isinstance(event, Queued):
            return comment(f"queued position={event.position} estimated_wait_ms={event.estimated_wait_ms}")
        if type(event) is Text and event.choice == 0 and event.logprobs is None and event.opaque is None:
            step = self._items.more_text(event)
            if step is not None:
                return self._frame(step, number)
        return self._frames(number, self.steps(event))

    def gap(self, gap: Gap) -> bytes:
        """Say that entries are gone: as items to who has nothing of the answer yet, else as an `error`."""
        if gap.after & _N > 1 or self._started is None or not self._items.empty:
            fault = fault_of_gap(gap, self._started)
            told = {"type": "error", "code": fault.code, "message": fault.message, "param": None}
            return frame(b"error", encode_json({**told, "sequence_number": self._sequence}))
        deltas = [delta for choice in gap.snapshot[:1] for delta in unfold(choice)]
        return self._frames(gap.to, [step for delta in deltas for step in self._items.add(delta)])

    def steps(self, event: Event) -> list[Json]:
        """Give what one entry comes to, without sequence numbers."""
        match event:
            case Started():
                return self._begin(event)
            case Queued() | Attempt() | UsageSeen():
                return []
            case Ended():
                return self._end(event)
            case _:
                return self._items.add(event) if event.choice == 0 else []

    def so_far(self) -> Json | None:
        """Give the response as it is now; None before it has begun."""
        if self.response is not None or self._started is None:
            return self.response
        return response_object(self._started, self._items.now(), None, self._echo)

    def _begin(self, started: Started) -> list[Json]:
        self._started = started
        self._items = Items(started.generation_id)
        response = response_object(started, (), None, self._echo)
        steps: list[Json] = [{"type": f"response.{name}", "response": response} for name in ("created", "in_progress")]
        return steps + (self._items.add(Text(started.text)) if started.text else [])

    def _end(self, ended: Ended) -> list[Json]:
        steps = self._items.close(whole=ended.outcome == "completed")
        if self._started is None:
            return steps
        self.response = response_object(self._started, self._items.output, ended, self._echo)
        # The API has no event for `cancelled`: it is told as incomplete, with the status as it is.
        name = {"cancelled": "incomplete"}.get(self.response["status"], self.response["status"])
        return [*steps, {"type": f"response.{name}", "response": self.response}]

    def _frames(self, number: int, steps: list[Json]) -> bytes:
        if not steps:
            return b""
        frames = [self._frame(step) for step in steps[:-1]]
        return b"".join([*frames, self._frame(steps[-1], number)])

    def _frame(self, step: Json, number: int | None = None) -> bytes:
        kind = step["type"]
        numbered = {"type": kind, "sequence_number": self._sequence, **step}
        self._sequence += 1
        return frame(kind.encode(), encode_json(numbered), number)


def response(events: Iterable[Event], echo: Mapping[str, Any] | None = None) -> Json:
    """Give the response that a log comes to, whatever its state; the log begins with `Started`.

    The order of items is only in the log; where no more than the fold is left, hand over `unfold`ed events.
    """
    encoder = ResponseEncoder(echo)
    for event in events:
        encoder.steps(event)
    found = encoder.so_far()
    if found is None:
        raise ValueError("the log of a generation begins with Started")
    return found


def after(frames: bytes, sequence_number: int) -> bytes:
    """Leave out the events up to this number (`starting_after`)."""
    kept: list[bytes] = []
    for each in frames.split(b"\n\n"):
        found = _NUMBERED.search(each)
        if found is None or int(found[1]) > sequence_number:
            kept.append(each)
    return b"\n\n".join(kept)
