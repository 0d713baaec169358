"""The one schema object, its column types, and what each column means for the person whom it speaks of."""

import re
from typing import Any, Final, Literal, cast

from sqlalchemy import BigInteger, Column, Integer, MetaData, Table, event
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.types import UserDefinedType

Fate = Literal["erase", "pseudonym", "keep"]

metadata: Final = MetaData()
"""The schema of the whole product; each room's `rows.py` declares its tables on it."""


class Id(UserDefinedType[bytes]):
    """A 16-byte id: `BLOB(16)` on SQLite, `uuid` on Postgres, `bytes` in Python."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        """Name the type as SQLite knows it."""
        return "BLOB(16)"


class Json(UserDefinedType[str]):
    """JSON that is encoded already: `str` or UTF-8 `bytes` in, `str` out; `TEXT` on SQLite, `jsonb` on Postgres.

    What comes back is the same value, not the same text: jsonb keeps neither spaces nor the order of keys. Whether
    it is JSON at all is checked by Postgres only; encoders make it, never clients.
    """

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        """Name the type as SQLite knows it."""
        return "TEXT"


@compiles(Id, "postgresql")
def _uuid(*_: object, **__: object) -> str:
    return "UUID"


@compiles(Json, "postgresql")
def _jsonb(*_: object, **__: object) -> str:
    return "JSONB"


class Micros(BigInteger):
    """A time: integer microseconds since 1970, UTC."""


class Nano(BigInteger):
    """Money: integer nano-credits."""


Sequence: Final = BigInteger().with_variant(Integer(), "sqlite")
"""A key that the database counts up in the order of commits, and never gives out twice."""


@event.listens_for(Table, "after_parent_attach")
def _lay_out(table: Table, parent: MetaData) -> None:
    """Keep rows in the tree of their key on SQLite, unless the key is counted.

    A counted key is AUTOINCREMENT: without it SQLite gives the number of a deleted last row out again, and whoever
    remembers how far it has read (search) would pass the new row by.
    """
    if parent is not metadata:
        return
    key = list(table.primary_key.columns)
    counted = len(key) == 1 and key[0].type is Sequence
    options = cast("dict[str, Any]", table.dialect_options["sqlite"])
    if counted:
        options["autoincrement"] = True
    elif key and "sqlite_with_rowid" not in list(table.dialect_kwargs):  # `in` finds defaults too
        options["with_rowid"] = False


def subject(fate: Fate) -> dict[str, Any]:
    """Say in `Column(info=…)` what becomes of the column when its person is erased.

    `erase`: goes with the row or is emptied; `pseudonym`: keeps the id of a row that is gone; `keep`: stays.
    """
    return {"subject": fate}


_OF_A_USER: Final = re.compile(r"(^|_)(user|actor|member|owner|author|creator)_id$")
_FATES: Final = frozenset(("erase", "pseudonym", "keep"))


def columns_without_subject(of: MetaData) -> list[str]:
    """List, as `table.column`, the columns that point at a user and do not say what erasure does to them.

    A column points at a user by a foreign key to `user.id`, or by its name (`user_id`, `actor_id`, `invited_user_id`).
    """
    return sorted(
        f"{table.name}.{column.name}"
        for table in of.tables.values()
        for column in table.columns
        if _points_at_user(column) and column.info.get("subject") not in _FATES
    )


def _points_at_user(column: Column[Any]) -> bool:
    by_key = any(key.target_fullname == "user.id" for key in column.foreign_keys)
    return by_key or _OF_A_USER.search(column.name) is not None
