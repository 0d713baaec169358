"""The authorised way to a generation: who may see it, follow it, stop it (HTTP contract, Generations)."""

from typing import Any

import msgspec

from tertulia.generation import rows
from tertulia.generation.log import Log
from tertulia.identity.principal import Principal
from tertulia.kernel.errors import Forbidden, NotFound, TertuliaError
from tertulia.kernel.ids import id_text
from tertulia.storage.writer import Storage
from tertulia.turn.codec import decode_events
from tertulia.turn.ending import Cancel, Ending
from tertulia.turn.events import Fault
from tertulia.turn.usage import Usage


class GenerationExpired(NotFound):
    """It was ephemeral, and its log is gone from memory; what is left of it is its usage."""

    code = "generation_expired"


class LogBroken(TertuliaError):
    """A stored log lacks entries."""

    code = "internal"


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """A generation's row."""

    id: bytes
    user_id: bytes
    conversation_id: bytes | None
    message_id: bytes | None
    anchor_id: bytes | None
    key_id: bytes | None
    face: str
    model: str
    provider: str | None
    state: str
    owner: bytes
    epoch: int
    last_n: int
    attempts: list[dict[str, Any]]
    usage: Usage | None
    charged: int | None
    cancel: Cancel | None
    created_at: int
    started_at: int | None
    first_token_at: int | None
    ended_at: int | None
    finish: str | None
    error: Fault | None


def stored(row: tuple[Any, ...]) -> Stored:
    """Read a row of `generation`."""
    value = dict(zip(rows.generation.columns.keys(), row, strict=True))
    return Stored(
        **{
            name: value[name]
            for name in Stored.__struct_fields__
            if name not in {"attempts", "usage", "cancel", "error"}
        },
        attempts=msgspec.json.decode(value["attempts"] or "[]", type=list[dict[str, Any]]),
        usage=msgspec.json.decode(value["usage"], type=Usage) if value["usage"] else None,
        cancel=msgspec.json.decode(value["cancel"], type=Cancel) if value["cancel"] else None,
        error=msgspec.json.decode(value["error"], type=Fault) if value["error"] else None,
    )


def stored_of_ending(ending: Ending, state: str, last_n: int) -> Stored:
    """Say of one that lived in memory what its row would say."""
    return Stored(
        id=ending.generation_id,
        user_id=ending.user_id,
        conversation_id=ending.conversation_id,
        message_id=None,
        anchor_id=None,
        key_id=ending.key_id,
        face=ending.face,
        model=ending.model,
        provider=ending.provider,
        state=state,
        owner=b"",
        epoch=0,
        last_n=last_n,
        attempts=list(ending.attempts),
        usage=ending.usage,
        charged=None,
        cancel=ending.cancel,
        created_at=ending.created_at,
        started_at=ending.started_at,
        first_token_at=ending.first_token_at,
        ended_at=ending.ended_at,
        finish=ending.finish,
        error=ending.fault,
    )


def require_owner(principal: Principal, user_id: bytes) -> None:
    """Let the owner pass, and supervisors with a credential made for that; raise `Forbidden` for everybody else."""
    supervises = principal.at_least("supervisor") and bool({"supervise", "admin"} & principal.scopes)
    if principal.user_id != user_id and not supervises:
        raise Forbidden("This generation belongs to another user, and your key has not the scope 'supervise'.")


async def find_stored(storage: Storage, generation_id: bytes) -> Stored | None:
    """Read a durable generation's row."""
    found = await storage.fetch(rows.by_id(generation_id))
    return stored(found[0]) if found else None


async def stored_log(storage: Storage, generation_id: bytes) -> Log:
    """Read a durable generation's log from its rows; empty where it has been folded away.

    Raises `LogBroken` and `UnreadableLog` for a database that is damaged or newer.
    """
    log: Log | None = None
    for epoch, first_n, _, entries in await storage.fetch(rows.events_of(generation_id)):
        if log is None:
            log = Log(epoch)
        elif log.epochs[-1][1] != epoch:
            log.take_over(epoch)
        if first_n != len(log.entries) + 1:
            raise LogBroken(f"The stored log of {id_text(generation_id)} lacks entry {len(log.entries) + 1}.")
        log.append(decode_events(entries))
    return log or Log()
