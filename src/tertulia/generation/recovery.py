"""What a dead process left behind: ended as `interrupted` with what had reached the disk.

Calls no provider again (the import linter proves that it could not): retrying is the user's word.
"""

from collections.abc import Sequence

import msgspec

from tertulia.generation import rows
from tertulia.generation.access import Stored, stored, stored_log
from tertulia.generation.ending import Contributor, durable_unit, ended_event
from tertulia.kernel.clock import now_us
from tertulia.kernel.ids import parse_id
from tertulia.storage.unit import Guard, Refused, Unit
from tertulia.storage.writer import Storage
from tertulia.turn.ending import Ending
from tertulia.turn.events import Fault, Started
from tertulia.turn.fold import Fold, fold
from tertulia.turn.usage import Usage, estimate_tokens

_BATCH = 200


async def end_orphans(storage: Storage, contributors: Sequence[Contributor], *, me: bytes) -> int:
    """End every running generation that is not this process's, and say how many there were.

    To be called only with proof that their processes are dead: embedded, by whoever holds the lock on the home.
    """
    ended = 0
    while found := await storage.fetch(rows.orphans(me, _BATCH)):
        for row in found:
            ended += await _end(storage, contributors, stored(row), me)
    return ended


async def _end(storage: Storage, contributors: Sequence[Contributor], orphan: Stored, me: bytes) -> bool:
    epoch = orphan.epoch + 1
    take_over = Guard(rows.take_over(me, orphan.id, orphan.epoch, orphan.owner), name="orphan")
    taken = await storage.commit(Unit(key=orphan.id, guards=(take_over,), writes=(), durable=True))
    if isinstance(taken, Refused):
        return False
    log = await stored_log(storage, orphan.id)
    ending = _ending(orphan, fold(log.entries))
    unit = durable_unit(ending, contributors, epoch=epoch, first_n=len(log.entries) + 1, tail=[ended_event(ending)])
    return not isinstance(await storage.commit(unit), Refused)


def _ending(orphan: Stored, folded: Fold) -> Ending:
    provider, _, model = (orphan.provider or orphan.model).partition("/")
    return Ending(
        generation_id=orphan.id,
        user_id=orphan.user_id,
        key_id=orphan.key_id,
        conversation_id=orphan.conversation_id,
        message_ids=_message_ids(folded.started),
        face=orphan.face,
        model=orphan.model,
        provider=provider,
        provider_model=model,
        outcome="interrupted",
        choices=folded.choices(),
        finishes=(),
        usage=_usage(folded),
        fault=Fault("interrupted", "The server stopped while this was being answered; what came is kept."),
        created_at=orphan.created_at,
        started_at=orphan.started_at,
        first_token_at=orphan.first_token_at,
        ended_at=now_us(),
        attempts=tuple(orphan.attempts),
    )


def _message_ids(started: Started | None) -> tuple[bytes, ...]:
    if started is None:
        return ()
    named = started.message_ids or ((started.message_id,) if started.message_id else ())
    return tuple(found for found in map(parse_id, named) if found is not None)


def _usage(folded: Fold) -> Usage:
    base = folded.usage or Usage()
    completion = estimate_tokens(sum(choice.size for choice in folded.choices()))
    return msgspec.structs.replace(base, completion=max(base.completion, completion), estimated=True)
