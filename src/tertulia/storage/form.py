"""What a statement becomes for each database: SQL text, and how its tuple is packed.

Two differences between the databases end here. Text with NUL is refused before either sees it, for SQLite would take
it; a lone surrogate fails in the encoding to UTF-8 on both. Escapes of the two inside JSON are refused likewise.
"""

import re
from collections.abc import Callable, Sequence
from functools import cache
from operator import itemgetter
from typing import Any, Final, cast

import msgspec
from sqlalchemy import BindParameter, Boolean, Float, Integer, LargeBinary, String
from sqlalchemy.dialects.sqlite.base import SQLiteCompiler, SQLiteDialect
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import ClauseElement
from sqlalchemy.types import TypeEngine

from tertulia.storage.columns import Id, Json

Values = tuple[Any, ...]
Encode = Callable[[Any], bytes]


class UnstorableTextError(ValueError):
    """Text that one of the databases cannot hold: it has a NUL or a lone surrogate."""


class SqliteForm(msgspec.Struct, frozen=True):
    """SQL with `?` marks; `pack` orders and screens the values, None where the tuple can be taken as it is."""

    sql: str
    pack: Callable[[Values], Values] | None
    returns: bool


class PostgresForm(msgspec.Struct, frozen=True, eq=False):
    """SQL with `$1` marks, and per mark the type (OID), wire format (0 text, 1 binary), encoder and place."""

    sql: bytes
    types: tuple[int, ...]
    formats: tuple[int, ...]
    encoders: tuple[tuple[int, Encode], ...]

    def pack(self, values: Values) -> list[bytes | None]:
        """Encode values as libpq takes them."""
        return [None if (value := values[place]) is None else encode(value) for place, encode in self.encoders]


def sqlite_form(core: ClauseElement, parameters: Sequence[str]) -> SqliteForm:
    """Compile for SQLite."""
    compiled = _compile(core, _sqlite_dialect(), parameters)
    marks = _marks(compiled)
    order = tuple(parameters.index(mark.key) for mark in marks)
    screens = {place: screen for place, mark in zip(order, marks, strict=True) if (screen := _screen(mark.type))}
    return SqliteForm(compiled.string, _packer(order, len(parameters), tuple(screens.items())), _returns(compiled))


def postgres_form(core: ClauseElement, parameters: Sequence[str]) -> PostgresForm:
    """Compile for Postgres."""
    compiled = _compile(core, _postgres_dialect(), parameters)
    marks = _marks(compiled)
    wires = [_wire(mark) for mark in marks]
    return PostgresForm(
        compiled.string.encode(),
        tuple(wire.type for wire in wires),
        tuple(wire.format for wire in wires),
        tuple((parameters.index(mark.key), wire.encode) for mark, wire in zip(marks, wires, strict=True)),
    )


class _ConstantsInline(SQLCompiler):
    """Writes constants into the SQL; only what has no value yet becomes a mark."""

    def visit_bindparam(self, bindparam: BindParameter[Any], *args: Any, **kw: Any) -> str:
        if not bindparam.required:
            kw["literal_binds"] = True
        # SQLAlchemy leaves its compilers untyped.
        return str(super().visit_bindparam(bindparam, *args, **kw))  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]


class _SqliteCompiler(_ConstantsInline, SQLiteCompiler):
    pass


class _SqliteDialect(SQLiteDialect):
    statement_compiler = _SqliteCompiler
    supports_statement_cache = True


@cache
def _sqlite_dialect() -> DefaultDialect:
    return _SqliteDialect(paramstyle="qmark")


@cache
def _postgres_dialect() -> DefaultDialect:
    # Not at the top: a server on SQLite need not pay for loading it.
    from sqlalchemy.dialects.postgresql.base import PGCompiler, PGDialect  # noqa: PLC0415

    class _PostgresCompiler(_ConstantsInline, PGCompiler):
        """Reads the ON CONFLICT of SQLite's `insert` too, which lacks only what it cannot name: a constraint."""

        def visit_on_conflict_do_nothing(self, on_conflict: Any, **kw: Any) -> str:
            on_conflict.constraint_target = None
            return super().visit_on_conflict_do_nothing(on_conflict, **kw)  # pyright: ignore[reportUnknownMemberType]

        def visit_on_conflict_do_update(self, on_conflict: Any, **kw: Any) -> str:
            on_conflict.constraint_target = None
            return super().visit_on_conflict_do_update(on_conflict, **kw)  # pyright: ignore[reportUnknownMemberType]

    class _PostgresDialect(PGDialect):
        statement_compiler = _PostgresCompiler
        supports_statement_cache = True

    return _PostgresDialect(paramstyle="numeric_dollar")


def _compile(core: ClauseElement, dialect: DefaultDialect, parameters: Sequence[str]) -> SQLCompiler:
    compiled = core.compile(dialect=dialect)
    if not isinstance(compiled, SQLCompiler):
        raise TypeError(f"{core!r} is not a statement")
    named = set(compiled.binds)
    if named != set(parameters):
        raise ValueError(f"The statement has the parameters {sorted(named)}, not {sorted(parameters)}: {compiled}")
    return compiled


def _marks(compiled: SQLCompiler) -> list[BindParameter[Any]]:
    return [compiled.binds[name] for name in compiled.positiontup or ()]


def _returns(compiled: SQLCompiler) -> bool:
    statement = compiled.statement
    return bool(getattr(statement, "is_select", False)) or bool(compiled.effective_returning)


def _packer(
    order: tuple[int, ...], count: int, screens: tuple[tuple[int, Callable[[Any], Any]], ...]
) -> Callable[[Values], Values] | None:
    arrange = _arranger(order, count)
    if not screens:
        return arrange

    def pack(values: Values) -> Values:
        out = list(values)
        for place, screen in screens:
            if (value := out[place]) is not None:
                out[place] = screen(value)
        packed = tuple(out)
        return packed if arrange is None else arrange(packed)

    return pack


def _arranger(order: tuple[int, ...], count: int) -> Callable[[Values], Values] | None:
    if order == tuple(range(count)):
        return None
    if len(order) == 1:
        place = order[0]
        return lambda values: (values[place],)
    if not order:
        return lambda _: ()
    return cast("Callable[[Values], Values]", itemgetter(*order))


# Text


def _screen(kind: TypeEngine[Any]) -> Callable[[Any], Any] | None:
    if isinstance(kind, Json):
        return _json_text
    return _text if isinstance(kind, String) else None


def _text(value: str) -> str:
    if "\0" in value:
        raise UnstorableTextError
    return value


def _json_text(value: str | bytes) -> str:
    text = value.decode() if isinstance(value, bytes) else value
    if "\\u" in text:
        _screen_escapes(text)
    return _text(text)


_ESCAPE: Final = re.compile(r"\\(?:u([0-9a-fA-F]{4})|.)", re.DOTALL)


def _screen_escapes(text: str) -> None:
    """Refuse the escape of a NUL, and that of half a surrogate pair without the other half behind it."""
    high_ends = -1
    for escape in _ESCAPE.finditer(text):
        unit = int(escape[1] or "20", 16)
        is_low = 0xDC00 <= unit < 0xE000
        if unit == 0 or is_low != (escape.start() == high_ends):
            raise UnstorableTextError
        high_ends = escape.end() if 0xD800 <= unit < 0xDC00 else -1
        if high_ends > 0 and not text.startswith("\\u", high_ends):
            raise UnstorableTextError


# Postgres's wire formats (PostgreSQL manual, "Message Formats"; OIDs from pg_type.dat)


class _Wire(msgspec.Struct, frozen=True):
    type: int
    format: int
    encode: Encode


def _same(value: bytes) -> bytes:
    return bytes(value)


def _digits(value: int) -> bytes:
    return b"%d" % value


def _real(value: float) -> bytes:
    return repr(float(value)).encode()


def _utf8(value: str) -> bytes:
    return _text(value).encode()


def _json_utf8(value: str | bytes) -> bytes:
    return _json_text(value).encode()


def _truth(value: object) -> bytes:
    return b"t" if value else b"f"


_WIRES: Final[tuple[tuple[type[TypeEngine[Any]], _Wire], ...]] = (
    (Id, _Wire(2950, 1, _same)),
    (Json, _Wire(3802, 0, _json_utf8)),
    (Integer, _Wire(20, 0, _digits)),
    # Binary, because a text value ends at its first NUL there.
    (String, _Wire(25, 1, _utf8)),
    (LargeBinary, _Wire(17, 1, _same)),
    (Boolean, _Wire(16, 0, _truth)),
    (Float, _Wire(701, 0, _real)),
)


def _wire(mark: BindParameter[Any]) -> _Wire:
    for kind, wire in _WIRES:
        if isinstance(mark.type, kind):
            return wire
    raise ValueError(f"Give the parameter {mark.key!r} a column type that storage knows, not {mark.type!r}")
