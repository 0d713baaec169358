"""What a dead process left behind: ended as `interrupted` with what had reached the disk.

Calls no provider again (the import linter proves that it could not): retrying is the user's word.
"""

from collections.abc import Sequence
from typing import Any

import structlog

from tertulia.generation import rows
from tertulia.generation.access import LogBroken, Stored, stored, stored_log
from tertulia.generation.ending import Contributor, ended_event, ending_writes
from tertulia.generation.log import Log
from tertulia.generation.usage import estimated_usage
from tertulia.kernel.clock import now_us
from tertulia.kernel.ids import id_text, parse_id
from tertulia.storage.unit import Guard, Refused, Unit
from tertulia.storage.writer import Storage
from tertulia.turn.codec import UnreadableLog
from tertulia.turn.ending import Ending
from tertulia.turn.events import Attempt, Fault, Started
from tertulia.turn.fold import Fold, fold
from tertulia.turn.usage import Usage

_BATCH = 200
_log = structlog.get_logger("tertulia.generation")


async def end_orphans(storage: Storage, contributors: Sequence[Contributor], *, me: bytes) -> int:
    """End every generation that is queued or running in the database, and say how many there were.

    To be called before anything is started here, and only with proof that no other process is alive: embedded, by
    whoever holds the lock on the home.
    """
    ended = 0
    while found := await storage.fetch(rows.orphans(_BATCH)):
        before = ended
        for row in found:
            ended += await _end(storage, contributors, stored(row), me)
        if ended == before:
            break
    return ended


async def _end(storage: Storage, contributors: Sequence[Contributor], orphan: Stored, me: bytes) -> bool:
    """Take one over and end it, in one transaction under the guard of its last writer's epoch."""
    epoch = orphan.epoch + 1
    log = await _what_is_left(storage, orphan)
    ending = _ending(orphan, log)
    take_over = Guard(rows.take_over(me, orphan.id, orphan.epoch, orphan.owner), name="orphan")
    writes = ending_writes(ending, contributors, epoch=epoch, first_n=len(log.entries) + 1, tail=[ended_event(ending)])
    unit = Unit(key=orphan.id, guards=(take_over,), writes=tuple(writes), durable=True)
    return not isinstance(await storage.commit(unit), Refused)


async def _what_is_left(storage: Storage, orphan: Stored) -> Log:
    """Read its log; one that cannot be read must not keep the server from starting."""
    try:
        return await stored_log(storage, orphan.id)
    except (LogBroken, UnreadableLog) as error:
        _log.error("log_unreadable", generation_id=id_text(orphan.id), reason=error.message)
        return Log()


def _ending(orphan: Stored, log: Log) -> Ending:
    folded = fold(log.entries)
    tried = next((entry for entry in reversed(log.entries) if isinstance(entry, Attempt)), None)
    provider, _, model = (orphan.provider or orphan.model).partition("/")
    started_at = tried.started_at if tried else orphan.started_at
    first_token_at = (
        tried.started_at + tried.first_token_ms * 1000 if tried and tried.first_token_ms is not None else None
    )
    return Ending(
        generation_id=orphan.id,
        user_id=orphan.user_id,
        key_id=orphan.key_id,
        conversation_id=orphan.conversation_id,
        message_ids=_message_ids(folded.started),
        face=orphan.face,
        model=orphan.model,
        provider=tried.provider if tried else provider,
        provider_model=tried.model if tried else model,
        outcome="interrupted",
        choices=folded.choices(),
        finishes=(),
        usage=_usage(orphan, folded, called=started_at is not None),
        fault=Fault("interrupted", "The server stopped while this was being answered; what came is kept."),
        created_at=orphan.created_at,
        started_at=started_at,
        first_token_at=first_token_at,
        ended_at=now_us(),
        attempts=tuple(_attempts(log)),
    )


def _attempts(log: Log) -> list[dict[str, Any]]:
    return [
        {
            "provider": entry.provider,
            "model": entry.model,
            "startedAt": entry.started_at,
            "status": "interrupted" if entry.status == "answering" else entry.status,
            **({"firstTokenMs": entry.first_token_ms} if entry.first_token_ms is not None else {}),
            **({"code": entry.code} if entry.code else {}),
        }
        for entry in log.entries
        if isinstance(entry, Attempt)
    ]


def _message_ids(started: Started | None) -> tuple[bytes, ...]:
    if started is None:
        return ()
    named = started.message_ids or ((started.message_id,) if started.message_id else ())
    return tuple(found for found in map(parse_id, named) if found is not None)


def _usage(orphan: Stored, folded: Fold, *, called: bool) -> Usage:
    """Bill the prompt and what came; nothing where no provider had been called."""
    if not called:
        return Usage()
    return estimated_usage(orphan.usage.prompt if orphan.usage else 0, folded)
