"""The product's own tables and statements, whichever rooms there are: migrated as declared, understood by both."""

import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import NullPool, create_engine

import tertulia
from tertulia.storage.columns import columns_without_subject, metadata
from tertulia.storage.driver import connect, library
from tertulia.storage.migrate import migrate
from tertulia.storage.statement import Statement
from tertulia.storage.writer import parse_url

_SOURCE = Path(tertulia.__file__).parent


def rows_modules() -> Iterator[ModuleType]:
    for name in ("rows", "search"):
        for path in sorted(_SOURCE.rglob(f"{name}.py")):
            yield importlib.import_module(".".join(("tertulia", *path.relative_to(_SOURCE).with_suffix("").parts)))


def statements() -> dict[str, Statement]:
    return {
        f"{module.__name__}.{name}": value
        for module in rows_modules()
        for name, value in vars(module).items()
        if isinstance(value, Statement)
    }


@pytest.fixture(params=["sqlite", "postgres"])
def migrated(request: pytest.FixtureRequest) -> str:
    url: str = request.getfixturevalue(f"{request.param}_url")
    migrate(url)
    return url


def test_the_migrations_make_the_tables_that_the_rooms_declare(migrated: str):
    assert statements()
    address = parse_url(migrated)
    if isinstance(address, str):
        engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(address), poolclass=NullPool)
    else:
        engine = create_engine("sqlite://", creator=lambda: connect(address), module=library, poolclass=NullPool)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"include_name": _is_declared})
        assert compare_metadata(context, metadata) == []


def _is_declared(name: str | None, kind: str, _: object) -> bool:
    """Leave out what SQL alone can make and a schema object cannot: the tables of full-text search."""
    return kind != "table" or name is None or not name.startswith(("message_text", "sqlite_"))


def test_both_databases_understand_every_statement(migrated: str):
    address = parse_url(migrated)
    faults: dict[str, object] = {}
    if isinstance(address, str):
        with psycopg.connect(address, autocommit=True) as connection:
            for name, statement in statements().items():
                form = statement.postgres
                prepared = connection.pgconn.prepare(b"", form.sql, form.types)
                if prepared.status != psycopg.pq.ExecStatus.COMMAND_OK:
                    faults[name] = prepared.get_error_message()
    else:
        file = connect(address)
        for name, statement in statements().items():
            form = statement.sqlite
            try:
                file.execute(f"EXPLAIN {form.sql}", [None] * form.sql.count("?"))
            except library.Error as error:
                faults[name] = error
        file.close()
    assert faults == {}


def test_every_column_that_points_at_a_user_says_what_erasure_does_to_it():
    assert list(rows_modules())
    assert columns_without_subject(metadata) == []
