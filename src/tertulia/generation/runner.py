"""The one writer of a generation's log: waits for a place, calls a provider, ends.

Events come from the provider's read callback straight into the log: no await and no task for a delta. A stop is a
flag and an abort, never a cancelled task: the runner always runs to its ending.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, final

import msgspec

from tertulia.generation.disk import Disk
from tertulia.generation.encoding import Encodings
from tertulia.generation.ending import ended_event
from tertulia.generation.log import Log
from tertulia.generation.order import Order
from tertulia.generation.queue import Overloaded, Place, Queue
from tertulia.kernel.clock import now_us
from tertulia.kernel.errors import TertuliaError
from tertulia.providers.port import Call, Failure, Finished, Provider, Said, Target, fault
from tertulia.storage.writer import StorageUnavailable
from tertulia.turn.ending import Cancel, Ending
from tertulia.turn.events import (
    Attempt,
    Ended,
    Event,
    Fault,
    Finish,
    Outcome,
    Queued,
    Reasoning,
    Started,
    Text,
    ToolCallDelta,
)
from tertulia.turn.fold import Fold, fold
from tertulia.turn.usage import Usage, estimate_prompt, estimate_tokens


class StreamingSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[streaming]`: seconds between heartbeats, of silence, and in all; bytes of one answer."""

    heartbeat_s: float = 15
    idle_timeout_s: float = 300
    total_timeout_s: float = 3600
    max_response_bytes: int = 10 * 1024 * 1024


class Lane(msgspec.Struct, frozen=True):
    """A provider and the queue before it."""

    provider: Provider
    queue: Queue


Report = Callable[[Ending], None]
"""Told of each ending after its commit: metrics and logs."""

_TICK_S: Final = 1.0
_STORE_TRIES: Final = 3


@final
class Run:
    """A generation that is going on, and for a while after: its log, its state, its stop.

    `opened` is done when there is something to tell the caller: the provider's first event, a place in the queue, or
    the end. `over` is done, with the closing entry, after the last commit.
    """

    def __init__(
        self, order: Order, *, lanes: Mapping[str, Lane], place: Place, disk: Disk, settings: StreamingSettings
    ) -> None:
        loop = asyncio.get_running_loop()
        self.order = order
        self.log = Log()
        self.encodings = Encodings(self.log, settings.heartbeat_s)
        self.opened: asyncio.Future[None] = loop.create_future()
        self.over: asyncio.Future[Ended] = loop.create_future()
        self.cancelled: Cancel | None = None
        self.ending: Ending | None = None
        self.target = order.targets[0]
        self.attempts: list[dict[str, Any]] = []
        self.dropped: tuple[str, ...] = ()
        self.started_at: int | None = None
        self.first_token_at: int | None = None
        self._lanes = lanes
        self._place = place
        self._disk = disk
        self._settings = settings
        self._call: Call | None = None
        self._how: asyncio.Future[Finished | Failure] | None = None
        self._stopped: Finished | Failure | None = None
        self._size = 0

    # what others see

    @property
    def state(self) -> str:
        """One of queued, running, completed, cancelled, interrupted, failed."""
        ended = self.log.ended
        if ended is not None:
            return ended.outcome
        return "running" if self.started_at is not None else "queued"

    @property
    def started(self) -> Started:
        """The entry that opened the log."""
        first = self.log.entries[0]
        if not isinstance(first, Started):
            raise TypeError("a log begins with Started")
        return first

    @property
    def place(self) -> Place | None:
        """Its place in the queue, while it waits there."""
        return self._place if self._place.waiting and self.log.ended is None else None

    @property
    def said_something(self) -> bool:
        """Whether anything of an answer has come."""
        return self.first_token_at is not None

    def fold(self) -> Fold:
        """Fold what has come so far."""
        return fold(self.log.entries)

    def cancel(self, cancel: Cancel) -> bool:
        """Stop it; False where it has ended already. What came is kept."""
        if self.log.ended is not None or self._stopped is not None:
            return self.cancelled is not None
        self.cancelled = cancel
        self._stop(Finished((Finish("stop"),)))
        return True

    def interrupt(self) -> None:
        """Stop it because its process must: it ends `interrupted`, with what came."""
        self._stop(fault("interrupted", "The server stopped while this was being answered; what came is kept."))

    def broke(self) -> None:
        """Close the log of a run that a defect has ended, so that nobody waits for it."""
        if not self.over.done():
            closing = Ended("failed", fault=Fault("internal", "The server failed; the log has the reason."))
            self.log.append((closing,))
            self._open()
            self.over.set_result(closing)

    # the sink: called from the provider's read callback

    def events(self, batch: Sequence[Said]) -> None:
        """Take what the provider says."""
        if self._stopped is not None or self._how is None or self._how.done():
            return
        entries: Sequence[Event] = batch
        if self.first_token_at is None:
            entries = [self._first_token(), *batch]
        for event in batch:
            if isinstance(event, Text | Reasoning):
                self._size += len(event.text)
            elif isinstance(event, ToolCallDelta):
                self._size += len(event.arguments)
        self.log.append(entries)
        self._disk.written(self.log)
        if self._size > self._settings.max_response_bytes:
            self._stop(Finished((Finish("length", native="max_response_bytes"),)))

    def ended(self, how: Finished | Failure) -> None:
        """Take the provider's last word."""
        if self._how is not None and not self._how.done():
            self._how.set_result(how)

    # the runner

    async def run(self) -> None:
        """Run to the end, whatever comes: the only task of a generation."""
        loop = asyncio.get_running_loop()
        watch = loop.call_later(self._settings.total_timeout_s, self._too_long)
        beat = loop.call_later(self._settings.heartbeat_s, self._open)
        try:
            how = await self._answer()
        except TertuliaError as error:
            how = Failure(Fault(error.code, error.message, error.details))
        finally:
            watch.cancel()
            beat.cancel()
            self._place.leave()
        await self._end(how)

    async def _answer(self) -> Finished | Failure:
        how: Finished | Failure = fault("provider_unavailable", "No provider could be asked.")
        for index, target in enumerate(self.order.targets):
            lane = self._lanes[target.provider]
            if index:
                self._place.leave()
                self._place = lane.queue.enter(self.order.principal.user_id)
            await self._wait_for_turn()
            if self._stopped is not None:
                return self._stopped
            how = await self._try(lane.provider, target)
            if isinstance(how, Finished) or self.said_something or not how.fallback:
                return how
            if index + 1 < len(self.order.targets):
                self.log.append((self._given_up(target, how),))
        return how

    async def _wait_for_turn(self) -> None:
        waited = 0.0
        told = 0
        while self._place.waiting and self._stopped is None:
            if waited >= self._place.max_wait_s:
                raise Overloaded("This waited too long for a place at its provider.", retry_after=5)
            if told != (position := self._place.position):
                self.log.append((Queued(position, self._place.estimate_ms),))
                self._open()
                told = position
            await self._place.turn(_TICK_S)
            waited += _TICK_S

    async def _try(self, provider: Provider, target: Target) -> Finished | Failure:
        self._how = asyncio.get_running_loop().create_future()
        self.target = target
        now = now_us()
        if self.started_at is None:
            self.started_at = now
        self.attempts.append(
            {"provider": target.provider, "model": target.model, "startedAt": now, "status": "calling"}
        )
        self._call = provider.call(self.order.request, target, self)
        self.dropped = self._call.dropped
        how = await self._how
        self._call = None
        if self._stopped is not None:
            return self._stopped
        if isinstance(how, Failure):
            self.attempts[-1] |= {"status": "failed", "code": how.fault.code}
        return how

    def _first_token(self) -> Attempt:
        now = now_us()
        self.first_token_at = now
        attempt = self.attempts[-1]
        attempt["status"] = "answering"
        attempt["firstTokenMs"] = (now - attempt["startedAt"]) // 1000
        self._open()
        return Attempt(
            self.target.provider, self.target.model, "answering", attempt["startedAt"], attempt["firstTokenMs"]
        )

    def _given_up(self, target: Target, how: Failure) -> Attempt:
        return Attempt(target.provider, target.model, "failed", self.attempts[-1]["startedAt"], code=how.fault.code)

    def _stop(self, how: Finished | Failure) -> None:
        if self._stopped is not None:
            return
        self._stopped = how
        self._place.wake()
        if self._call is not None:
            self._call.abort()
        self.ended(how)

    def _too_long(self) -> None:
        seconds = self._settings.total_timeout_s
        self._stop(fault("upstream_timeout", f"The answer took longer than {seconds:g} s and was stopped."))

    def _open(self) -> None:
        if not self.opened.done():
            self.opened.set_result(None)

    async def _end(self, how: Finished | Failure) -> None:
        ending = self.ending = self._ending(how)
        closing = ended_event(ending)
        for tries in range(_STORE_TRIES):
            try:
                stored = await self._disk.end(ending, closing, self.log)
            except StorageUnavailable as error:
                if tries + 1 < _STORE_TRIES:
                    await asyncio.sleep(_TICK_S)
                    continue
                closing = msgspec.structs.replace(
                    closing, outcome="failed", finishes=(), fault=Fault(error.code, error.message)
                )
                break
            if not stored:
                closing = _taken_over(closing)
            break
        self.log.append((closing,))
        self._open()
        self.over.set_result(closing)

    def _ending(self, how: Finished | Failure) -> Ending:
        order = self.order
        outcome = self._outcome(how)
        folded = self.fold()
        opening = order.opening
        return Ending(
            generation_id=order.generation_id,
            user_id=order.principal.user_id,
            key_id=order.principal.key_id,
            conversation_id=opening.conversation_id if opening else None,
            message_ids=opening.message_ids if opening else (),
            face=order.face,
            model=order.model,
            provider=self.target.provider,
            provider_model=self.target.model,
            outcome=outcome,
            choices=folded.choices(),
            finishes=how.finishes if isinstance(how, Finished) else (),
            usage=self._usage(folded, outcome),
            fault=how.fault if isinstance(how, Failure) else None,
            cancel=self.cancelled,
            own_key=self.target.key is not None,
            created_at=order.created_at,
            started_at=self.started_at,
            first_token_at=self.first_token_at,
            ended_at=now_us(),
            attempts=tuple(self.attempts),
        )

    def _outcome(self, how: Finished | Failure) -> Outcome:
        if self.cancelled:
            return "cancelled"
        if isinstance(how, Finished):
            return "completed"
        return "interrupted" if how.fault.code == "interrupted" else "failed"

    def _usage(self, folded: Fold, outcome: Outcome) -> Usage:
        """Take the provider's count; estimate where it gave none, or stopped before its last."""
        seen = folded.usage
        if seen is not None and outcome == "completed" and self._stopped is None and _plausible(seen):
            return seen
        if outcome == "failed" and not self.said_something:
            return seen if seen is not None and _plausible(seen) else Usage()
        return estimated_usage(
            estimate_prompt(self.order.request.messages), folded, seen if seen and _plausible(seen) else None
        )


def estimated_usage(prompt: int, folded: Fold, seen: Usage | None = None) -> Usage:
    """Estimate from what came, never below what the provider has counted so far; flagged."""
    completion = estimate_tokens(sum(choice.size for choice in folded.choices()))
    base = seen or Usage()
    return msgspec.structs.replace(
        base, prompt=base.prompt or prompt, completion=max(base.completion, completion), estimated=True
    )


def _plausible(usage: Usage) -> bool:
    parts = (usage.prompt, usage.completion, usage.cached, usage.cache_write, usage.reasoning)
    return all(0 <= part < 1 << 31 for part in parts)


def _taken_over(closing: Ended) -> Ended:
    """What followers here are told when another process has ended it before us."""
    return msgspec.structs.replace(
        closing,
        outcome="interrupted",
        finishes=(),
        fault=Fault("interrupted", "Another process has ended this answer."),
    )
