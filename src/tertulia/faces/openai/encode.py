"""A generation as OpenAI's Chat Completions: chunks of a stream, or one whole answer (HTTP contract, OpenAI face)."""

from collections.abc import Mapping
from typing import Any, Final, final

from msgspec import UNSET

from tertulia.kernel.clock import SECOND
from tertulia.turn.events import (
    EPOCH_BITS,
    Citation,
    Delta,
    Ended,
    Event,
    Finish,
    Image,
    Opaque,
    Queued,
    Reasoning,
    Refusal,
    Started,
    Text,
    ToolCallDelta,
)
from tertulia.turn.fold import Choice, Gap
from tertulia.turn.unfold import unfold
from tertulia.wire.deltas import Deltas, beside, encode_json, more_fields
from tertulia.wire.endings import failure_details, fault_of, fault_of_gap
from tertulia.wire.logprobs import joined_logprobs, logprobs_block
from tertulia.wire.openai_chat import (
    AnswerChoice,
    Completion,
    Error,
    FinishReason,
    answer_message,
    kept_fields,
    split_native,
    usage_block,
)
from tertulia.wire.sse import DONE, HEARTBEAT, comment
from tertulia.wire.statuses import openai_type, status_of

_DELTAS: Final = (Text, Reasoning, ToolCallDelta, Image, Refusal, Citation, Opaque)
_N: Final = (1 << EPOCH_BITS) - 1


def completion_id(generation_id: str) -> str:
    """Give the id of the answer that a generation gives on this face."""
    return f"chatcmpl-{generation_id}"


@final
class ChunkEncoder:
    """Writes the chunks of `stream: true`; `include_usage` is that of `stream_options`.

    What is constant in a chunk is prepared once; only the delta is encoded. A choice is opened by a chunk of its own
    with the role before its first delta, in order, since clients count choices as they come.
    """

    __slots__ = ("_begun", "_deltas", "_head", "_include_usage", "_opened", "_started", "_tail", "_text_head")

    heartbeat = HEARTBEAT
    done = DONE

    def __init__(self, *, include_usage: bool) -> None:
        self._include_usage = include_usage
        self._deltas = Deltas()
        self._begun = False
        self._started: Started | None = None
        self._opened = 0
        self._head = b""
        self._text_head = b""
        self._tail = b',"usage":null}\n\n' if include_usage else b"}\n\n"

    def entry(self, number: int, event: Event) -> bytes:
        """Write one entry: its chunks, the last with the `id:` line; nothing for what chunks do not show."""
        if type(event) is Text and event.choice == 0 and event.logprobs is None and event.opaque is None:
            self._begun = True
            return b'id: %d\n%b%b},"logprobs":null,"finish_reason":null}]%b' % (
                number,
                self._text_head,
                encode_json(event.text),
                self._tail,
            )
        if isinstance(event, _DELTAS):
            return _joined(number, self._delta(event))
        if isinstance(event, Started):
            return _joined(number, [self._begin(event)])
        if isinstance(event, Ended):
            return _joined(number, self._end(event))
        if isinstance(event, Queued):
            return comment(f"queued position={event.position} estimated_wait_ms={event.estimated_wait_ms}")
        return b""

    def gap(self, gap: Gap) -> bytes:
        """Say that entries are gone.

        Chunks can only add. So the snapshot is written as chunks for a reader who has nothing of the answer yet; any
        other is told the truth, as an error that ends his stream and says where the whole is to be had.
        """
        if gap.after & _N > 1 or self._started is None or self._begun:
            fault = fault_of_gap(gap, self._started)
            request_id = self._started.request_id if self._started else ""
            return b"data: %b\n\n" % error_body(fault.code, fault.message, None, fault.details, request_id)
        events = (event for index, choice in enumerate(gap.snapshot) for event in unfold(choice, index))
        return _joined(gap.to, [frame for event in events for frame in self._delta(event)])

    def _begin(self, started: Started) -> bytes:
        self._started = started
        model, made = encode_json(started.model), started.created_at // SECOND
        self._head = b'data: {"id":"%b","object":"chat.completion.chunk","created":%d,"model":%b,"choices":' % (
            completion_id(started.generation_id).encode(),
            made,
            model,
        )
        self._text_head = self._head + b'[{"index":0,"delta":{"content":'
        return self._open(started.text, more=more_fields(_ids(started)))

    def _open(self, text: str = "", more: bytes = b"") -> bytes:
        delta = encode_json({"role": "assistant", "content": text, "refusal": None})
        self._opened += 1
        return self._chunk(self._opened - 1, delta, more=more)

    def _delta(self, event: Delta) -> list[bytes]:
        self._begun = True
        frames = [self._open() for _ in range(event.choice + 1 - self._opened)]
        logprobs = b"null"
        if isinstance(event, Text) and event.logprobs is not None:
            logprobs = encode_json(logprobs_block(event.logprobs))
        more = more_fields(beside(event)) if isinstance(event, Opaque) else b""
        frames.append(self._chunk(event.choice, self._deltas.write(event), logprobs, more=more))
        return frames

    def _chunk(
        self, choice: int, delta: bytes, logprobs: bytes = b"null", finish: bytes = b"null", more: bytes = b""
    ) -> bytes:
        return b'%b[{"index":%d,"delta":%b,"logprobs":%b,"finish_reason":%b}]%b%b' % (
            self._head,
            choice,
            delta,
            logprobs,
            finish,
            more,
            self._tail,
        )

    def _end(self, ended: Ended) -> list[bytes]:
        if self._started is None or ended.outcome in {"failed", "interrupted"}:
            return [b"data: %b\n\n" % _failure(self._started, ended)]
        reasons = {finish.choice: finish for finish in ended.finishes}
        frames = [self._open() for _ in range(max(reasons, default=0) + 1 - self._opened)]
        status = b',"status":"cancelled"' if ended.outcome == "cancelled" else b""
        for index in range(self._opened):
            frames += [self._chunk(index, delta) for delta in self._deltas.closing(index)]
            reason = finish_reason(ended, reasons.get(index), calls=self._deltas.has_calls(index))
            word = b'"%b","finishReason":"%b"' % (reason.encode(), reason.encode())
            frames.append(self._chunk(index, b"{}", finish=word, more=status))
        if self._include_usage and ended.usage is not None:
            frames.append(b'%b[],"usage":%b}\n\n' % (self._head, encode_json(usage_block(ended.usage))))
        return frames


def completion(started: Started, choices: tuple[Choice, ...], ended: Ended) -> bytes:
    """Write the whole answer of a generation that completed or was cancelled."""
    reasons = {finish.choice: finish for finish in ended.finishes}
    answers: list[AnswerChoice] = []
    beside_choices: dict[str, Any] = {}
    for index, choice in enumerate(choices):
        kept, more = split_native(kept_fields(choice))
        beside_choices |= more
        reason = finish_reason(ended, reasons.get(index), calls=bool(choice.tool_calls))
        answers.append(
            AnswerChoice(
                index=index,
                message=answer_message(choice, kept),
                logprobs=joined_logprobs(choice.logprobs),
                finish_reason=reason,
                finish_reason_twin=reason,
            )
        )
    whole = encode_json(
        Completion(
            id=completion_id(started.generation_id),
            object="chat.completion",
            created=started.created_at // SECOND,
            model=started.model,
            choices=answers,
            usage=usage_block(ended.usage) if ended.usage is not None else UNSET,
            status="cancelled" if ended.outcome == "cancelled" else UNSET,
            **_ids(started),
        )
    )
    return b"%b%b}" % (whole[:-1], more_fields(beside_choices)) if beside_choices else whole


def finish_reason(ended: Ended, finish: Finish | None, *, calls: bool) -> FinishReason:
    """Give the word that typed clients take: what was cancelled reads `stop`."""
    if ended.outcome == "cancelled":
        return "stop"
    if finish is None or finish.reason == "error":
        return "tool_calls" if calls else "stop"
    return finish.reason


def error_body(
    code: str,
    message: str,
    param: str | None = None,
    details: Mapping[str, Any] | None = None,
    request_id: str = "",
    status: int | None = None,
) -> bytes:
    """Write `{"error": {…}}`; its type follows from the status, which follows from the code where it is not given."""
    kind = openai_type(status_of(code) if status is None else status)
    error = Error(message=message, type=kind, param=param, code=code, details=details or UNSET, request_id=request_id)
    return encode_json({"error": error})


def _failure(started: Started | None, ended: Ended) -> bytes:
    fault = fault_of(ended)
    if started is None:
        return error_body(fault.code, fault.message, None, fault.details)
    details = failure_details(started, ended)
    return error_body(fault.code, fault.message, None, details, started.request_id)


def _ids(started: Started) -> dict[str, Any]:
    ids: dict[str, Any] = {"generation_id": started.generation_id}
    for name in ("conversation_id", "message_id", "user_message_id"):
        value = getattr(started, name)
        if value is not None:
            ids[name] = value
    if len(started.message_ids) > 1:
        ids["message_ids"] = started.message_ids
    return ids


def _joined(number: int, frames: list[bytes]) -> bytes:
    """Join the frames of one entry: only the last carries the `id:` line."""
    if not frames:
        return b""
    frames[-1] = b"id: %d\n%b" % (number, frames[-1])
    return frames[0] if len(frames) == 1 else b"".join(frames)
