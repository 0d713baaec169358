"""Start, find, cancel: what the doors may do with generations."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final, final

import msgspec
import structlog

from tertulia.accounting.usage import usage_owner
from tertulia.generation import rows
from tertulia.generation.access import (
    GenerationExpired,
    Stored,
    find_stored,
    require_owner,
    stored_log,
    stored_of_ending,
)
from tertulia.generation.disk import Disk, EventRows, NoDisk
from tertulia.generation.ending import Contributor
from tertulia.generation.kept import Kept, KeptRun
from tertulia.generation.log import Log
from tertulia.generation.order import Order
from tertulia.generation.queue import Place
from tertulia.generation.runner import Lane, Report, Run, StreamingSettings
from tertulia.identity.principal import Principal
from tertulia.kernel.errors import Kind, NotFound, TertuliaError
from tertulia.kernel.ids import id_text, new_id
from tertulia.storage.unit import Guard, Refused, Unit
from tertulia.storage.writer import Storage
from tertulia.turn.codec import encode_events
from tertulia.turn.ending import Cancel
from tertulia.turn.events import Started
from tertulia.turn.usage import Usage, estimate_prompt

Found = Run | KeptRun | Stored
"""A generation: going on here, lately ended in memory, or in the database."""

_SETTLE_FIRST_S: Final = 1.0
_SETTLE_MOST_S: Final = 30.0
_LAST_WORDS_S: Final = 5.0
_log = structlog.get_logger("tertulia.generation")


class TurnInProgress(TertuliaError):
    """The message that this would answer is being answered."""

    kind = Kind.CONFLICT
    code = "turn_in_progress"


class Draining(TertuliaError):
    """The server is being stopped and takes nothing new."""

    kind = Kind.UNAVAILABLE
    code = "draining"


@final
class Generations:
    """All generations of this process, and the way to the stored ones."""

    def __init__(
        self,
        *,
        storage: Storage,
        lanes: Mapping[str, Lane],
        contributors: Sequence[Contributor],
        streaming: StreamingSettings,
        kept: Kept,
        report: Report,
    ) -> None:
        self.me = new_id()
        self._storage = storage
        self._lanes = lanes
        self._contributors = contributors
        self._streaming = streaming
        self._kept = kept
        self._report = report
        self._running: dict[bytes, Run] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._starting: set[asyncio.Task[Run]] = set()
        self._draining = False

    async def start(self, order: Order) -> Run:
        """Begin a reply. When this returns, what the user wrote is stored where it is to be stored.

        Raises `QueueFull`, `Overloaded`, `Draining`, `TurnInProgress`, `StorageUnavailable`; then nothing is stored.
        """
        if self._draining:
            raise Draining("The server is being stopped. Try again in a moment.", retry_after=5)
        if not order.durable:
            place = self._enter(order)
            return self._go_on(order, _started(order), place)
        # What was handed to the storage is committed whoever leaves meanwhile, so it is seen through to its run.
        task = asyncio.get_running_loop().create_task(self._start_durable(order))
        self._starting.add(task)
        task.add_done_callback(self._starting.discard)
        return await asyncio.shield(task)

    async def _start_durable(self, order: Order) -> Run:
        place = self._enter(order)
        try:
            assert order.open_turn is not None  # that is what makes it durable  # noqa: S101
            order = msgspec.structs.replace(order, opening=order.open_turn("queued" if place.waiting else "streaming"))
            started = _started(order)
            await self._begin(order, started, running=not place.waiting)
        except BaseException:  # whatever it is, the place must be given back
            place.leave()
            raise
        return self._go_on(order, started, place)

    def _enter(self, order: Order) -> Place:
        return self._lanes[order.targets[0].provider].queue.enter(order.principal.user_id)

    def _go_on(self, order: Order, started: Started, place: Place) -> Run:
        run = Run(order, lanes=self._lanes, place=place, disk=self._disk(order), settings=self._streaming)
        run.log.append((started,))
        self._running[order.generation_id] = run
        task = asyncio.get_running_loop().create_task(self._run(run))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return run

    async def find(self, principal: Principal, generation_id: bytes) -> Found:
        """Give a generation to one who may see it.

        Raises `NotFound`, `Forbidden`, or `GenerationExpired` for an ephemeral one that is gone from memory.
        """
        run = self._running.get(generation_id)
        if run is not None:
            require_owner(principal, run.order.principal.user_id)
            return run
        kept = self._kept.get(generation_id)
        if kept is not None:
            require_owner(principal, kept.row.user_id)
            return kept
        found = await find_stored(self._storage, generation_id)
        if found is not None:
            require_owner(principal, found.user_id)
            return found
        owner = await usage_owner(self._storage, generation_id)
        if owner is None:
            raise NotFound(f"There is no generation {id_text(generation_id)}.")
        require_owner(principal, owner)
        raise GenerationExpired("This answer was not kept: its log is gone. Send `save_to_db` to keep the next one.")

    async def log_of(self, found: Found) -> Log:
        """Give the log of a generation, from memory or from its rows."""
        return await stored_log(self._storage, found.id) if isinstance(found, Stored) else found.log

    def cancel(self, principal: Principal, found: Found, reason: str | None) -> None:
        """Stop a generation; one that has ended stays as it is."""
        if isinstance(found, Run):
            found.cancel(Cancel(id_text(principal.user_id), principal.role, reason))

    @property
    def draining(self) -> bool:
        """Whether nothing new is taken."""
        return self._draining

    @property
    def running(self) -> int:
        """How many are going on."""
        return len(self._running)

    async def drain(self, within_s: float) -> None:
        """Take nothing new and let what runs end; then stop what is left, keeping what came."""
        self._draining = True
        loop = asyncio.get_running_loop()
        until = loop.time() + within_s
        while (tasks := self._tasks | self._starting) and (left := until - loop.time()) > 0:
            await asyncio.wait(tasks, timeout=left)
        for run in tuple(self._running.values()):
            run.interrupt()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_LAST_WORDS_S)

    async def _run(self, run: Run) -> None:
        try:
            await run.run()
        except Exception:  # noqa: BLE001 - a defect must not leave followers waiting for ever
            _log.exception("generation_broke", generation_id=run.order.id_text)
            await run.broke()
        pause = _SETTLE_FIRST_S
        while not await run.settle():
            await asyncio.sleep(pause)
            pause = min(pause * 2, _SETTLE_MOST_S)
        del self._running[run.order.generation_id]
        ending = run.ending
        if ending is None:
            return
        if not run.order.durable:
            self._kept.put(KeptRun(stored_of_ending(ending, run.state, len(run.log.entries)), run.log))
        self._report(ending)

    async def _begin(self, order: Order, started: Started, *, running: bool) -> None:
        opening = order.opening
        assert opening is not None  # durable orders have one by now  # noqa: S101
        first = order.targets[0]
        expected = Usage(prompt=estimate_prompt(order.request.messages), estimated=True)
        insert = rows.insert_generation(
            order.generation_id,
            order.principal.user_id,
            opening.conversation_id,
            opening.message_ids[0],
            opening.anchor_id,
            order.principal.key_id,
            order.face,
            order.model,
            f"{first.provider}/{first.model}",
            order.priority,
            order.on_disconnect,
            "running" if running else "queued",
            self.me,
            0,
            1,
            msgspec.json.encode(expected).decode(),
            order.created_at,
            order.created_at if running else None,
        )
        events = rows.insert_events(order.generation_id, 0, 1, 1, encode_events((started,)))
        unit = Unit(
            key=order.generation_id,
            guards=(Guard(insert, name="anchor"),),
            writes=(*opening.writes, events),
            durable=True,
        )
        if isinstance(await self._storage.commit(unit), Refused):
            raise TurnInProgress("This message is being answered already.")

    def _disk(self, order: Order) -> Disk:
        if not order.durable:
            return NoDisk(self._storage, self._contributors)
        return EventRows(
            self._storage,
            self._contributors,
            generation_id=order.generation_id,
            on_disk=1,
            fenced=lambda: self._fenced(order.generation_id),
        )

    def _fenced(self, generation_id: bytes) -> None:
        run = self._running.get(generation_id)
        if run is not None:
            run.interrupt()


def _started(order: Order) -> Started:
    opening = order.opening
    if opening is None:
        return Started(order.id_text, order.model, order.created_at, request_id=order.request_id)
    many = tuple(id_text(message_id) for message_id in opening.message_ids)
    return Started(
        order.id_text,
        order.model,
        order.created_at,
        conversation_id=id_text(opening.conversation_id),
        message_id=many[0],
        user_message_id=id_text(opening.user_message_id) if opening.user_message_id else None,
        message_ids=many if len(many) > 1 else (),
        user_message=opening.user_message,
        assistant_message=opening.assistant_message,
        request_id=order.request_id,
    )
