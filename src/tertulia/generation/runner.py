"""The one writer of a generation's log: waits for a place, calls a provider, ends.

Events come from the provider's read callback straight into the log: no await and no task for a delta. A stop is a
flag and an abort, never a cancelled task: the runner always runs to its ending.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, final

import msgspec
import structlog

from tertulia.generation.disk import Disk
from tertulia.generation.encoding import Encodings
from tertulia.generation.ending import ended_event
from tertulia.generation.log import Log
from tertulia.generation.order import Order
from tertulia.generation.queue import Overloaded, Place, Queue
from tertulia.generation.usage import estimated_usage, plausible
from tertulia.kernel.bounds import AtLeastOne, Seconds
from tertulia.kernel.clock import now_us
from tertulia.kernel.errors import TertuliaError
from tertulia.providers.port import Call, Failure, Finished, Provider, Said, Target, fault
from tertulia.storage.writer import StorageOverloaded, StorageRejected, StorageUnavailable
from tertulia.turn.ending import Cancel, Ending
from tertulia.turn.events import (
    Attempt,
    Ended,
    Event,
    Fault,
    Finish,
    Outcome,
    Queued,
    Started,
    UsageSeen,
)
from tertulia.turn.fold import Choice, Fold, fold
from tertulia.turn.usage import Usage, estimate_prompt
from tertulia.turn.weight import weight


class StreamingSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[streaming]`: seconds between heartbeats, of silence, and in all; bytes of one answer."""

    heartbeat_s: Seconds = 15
    idle_timeout_s: Seconds = 300
    total_timeout_s: Seconds = 3600
    max_response_bytes: AtLeastOne = 10 * 1024 * 1024


class Lane(msgspec.Struct, frozen=True):
    """A provider and the queue before it."""

    provider: Provider
    queue: Queue


Report = Callable[[Ending], None]
"""Told of each ending after its commit: metrics and logs."""

_TICK_S: Final = 1.0
_log = structlog.get_logger("tertulia.generation")
_STORE_TRIES: Final = 3
_TRY_AGAIN = (StorageUnavailable, StorageOverloaded)


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
        self._settled = False

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
        kept = "; what came is kept" if self.order.durable else ""
        self._stop(fault("interrupted", f"The server stopped while this was being answered{kept}."))

    async def broke(self) -> None:
        """End a run that a defect has stopped, so that nobody waits for it and nothing stays running."""
        if not self.over.done():
            await self._end(fault("internal", "The server failed; the log has the reason."))

    # the sink: called from the provider's read callback

    def events(self, batch: Sequence[Said]) -> None:
        """Take what the provider says."""
        if self._stopped is not None:
            self._late(batch)
            return
        if self._how is None or self._how.done():
            return
        entries: Sequence[Event] = batch
        if self.first_token_at is None and any(not isinstance(event, UsageSeen) for event in batch):
            entries = [self._first_token(), *batch]
        for event in batch:
            self._size += weight(event)
        self.log.append(entries)
        self._disk.written(self.log)
        self._open()
        if self._size > self._settings.max_response_bytes:
            choices = range(self.order.request.choices)
            self._stop(Finished(tuple(Finish("length", choice, native="max_response_bytes") for choice in choices)))

    def ended(self, how: Finished | Failure) -> None:
        """Take the provider's last word."""
        if self._how is not None and not self._how.done():
            self._how.set_result(how)

    def _late(self, batch: Sequence[Said]) -> None:
        """Of what comes after a stop only a count matters: it says what has been used."""
        counts = [event for event in batch if isinstance(event, UsageSeen)]
        if counts and self.log.ended is None:
            self.log.append(counts[-1:])

    # the runner

    async def run(self) -> None:
        """Run to the end, whatever comes: the only task of a generation."""
        loop = asyncio.get_running_loop()
        watch = loop.call_later(self._settings.total_timeout_s, self._too_long)
        beat = loop.call_later(self._settings.heartbeat_s, self._open)
        try:
            how = await self._answer()
        except TertuliaError as error:
            how = Failure(Fault(error.code, error.message, error.details), retry_after=error.retry_after)
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
        if not self._place.waiting:
            return
        until = asyncio.get_running_loop().time() + self._place.max_wait_s
        told, seen = 0, -1
        while self._place.waiting and self._stopped is None:
            if asyncio.get_running_loop().time() >= until:
                raise Overloaded("This waited too long for a place at its provider.", retry_after=5)
            if seen != self._place.changes:
                seen, position = self._place.changes, self._place.position
                if position != told:
                    told = position
                    self.log.append((Queued(position, self._place.estimate_ms(position)),))
                    self._open()
            await self._place.turn(_TICK_S)
        if self._stopped is None and self.order.opening is not None:
            self._disk.running(now_us(), self.order.opening.begun)

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

    async def settle(self) -> bool:
        """Store the end once more, where it could not be stored; True when nothing is left to do."""
        if self.ending is None or self._settled:
            return True
        try:
            await self._store(self.ending)
        except _TRY_AGAIN:
            return False
        return True

    async def _end(self, how: Finished | Failure) -> None:
        self.ending = self._ending(how)
        closing = await self._stored(self.ending)
        self.log.append((closing,))
        self._open()
        self.over.set_result(closing)

    async def _stored(self, ending: Ending) -> Ended:
        """Store the end, and give the entry that tells of it: a failure, where the storage does not take it."""
        why = Fault("storage_unavailable", "The answer could not be stored.")
        for tries in range(_STORE_TRIES):
            if tries:
                await asyncio.sleep(_TICK_S)
            try:
                mine = await self._store(ending)
            except _TRY_AGAIN as error:
                why = Fault(error.code, error.message)
                continue
            return ended_event(self.ending or ending) if mine else _taken_over(ended_event(ending))
        self.ending = msgspec.structs.replace(ending, outcome="failed", finishes=(), fault=why)
        return ended_event(self.ending)

    async def _store(self, ending: Ending) -> bool:
        try:
            mine = await self._disk.end(ending, ended_event(ending), self.log)
        except StorageRejected:
            # Something in the answer cannot be stored at all: that must not keep the end from being stored.
            why = Fault("internal", "This answer could not be stored; its text is lost.")
            self.ending = msgspec.structs.replace(ending, outcome="failed", finishes=(), fault=why, choices=(Choice(),))
            mine = await self._store_bare(self.ending)
        self._settled = True
        return mine

    async def _store_bare(self, ending: Ending) -> bool:
        try:
            return await self._disk.end(ending, ended_event(ending), self.log)
        except StorageRejected as error:
            # A defect of ours: without a word of the answer it must be storable. Trying for ever would not mend it.
            _log.error("ending_rejected", generation_id=self.order.id_text, reason=error.message)
            return True

    def _ending(self, how: Finished | Failure) -> Ending:
        order = self.order
        outcome = self._outcome(how)
        folded = self.fold()
        opening = order.opening
        if self.attempts and self.attempts[-1]["status"] in {"calling", "answering"}:
            self.attempts[-1]["status"] = outcome
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
            fault=_fault_of(how) if isinstance(how, Failure) else None,
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
        if self.started_at is None:
            return Usage()
        seen = folded.usage if folded.usage is not None and plausible(folded.usage) else None
        if seen is not None and outcome == "completed" and self._stopped is None:
            return seen
        if outcome == "failed" and not self.said_something:
            return seen or Usage()
        return estimated_usage(estimate_prompt(self.order.request.messages), folded)


def _fault_of(how: Failure) -> Fault:
    """Keep with the fault when it may be tried again."""
    if how.retry_after is None:
        return how.fault
    details = {**(how.fault.details or {}), "retryAfter": how.retry_after}
    return msgspec.structs.replace(how.fault, details=details)


def _taken_over(closing: Ended) -> Ended:
    """What followers here are told when another process has ended it before us."""
    return msgspec.structs.replace(
        closing,
        outcome="interrupted",
        finishes=(),
        fault=Fault("interrupted", "Another process has ended this answer."),
    )
