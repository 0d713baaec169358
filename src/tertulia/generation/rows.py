"""The tables of generations, and every statement on them."""

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    bindparam,
    select,
    update,
)

from tertulia.storage.statement import Id, Json, Micros, Nano, Statement, insert, insert_ignoring, metadata, subject

generation = Table(
    "generation",
    metadata,
    Column("id", Id, primary_key=True),
    Column("user_id", Id, nullable=False, info=subject("pseudonym")),
    Column("conversation_id", Id),
    Column("message_id", Id),
    Column("anchor_id", Id),
    Column("key_id", Id, info=subject("pseudonym")),
    Column("face", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("provider", Text),
    Column("priority", Text, nullable=False),
    Column("on_disconnect", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("owner", Id, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("last_n", Integer, nullable=False),
    Column("attempts", Json),
    Column("usage", Json),
    Column("held", Nano),
    Column("charged", Nano),
    Column("cancel", Json, info=subject("pseudonym")),
    Column("created_at", Micros, nullable=False),
    Column("started_at", Micros),
    Column("first_token_at", Micros),
    Column("ended_at", Micros),
    Column("finish", Text),
    Column("error", Json),
    Column("folded_at", Micros),
)
_live = (generation.c.state == "queued") | (generation.c.state == "running")
Index("generation_at_anchor", generation.c.anchor_id, unique=True, sqlite_where=_live, postgresql_where=_live)
Index("generation_of_owner", generation.c.owner, sqlite_where=_live, postgresql_where=_live)
_unfolded = generation.c.folded_at.is_(None)
Index("generation_to_fold", generation.c.ended_at, sqlite_where=_unfolded, postgresql_where=_unfolded)
Index("generation_of_user", generation.c.user_id, generation.c.created_at)

generation_event = Table(
    "generation_event",
    metadata,
    Column("generation_id", Id, primary_key=True),
    Column("epoch", Integer, primary_key=True),
    Column("first_n", Integer, primary_key=True),
    Column("last_n", Integer, nullable=False),
    Column("entries", LargeBinary, nullable=False, info=subject("erase")),
)

insert_generation = insert_ignoring(
    generation,
    "id",
    "user_id",
    "conversation_id",
    "message_id",
    "anchor_id",
    "key_id",
    "face",
    "model",
    "provider",
    "priority",
    "on_disconnect",
    "state",
    "owner",
    "epoch",
    "last_n",
    "usage",
    "created_at",
    "started_at",
)

_events = insert(generation_event).values(
    {name: bindparam(name) for name in ("generation_id", "epoch", "first_n", "last_n", "entries")}
)
insert_events = Statement(
    # A batch whose COMMIT had an unknown end is written again, longer: then it takes the place of the first.
    _events.on_conflict_do_update(
        index_elements=["generation_id", "epoch", "first_n"],
        set_={"last_n": _events.excluded.last_n, "entries": _events.excluded.entries},
    ),
    "generation_id",
    "epoch",
    "first_n",
    "last_n",
    "entries",
)

_mine = (generation.c.id == bindparam("of_id")) & (generation.c.epoch == bindparam("of_epoch")) & _live

flush = Statement(update(generation).where(_mine).values(last_n=bindparam("last_n")), "last_n", "of_id", "of_epoch")

begin_running = Statement(
    update(generation).where(_mine).values(state="running", started_at=bindparam("started_at")),
    "started_at",
    "of_id",
    "of_epoch",
)

end = Statement(
    update(generation)
    .where(_mine)
    .values(
        state=bindparam("to_state"),
        last_n=bindparam("last_n"),
        provider=bindparam("provider"),
        attempts=bindparam("attempts"),
        usage=bindparam("usage"),
        charged=bindparam("charged"),
        cancel=bindparam("cancel"),
        started_at=bindparam("started_at"),
        first_token_at=bindparam("first_token_at"),
        ended_at=bindparam("ended_at"),
        finish=bindparam("finish"),
        error=bindparam("error"),
    ),
    "to_state",
    "last_n",
    "provider",
    "attempts",
    "usage",
    "charged",
    "cancel",
    "started_at",
    "first_token_at",
    "ended_at",
    "finish",
    "error",
    "of_id",
    "of_epoch",
)

take_over = Statement(
    update(generation)
    .where(
        (generation.c.id == bindparam("of_id"))
        & (generation.c.epoch == bindparam("of_epoch"))
        & (generation.c.owner == bindparam("of_owner"))
        & _live
    )
    .values(epoch=generation.c.epoch + 1, owner=bindparam("to_owner")),
    "to_owner",
    "of_id",
    "of_epoch",
    "of_owner",
)

orphans = Statement(
    select(generation).where(_live).order_by(generation.c.id).limit(bindparam("most", type_=BigInteger)),
    "most",
)

by_id = Statement(select(generation).where(generation.c.id == bindparam("of_id")), "of_id")

events_of = Statement(
    select(generation_event.c.epoch, generation_event.c.first_n, generation_event.c.last_n, generation_event.c.entries)
    .where(generation_event.c.generation_id == bindparam("of_id"))
    .order_by(generation_event.c.epoch, generation_event.c.first_n),
    "of_id",
)
