"""The tables of conversations, and every statement on them."""

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, Table, Text, bindparam, update

from tertulia.storage.statement import Id, Json, Micros, Nano, Sequence, Statement, insert_row, metadata, subject

conversation = Table(
    "conversation",
    metadata,
    Column("id", Id, primary_key=True),
    Column("user_id", Id, ForeignKey("user.id"), nullable=False, info=subject("erase")),
    Column("character_id", Id),
    Column("guild_id", Text),
    Column("parent_id", Id),
    Column("root_id", Id, nullable=False),
    Column("forked_from", Id),
    Column("client_id", Text, info=subject("erase")),
    Column("title", Text, nullable=False, info=subject("erase")),
    Column("model", Text),
    Column("source", Text, nullable=False),
    Column("settings", Json),
    Column("leaf_id", Id),
    Column("read_seq", BigInteger, nullable=False, server_default="0"),
    Column("preview", Text, nullable=False, server_default="", info=subject("erase")),
    Column("message_count", Integer, nullable=False),
    Column("pinned", Integer, nullable=False, server_default="0"),
    Column("archived", Integer, nullable=False, server_default="0"),
    Column("legal_hold", Integer, nullable=False, server_default="0"),
    Column("version", Integer, nullable=False),
    Column("created_at", Micros, nullable=False),
    Column("updated_at", Micros, nullable=False),
    Column("active_at", Micros, nullable=False),
    Column("deleted_at", Micros),
)
Index(
    "conversation_by_activity",
    conversation.c.user_id,
    conversation.c.deleted_at,
    conversation.c.active_at.desc(),
    conversation.c.id,
)
_guild = conversation.c.guild_id.is_not(None)
Index(
    "conversation_by_guild",
    conversation.c.user_id,
    conversation.c.guild_id,
    unique=True,
    sqlite_where=_guild,
    postgresql_where=_guild,
)
_deleted = conversation.c.deleted_at.is_not(None)
Index("conversation_deleted", conversation.c.deleted_at, sqlite_where=_deleted, postgresql_where=_deleted)

message = Table(
    "message",
    metadata,
    Column("seq", Sequence, primary_key=True),
    Column("id", Id, nullable=False, unique=True),
    Column("conversation_id", Id, ForeignKey("conversation.id"), nullable=False),
    Column("parent_id", Id),
    Column("depth", Integer, nullable=False),
    Column("role", Text, nullable=False),
    Column("sender", Text),
    Column("parts", Json, nullable=False, info=subject("erase")),
    Column("reasoning", Text, info=subject("erase")),
    Column("opaque", Json, info=subject("erase")),
    Column("model", Text),
    Column("generation_id", Id),
    Column("status", Text, nullable=False),
    Column("finish", Text),
    Column("error", Json),
    Column("cancelled_by", Json),
    Column("usage", Json),
    Column("client_usage", Json),
    Column("credits", Nano),
    Column("ranking", Integer),
    Column("version", Integer, nullable=False),
    Column("created_at", Micros, nullable=False),
    Column("edited_at", Micros),
)
Index("message_in_tree", message.c.conversation_id, message.c.parent_id, message.c.seq)

insert_conversation = insert_row(
    conversation,
    "id",
    "user_id",
    "root_id",
    "title",
    "model",
    "source",
    "leaf_id",
    "preview",
    "message_count",
    "version",
    "created_at",
    "updated_at",
    "active_at",
)

insert_message = insert_row(
    message,
    "id",
    "conversation_id",
    "parent_id",
    "depth",
    "role",
    "parts",
    "model",
    "generation_id",
    "status",
    "version",
    "created_at",
)

begin_answer = Statement(
    update(message)
    .where((message.c.id == bindparam("of_id")) & (message.c.status == "queued"))
    .values(status="streaming"),
    "of_id",
)

finish_message = Statement(
    update(message)
    .where(message.c.id == bindparam("of_id"))
    .values(
        parts=bindparam("parts"),
        reasoning=bindparam("reasoning"),
        opaque=bindparam("opaque"),
        status=bindparam("status"),
        finish=bindparam("finish"),
        error=bindparam("error"),
        cancelled_by=bindparam("cancelled_by"),
        usage=bindparam("usage"),
    ),
    "parts",
    "reasoning",
    "opaque",
    "status",
    "finish",
    "error",
    "cancelled_by",
    "usage",
    "of_id",
)
