"""The tables of identity, and every statement on them."""

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, LargeBinary, Table, Text, bindparam, select

from tertulia.storage.statement import Id, Json, Micros, Nano, Statement, insert_ignoring, metadata, subject

user = Table(
    "user",
    metadata,
    Column("id", Id, primary_key=True, info=subject("pseudonym")),
    Column("name", Text, nullable=False, unique=True, info=subject("erase")),
    Column("email", Text, unique=True, info=subject("erase")),
    Column("role", Text, nullable=False, info=subject("keep")),
    Column("plan", Text, nullable=False, info=subject("keep")),
    Column("password", Text, info=subject("erase")),
    Column("locale", Text, info=subject("erase")),
    Column("time_zone", Text, info=subject("erase")),
    Column("preferences", Json, info=subject("erase")),
    Column("consents", Json, info=subject("erase")),
    Column("restricted_at", Micros, info=subject("keep")),
    Column("legal_hold", Integer, nullable=False, server_default="0", info=subject("keep")),
    Column("disabled_at", Micros, info=subject("keep")),
    Column("created_at", Micros, nullable=False, info=subject("keep")),
    Column("version", Integer, nullable=False, info=subject("keep")),
)

api_key = Table(
    "api_key",
    metadata,
    Column("id", Id, primary_key=True),
    Column("user_id", Id, ForeignKey("user.id"), nullable=False, info=subject("erase")),
    Column("name", Text, nullable=False, info=subject("erase")),
    Column("digest", LargeBinary, nullable=False, unique=True, info=subject("erase")),
    Column("last4", Text, nullable=False, info=subject("erase")),
    Column("scopes", Json, nullable=False),
    Column("models", Json),
    Column("limits", Json),
    Column("budget", Nano),
    Column("spent", BigInteger, nullable=False, server_default="0"),
    Column("held", BigInteger, nullable=False, server_default="0"),
    Column("on_disconnect", Text),
    Column("created_at", Micros, nullable=False),
    Column("expires_at", Micros),
    Column("revoked_at", Micros),
)

Index("api_key_of_user", api_key.c.user_id)

insert_user = insert_ignoring(user, "id", "name", "email", "role", "plan", "created_at", "version")
insert_key = insert_ignoring(api_key, "id", "user_id", "name", "digest", "last4", "scopes", "created_at", "expires_at")

user_by_name = Statement(select(user.c.id, user.c.name, user.c.role).where(user.c.name == bindparam("name")), "name")

all_users = Statement(
    select(
        user.c.id, user.c.name, user.c.email, user.c.role, user.c.plan, user.c.disabled_at, user.c.created_at
    ).order_by(user.c.name)
)

key_by_digest = Statement(
    select(
        user.c.id,
        user.c.name,
        user.c.role,
        user.c.disabled_at,
        api_key.c.id,
        api_key.c.scopes,
        api_key.c.expires_at,
        api_key.c.revoked_at,
    )
    .join_from(api_key, user, api_key.c.user_id == user.c.id)
    .where(api_key.c.digest == bindparam("digest")),
    "digest",
)
