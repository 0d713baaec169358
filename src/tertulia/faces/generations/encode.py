"""The frames of `/events` and of the sessions' streams (HTTP contract, Generations)."""

from typing import Any, Literal, final

from tertulia.faces.generations.usage import usage_shown
from tertulia.kernel.clock import rfc3339
from tertulia.turn.events import (
    Attempt,
    Delta,
    Ended,
    Event,
    Queued,
    Started,
    Text,
    UsageSeen,
)
from tertulia.turn.fold import Choice, Gap
from tertulia.turn.unfold import unfold
from tertulia.wire.deltas import Deltas, beside, encode_json, more_fields
from tertulia.wire.endings import failure_details, fault_of
from tertulia.wire.logprobs import logprobs_block
from tertulia.wire.openai_chat import tool_call
from tertulia.wire.sse import DONE, HEARTBEAT, frame

Json = dict[str, Any]


@final
class EventEncoder:
    """Writes the frames of a log in camelCase, with deltas as OpenAI's.

    `terminal` says how the last one is named: `events` by its outcome, `session` `done` or `error`. An attempt is shown
    when a provider is given up, and the one that answers after that.
    """

    __slots__ = ("_deltas", "_given_up", "_last", "_session", "_started")

    heartbeat = HEARTBEAT
    done = DONE

    def __init__(self, terminal: Literal["events", "session"]) -> None:
        self._session = terminal == "session"
        self._deltas = Deltas()
        self._given_up = False
        self._last = 0
        self._started: Started | None = None

    def entry(self, number: int, event: Event) -> bytes:  # noqa: PLR0911 - one arm for each kind of a closed set
        """Write one entry: one frame, but for what tool calls lack at the end."""
        if type(event) is Text and event.choice == 0 and event.logprobs is None and event.opaque is None:
            self._last = number
            return b'id: %d\nevent: message\ndata: {"choices":[{"index":0,"delta":{"content":%b}}]}\n\n' % (
                number,
                encode_json(event.text),
            )
        self._last = number
        match event:
            case Started():
                self._started = event
                return frame(b"start", encode_json(_start(event)), number)
            case Queued(position, wait):
                return frame(b"queued", encode_json({"position": position, "estimatedWaitMs": wait}), number)
            case Attempt():
                return self._attempt(number, event)
            case UsageSeen(usage):
                return frame(b"usage", encode_json(usage_shown(usage)), number)
            case Ended():
                return self._end(number, event)
            case _:
                return self._message(number, event)

    def gap(self, gap: Gap) -> bytes:
        """Write what replaces all that the reader has; its `to` is the id to resume from."""
        if gap.to > self._last:  # a gap of the log itself, not of one slow reader: go on from what is known
            for index, choice in enumerate(gap.snapshot):
                for known in unfold(choice, index):
                    self._deltas.write(known)
        first, *others = gap.snapshot or (Choice(),)
        data = {"from": str(gap.after), "to": str(gap.to), **_whole(first), "reason": gap.reason}
        if others:
            data["choices"] = [{"index": index, **_whole(choice)} for index, choice in enumerate(gap.snapshot)]
        return frame(b"gap", encode_json(data), gap.to)

    def _message(self, number: int | None, delta: Delta) -> bytes:
        choice: Json = {}
        if isinstance(delta, Text) and delta.logprobs is not None:
            choice["logprobs"] = logprobs_block(delta.logprobs)
        return _message(number, delta.choice, self._deltas.write(delta), choice, beside(delta))

    def _attempt(self, number: int, attempt: Attempt) -> bytes:
        failed = attempt.status == "failed"
        if not failed and not self._given_up:
            return b""
        self._given_up = failed
        data = {"provider": attempt.provider, "model": attempt.model, "status": attempt.status}
        if attempt.code is not None:
            data["code"] = attempt.code
        return frame(b"attempt", encode_json(data), number)

    def _end(self, number: int, ended: Ended) -> bytes:
        lacking: list[bytes] = []
        if ended.outcome in {"completed", "cancelled"}:
            for choice in self._deltas.choices():
                lacking += [_message(None, choice, delta, {}, {}) for delta in self._deltas.closing(choice)]
        return b"".join([*lacking, frame(self._name(ended), encode_json(self._terminal(ended)), number)])

    def _name(self, ended: Ended) -> bytes:
        if not self._session:
            return ended.outcome.encode()
        return b"done" if ended.outcome in {"completed", "cancelled"} else b"error"

    def _terminal(self, ended: Ended) -> Json:
        started = self._started
        data: Json = {"status": ended.outcome, "finishReason": ended.finish_reason}
        if ended.usage is not None:
            data["usage"] = usage_shown(ended.usage)
        if ended.credits is not None:
            data["credits"] = {"charged": ended.credits}
        if started is not None and started.message_id is not None:
            data["messageId"] = started.message_id
        if started is not None and self._session and started.user_message_id is not None:
            data["userMessageId"] = started.user_message_id
        if ended.outcome in {"completed", "cancelled"}:
            return data
        error = _error(started, ended)
        if not self._session:
            return {**data, "error": error}
        if started is not None:
            error |= {"requestId": started.request_id, "generationId": started.generation_id}
        return {**error, **data}


def _message(number: int | None, choice: int, delta: bytes, more: Json, beside_choices: Json) -> bytes:
    """Write a `message` frame; `more` goes beside the delta, `beside_choices` beside the choices."""
    inner = b'{"index":%d,"delta":%b%b}' % (choice, delta, more_fields(more))
    return frame(b"message", b'{"choices":[%b]%b}' % (inner, more_fields(beside_choices)), number)


def _start(started: Started) -> Json:
    shown: Json = {"generationId": started.generation_id}
    optional = {
        "conversationId": started.conversation_id,
        "messageId": started.message_id,
        "userMessageId": started.user_message_id,
        "messageIds": started.message_ids if len(started.message_ids) > 1 else None,
    }
    shown |= {name: value for name, value in optional.items() if value is not None}
    shown |= {"model": started.model, "createdAt": rfc3339(started.created_at)}
    if started.text:
        shown["text"] = started.text
    if started.user_message is not None:
        shown["userMessage"] = started.user_message
    if started.assistant_message is not None:
        shown["assistantMessage"] = started.assistant_message
    return shown


def _whole(choice: Choice) -> Json:
    shown: Json = {"text": choice.text}
    if choice.reasoning:
        shown["reasoning"] = choice.reasoning
    if choice.refusal:
        shown["refusal"] = choice.refusal
    if choice.tool_calls:
        shown["toolCalls"] = [tool_call(call) for call in choice.tool_calls]
    if choice.images:
        shown["images"] = list(choice.images)
    return shown


def _error(started: Started | None, ended: Ended) -> Json:
    fault = fault_of(ended)
    shown: Json = {"code": fault.code, "message": fault.message}
    details = failure_details(started, ended) if started is not None else fault.details
    return {**shown, "details": details} if details else shown
