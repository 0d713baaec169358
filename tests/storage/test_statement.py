"""Statements and columns: what is compiled, and what is refused at once."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Column, ForeignKey, MetaData, Table, Text, bindparam, func, null, select, text, update

from tertulia.storage.columns import Id, columns_without_subject, metadata, subject
from tertulia.storage.form import UnstorableTextError
from tertulia.storage.statement import Statement, insert
from tertulia.storage.unit import Guard, Unit
from tests.storage import bank


def flat(sql: str) -> str:
    return re.sub(r"\s+", " ", sql).strip()


def test_parameters_are_put_where_the_sql_wants_them():
    assert flat(bank.hold.sqlite.sql) == (
        "UPDATE account SET held=(account.held + ?) WHERE account.id = ? AND account.balance - account.held >= ?"
    )
    pack = bank.hold.sqlite.pack
    assert pack is not None
    assert pack((7, b"u")) == (7, b"u", 7)
    assert b"$2 AND account.balance - account.held >= $1" in bank.hold.postgres.sql
    assert bank.hold.postgres.pack((7, b"u" * 16)) == [b"7", b"u" * 16]


def test_a_tuple_in_the_order_of_the_sql_is_taken_as_it_is():
    statement = Statement(select(bank.account).where(bank.account.c.id == bindparam("of")), "of")
    assert statement.sqlite.pack is None
    assert Statement(select(bank.account)).sqlite.pack is None


def test_constants_are_written_into_the_sql_so_that_partial_indexes_match():
    for sql in (bank.open_entry.sqlite.sql, bank.open_entry.postgres.sql.decode()):
        assert "(account_id) WHERE state IN ('queued', 'running') DO NOTHING" in sql
        assert "'queued')" in sql
    odd = Statement(update(bank.entry).values(note="it's 100%", body=null(), at=5).where(bank.entry.c.ratio > 0.5))
    assert "note='it''s 100%'" in odd.sqlite.sql
    assert b"note='it''s 100%'" in odd.postgres.sql
    assert odd.parameters == ()


@pytest.mark.parametrize("names", [("of",), ("amount", "of", "more"), ("amount", "off"), ()])
def test_a_statement_that_names_other_parameters_than_it_has_is_a_fault(names):
    statement = Statement(bank.hold.core, *names)
    for form in ("sqlite", "postgres"):
        with pytest.raises(ValueError, match="parameters"):
            getattr(statement, form)


def test_a_parameter_without_a_type_is_a_fault_on_postgres():
    statement = Statement(select(func.lower(bindparam("x"))), "x")
    with pytest.raises(ValueError, match="'x'"):
        _ = statement.postgres


def test_the_wrong_number_of_values_is_a_fault():
    with pytest.raises(TypeError, match="2 values, not 1"):
        bank.hold(1)


def test_values_are_in_no_repr():
    of = bank.new()
    bound = bank.add_entry(of, of, "done", "canary", '"canary"', b"canary", None, None)
    unit = Unit("key", (Guard(bank.exists(of), name="there"),), (bound,), durable=True)
    assert "canary" not in repr(bound)
    assert "canary" not in repr(unit)
    assert "INSERT" in repr(bound)


def test_an_insert_returns_nothing_of_itself():
    assert b"RETURNING" not in bank.note_down.postgres.sql
    assert "RETURNING" not in bank.note_down.sqlite.sql
    returning = Statement(insert(bank.seen).values(what=bindparam("what")).returning(bank.seen.c.seq), "what")
    assert returning.sqlite.returns
    assert returning.writes
    assert not bank.exists.writes


_parts = st.lists(
    st.sampled_from(
        ["\\u0000", "\\ud800", "\\udc00", "\\ud83d\\ude00", "\\\\", "\\n", '\\"', "u0000", "a", "é", "\\u0041"]
    )
)


@given(_parts.map("".join))
def test_json_is_refused_exactly_when_its_text_could_not_be_stored(inner: str):
    document = f'"{inner}"'
    value = json.loads(document)
    storable = "\0" not in value and not any(0xD800 <= ord(letter) < 0xE000 for letter in value)
    values = (b"i" * 16, b"a" * 16, "done", None, document, None, None, None)
    pack = bank.add_entry.sqlite.pack
    assert pack is not None
    for take in (pack, bank.add_entry.postgres.pack):
        if storable:
            assert document in take(values) or document.encode() in take(values)
        else:
            with pytest.raises(UnstorableTextError):
                take(values)


def test_text_of_ones_own_has_its_parameters_too():
    matching = Statement(text("SELECT 1 FROM t WHERE t MATCH :q").bindparams(bindparam("q", type_=Text)), "q")
    assert matching.sqlite.sql == "SELECT 1 FROM t WHERE t MATCH ?"
    assert matching.postgres.sql == b"SELECT 1 FROM t WHERE t MATCH $1"


def test_columns_that_point_at_a_user_must_say_what_erasure_does():
    schema = MetaData()
    Table("user", schema, Column("id", Id, primary_key=True))
    Table(
        "thing",
        schema,
        Column("id", Id, primary_key=True),
        Column("user_id", Id, info=subject("erase")),
        Column("actor_id", Id),
        Column("payer", Id, ForeignKey("user.id")),
        Column("seller", Id, ForeignKey("user.id"), info=subject("pseudonym")),
        Column("invited_user_id", Id, info={"subject": "perhaps"}),
        Column("user_identity", Id),
    )
    assert columns_without_subject(schema) == ["thing.actor_id", "thing.invited_user_id", "thing.payer"]


def test_the_products_tables_are_none_of_this_files():
    assert not set(metadata.tables) & set(bank.schema.tables)
