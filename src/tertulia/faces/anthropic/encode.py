"""A generation as Anthropic's Messages: events of a stream, or one whole message (HTTP contract, OpenAI face)."""

from collections.abc import Iterable
from typing import Any, Final, final

from tertulia.turn.events import EPOCH_BITS, Attempt, Ended, Event, Queued, Started, Text, UsageSeen
from tertulia.turn.fold import Gap
from tertulia.turn.unfold import unfold
from tertulia.wire.anthropic import assemble, error_event, failure_event, message_head, message_tail
from tertulia.wire.anthropic_blocks import Blocks
from tertulia.wire.deltas import encode_json
from tertulia.wire.endings import fault_of_gap
from tertulia.wire.sse import HEARTBEAT, comment, frame

Json = dict[str, Any]
_N: Final = (1 << EPOCH_BITS) - 1


@final
class MessageEncoder:
    """Writes the named events of a stream. A message has one choice: others are not shown.

    A silence is told by Anthropic's own `ping` beside our comment, and the stream ends with `message_stop` or `error`,
    which its clients wait for.
    """

    __slots__ = ("_blocks", "_started")

    heartbeat = HEARTBEAT + frame(b"ping", b'{"type": "ping"}')
    done = b""

    def __init__(self) -> None:
        self._blocks = Blocks()
        self._started: Started | None = None

    def entry(self, number: int, event: Event) -> bytes:
        """Write one entry: its events, the last with the `id:` line; nothing for what a message does not show."""
        if type(event) is Text and event.choice == 0 and event.opaque is None:
            index = self._blocks.text_index(event.part)
            if index is not None:
                return (
                    b"id: %d\nevent: content_block_delta\n"
                    b'data: {"type":"content_block_delta","index":%d,"delta":{"type":"text_delta","text":%b}}\n\n'
                ) % (number, index, encode_json(event.text))
        if isinstance(event, Queued):
            return comment(f"queued position={event.position} estimated_wait_ms={event.estimated_wait_ms}")
        return _frames(number, self._steps(event))

    def gap(self, gap: Gap) -> bytes:
        """Say that entries are gone: as blocks to who has nothing of the answer yet, else as an `error`."""
        if gap.after & _N > 1 or self._started is None or not self._blocks.empty:
            fault = fault_of_gap(gap, self._started)
            request_id = self._started.request_id if self._started else ""
            return frame(b"error", encode_json(error_event(fault.code, fault.message, fault.details, request_id)))
        first = gap.snapshot[:1]
        return _frames(
            gap.to, [step for choice in first for delta in unfold(choice) for step in self._blocks.add(delta)]
        )

    def steps(self, events: Iterable[Event]) -> list[Json]:
        """Give the events of a whole log."""
        return [step for event in events for step in self._steps(event)]

    def _steps(self, event: Event) -> list[Json]:
        match event:
            case Started():
                self._started = event
                steps: list[Json] = [{"type": "message_start", "message": message_head(event)}]
                return steps + (self._blocks.add(Text(event.text)) if event.text else [])
            case Queued() | Attempt() | UsageSeen():
                return []
            case Ended():
                return self._end(event)
            case _:
                return self._blocks.add(event) if event.choice == 0 else []

    def _end(self, ended: Ended) -> list[Json]:
        if ended.outcome in {"failed", "interrupted"}:
            return [failure_event(self._started, ended)]
        tail = message_tail(ended, calls=bool(self._blocks.called))
        return [*self._blocks.close(), tail, {"type": "message_stop"}]


def message(events: Iterable[Event]) -> bytes:
    """Write the whole message of a generation that completed or was cancelled, from its log.

    The order of blocks is only in the log; where no more than the fold is left, hand over `unfold`ed events.
    """
    start, *steps = MessageEncoder().steps(events)
    return encode_json(assemble(start["message"], steps))


def error_body(code: str, message: str, details: Json | None = None, request_id: str = "") -> bytes:
    """Write the body of a refusal in Anthropic's form."""
    return encode_json(error_event(code, message, details, request_id))


def _frames(number: int, steps: list[Json]) -> bytes:
    if not steps:
        return b""
    *others, last = steps
    frames = [frame(step["type"].encode(), encode_json(step)) for step in others]
    return b"".join([*frames, frame(last["type"].encode(), encode_json(last), number)])
