"""Statements: made once from SQLAlchemy Core at import, bound to a tuple of values for each use.

SQLAlchemy is the schema and the compiler of SQL only. The driver executes the text with the tuple, which costs a
quarter of Core's own execution.
"""

from functools import cached_property
from typing import Any

import msgspec
from sqlalchemy import Delete, Insert, Select, Table, TextClause, Update, bindparam
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.sql.selectable import CompoundSelect

from tertulia.storage.columns import Id, Json, Micros, Nano, Sequence, columns_without_subject, metadata, subject
from tertulia.storage.form import PostgresForm, SqliteForm, postgres_form, sqlite_form

__all__ = [
    "Bound",
    "Core",
    "Id",
    "Json",
    "Micros",
    "Nano",
    "Sequence",
    "Statement",
    "columns_without_subject",
    "insert",
    "insert_ignoring",
    "insert_row",
    "metadata",
    "subject",
]

Core = Insert | Update | Delete | Select[*tuple[Any, ...]] | CompoundSelect[Any] | TextClause


class Statement:
    """One SQL statement of the product, with its parameters in the order of the tuple.

    `parameters` are the names of all bindparams without a value; constants are written into the SQL, so that partial
    indexes match. Each dialect is compiled at first use; a statement that names other parameters than it has raises
    `ValueError` then. Upserts come from this module's `insert`, whose ON CONFLICT both databases read.
    """

    def __init__(self, core: Core, *parameters: str) -> None:
        self.core = core.inline() if isinstance(core, Insert | Update) else core
        self.parameters = parameters

    def __call__(self, *values: Any) -> "Bound":
        """Bind one value to each parameter, in order."""
        if len(values) != len(self.parameters):
            raise TypeError(f"{self!r} takes {len(self.parameters)} values, not {len(values)}")
        return Bound(self, values)

    def __repr__(self) -> str:
        return f"<Statement ({', '.join(self.parameters)}) {str(self.core).split(maxsplit=3)[:3]}>"

    @property
    def writes(self) -> bool:
        """Whether it may change rows."""
        return not isinstance(self.core, Select | CompoundSelect)

    @cached_property
    def sqlite(self) -> SqliteForm:
        """What SQLite executes."""
        return sqlite_form(self.core, self.parameters)

    @cached_property
    def postgres(self) -> PostgresForm:
        """What Postgres executes."""
        return postgres_form(self.core, self.parameters)


class Bound(msgspec.Struct, frozen=True):
    """A statement with its values; the values stay out of its repr, for they are content."""

    statement: Statement
    values: tuple[Any, ...]

    def __repr__(self) -> str:
        return f"Bound({self.statement!r})"


def insert_row(table: Table, *names: str) -> Statement:
    """Insert one row; `names` are the columns that it gives, in order."""
    return Statement(insert(table).values(_binds(names)), *names)


def insert_ignoring(table: Table, *names: str) -> Statement:
    """Insert one row unless any unique key has it already: the guard whose row count says which."""
    return Statement(insert(table).values(_binds(names)).on_conflict_do_nothing(), *names)


def _binds(names: tuple[str, ...]) -> dict[str, Any]:
    return {name: bindparam(name) for name in names}
