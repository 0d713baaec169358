"""The table of usage, and every statement on it."""

from sqlalchemy import Column, Index, Integer, Table, Text, bindparam, select

from tertulia.storage.statement import Id, Json, Micros, Nano, Statement, insert_ignoring, metadata, subject

usage = Table(
    "usage",
    metadata,
    Column("id", Id, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("user_id", Id, nullable=False, info=subject("pseudonym")),
    Column("key_id", Id, info=subject("pseudonym")),
    Column("conversation_id", Id),
    Column("provider", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("at", Micros, nullable=False),
    Column("prompt", Integer, nullable=False),
    Column("completion", Integer, nullable=False),
    Column("cached", Integer, nullable=False),
    Column("cache_write", Integer, nullable=False),
    Column("reasoning", Integer, nullable=False),
    Column("images", Integer, nullable=False),
    Column("first_token_ms", Integer),
    Column("compute_ms", Integer, nullable=False),
    Column("cost", Nano),
    Column("charged", Nano, nullable=False),
    Column("price", Json),
    Column("own_key", Integer, nullable=False),
    Column("estimated", Integer, nullable=False),
    Column("outcome", Text, nullable=False),
)
Index("usage_by_user", usage.c.user_id, usage.c.at)
Index("usage_by_key", usage.c.key_id, usage.c.at)
Index("usage_by_time", usage.c.at)

insert_usage = insert_ignoring(usage, *(column.name for column in usage.columns))

owner_of = Statement(select(usage.c.user_id).where(usage.c.id == bindparam("of_id")), "of_id")
