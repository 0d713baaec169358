"""A small schema for the tests of storage: accounts, entries, a counted log; and a child program's way to use it."""

import os

import psycopg
from sqlalchemy import (
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    bindparam,
    delete,
    func,
    select,
    text,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.schema import CreateIndex, CreateTable

from tertulia.storage.driver import connect
from tertulia.storage.statement import Id, Json, Micros, Nano, Sequence, Statement, insert, insert_ignoring, insert_row
from tertulia.storage.writer import parse_url

schema = MetaData()

account = Table(
    "account",
    schema,
    Column("id", Id, primary_key=True),
    Column("balance", Nano, nullable=False),
    Column("held", Nano, nullable=False),
    Column("version", Integer, nullable=False),
    sqlite_with_rowid=False,
)
entry = Table(
    "entry",
    schema,
    Column("id", Id, primary_key=True),
    Column("account_id", Id, ForeignKey("account.id"), nullable=False),
    Column("state", Text, nullable=False),
    Column("note", Text),
    Column("body", Json),
    Column("raw", LargeBinary),
    Column("ratio", Float),
    Column("at", Micros),
    sqlite_with_rowid=False,
)
_open = entry.c.state.in_(("queued", "running"))
Index("one_open", entry.c.account_id, unique=True, sqlite_where=_open, postgresql_where=_open)
later = Table(
    "later",
    schema,
    Column("id", Id, primary_key=True),
    Column("entry_id", Id, ForeignKey("entry.id", deferrable=True, initially="DEFERRED"), nullable=False),
    sqlite_with_rowid=False,
)
seen = Table("seen", schema, Column("seq", Sequence, primary_key=True), Column("what", Text, nullable=False))

open_account = insert_row(account, "id", "balance", "held", "version")
open_account_once = insert_ignoring(account, "id", "balance", "held", "version")
hold = Statement(
    update(account)
    .where(account.c.id == bindparam("of"), account.c.balance - account.c.held >= bindparam("amount"))
    .values(held=account.c.held + bindparam("amount")),
    "amount",
    "of",
)
step = Statement(
    update(account)
    .where(account.c.id == bindparam("of"), account.c.version == bindparam("seen"))
    .values(version=account.c.version + 1),
    "of",
    "seen",
)
earn = Statement(
    update(account).where(account.c.id == bindparam("of")).values(balance=account.c.balance + bindparam("amount")),
    "of",
    "amount",
)
earn_everywhere = Statement(update(account).values(balance=account.c.balance + bindparam("amount")), "amount")
exists = Statement(select(account.c.id).where(account.c.id == bindparam("of")), "of")
close_account = Statement(delete(account).where(account.c.id == bindparam("of")), "of")
add_entry = insert_row(entry, "id", "account_id", "state", "note", "body", "raw", "ratio", "at")
open_entry = Statement(
    insert(entry)
    .values(id=bindparam("id"), account_id=bindparam("of"), state="queued")
    .on_conflict_do_nothing(index_elements=[entry.c.account_id], index_where=_open),
    "id",
    "of",
)
set_note = Statement(
    (
        made := insert(entry).values(
            id=bindparam("id"), account_id=bindparam("of"), state="done", note=bindparam("note")
        )
    ).on_conflict_do_update(index_elements=[entry.c.id], set_={"note": made.excluded.note + bindparam("more")}),
    "id",
    "of",
    "note",
    "more",
)
drop_entry = Statement(delete(entry).where(entry.c.id == bindparam("id")), "id")
promise_entry = insert_row(later, "id", "entry_id")
note_down = insert_row(seen, "what")

accounts = Statement(select(account).order_by(account.c.id))
one_account = Statement(
    select(account.c.balance, account.c.held, account.c.version).where(account.c.id == bindparam("of")), "of"
)
entries = Statement(select(entry).order_by(entry.c.id))
entry_ids = Statement(select(entry.c.id))
seen_in_order = Statement(select(seen.c.seq, seen.c.what).order_by(seen.c.seq))
totals = Statement(
    select(
        func.sum(account.c.balance),
        func.count(),
        func.avg(account.c.balance),
        func.max(account.c.balance) > bindparam("limit", type_=Nano),
    ),
    "limit",
)
endless = Statement(
    text("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 4000000000) SELECT count(*) FROM n")
)


def create(url: str) -> None:
    """Make the tables."""
    address = parse_url(url)
    dialect = postgresql.dialect() if isinstance(address, str) else sqlite.dialect()
    commands = [str(CreateTable(table).compile(dialect=dialect)) for table in schema.sorted_tables]
    commands += [str(CreateIndex(index).compile(dialect=dialect)) for t in schema.sorted_tables for index in t.indexes]
    if isinstance(address, str):
        with psycopg.connect(address, autocommit=True) as connection:
            for command in commands:
                connection.execute(command.encode())
        return
    with_file = connect(address, mode="rwc")
    for command in commands:
        with_file.execute(command)
    with_file.close()


def new() -> bytes:
    """Make an id."""
    return os.urandom(16)
