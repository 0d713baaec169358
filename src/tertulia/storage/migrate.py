"""Bringing a database to the schema of this code, by the one tree of Alembic migrations in `migrations/versions`.

A migration is a file `NNNN_what_it_does.py` whose revision is `NNNN`, so that the newest is known without loading
Alembic: a start that has nothing to migrate reads one row. SQLite migrates when a server starts, all or nothing in
one transaction; Postgres by `tertulia migrate`, a transaction a step, one migrator at a time. Either may be killed
anywhere and run again. Everything here blocks.
"""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from tertulia.kernel.errors import Kind, TertuliaError
from tertulia.storage.driver import connect, library, typed
from tertulia.storage.writer import DriverMissing, StorageUnavailable, parse_url

if TYPE_CHECKING:
    from sqlalchemy import Connection

TREE: Final = Path(__file__).parent / "migrations" / "versions"
_SCRIPTS: Final = TREE.parent
_LOCK: Final = 0x7E47_0117
_BUSY_MS: Final = 5000


class DatabaseTooNew(TertuliaError):
    """The database was migrated by a newer version of Tertulia than this one."""

    kind = Kind.CONFLICT
    code = "database_too_new"


class DatabaseBehind(TertuliaError):
    """The Postgres database lacks migrations of this version."""

    kind = Kind.UNAVAILABLE
    code = "database_behind"


class DatabaseLocaleUnfit(TertuliaError):
    """The Postgres database has an encoding or character type in which search finds only some scripts."""

    kind = Kind.CONFLICT
    code = "database_locale_unfit"


class MigrationFailed(TertuliaError):
    """A migration broke off; the database is as it was before that step."""

    kind = Kind.INTERNAL
    code = "migration_failed"


class Report(msgspec.Struct, frozen=True):
    """Which revision the database had and has, None for an empty one, and the steps between."""

    before: str | None
    after: str | None
    steps: tuple[str, ...]


def head(tree: Path = TREE) -> str | None:
    """Give the newest revision of this code; None for an empty tree."""
    return max(_known(tree), default=None)


def revision(url: str) -> str | None:
    """Read the database's revision; None where it has none yet. Raises `StorageUnavailable`, `DatabaseUrlInvalid`."""
    address = parse_url(url)
    return _sqlite_revision(address) if isinstance(address, Path) else _postgres_revision(address)


def migrate(url: str, *, tree: Path = TREE) -> Report:
    """Run the migrations that the database lacks.

    Raises `DatabaseTooNew`, `DatabaseLocaleUnfit`, `MigrationFailed`, `StorageUnavailable`, `DatabaseUrlInvalid`.
    """
    address = parse_url(url)
    before = revision(url)
    if isinstance(address, str):
        require_locale(url)
    if not _lacks(before, tree):
        return Report(before, before, ())
    run = _migrate_sqlite if isinstance(address, Path) else _migrate_postgres
    try:
        steps = run(address, tree)  # pyright: ignore[reportArgumentType] - chosen by the type of the address
    except TertuliaError:
        raise
    except Exception as error:
        raise MigrationFailed(f"The migration from {before or 'nothing'} broke off: {error}") from error
    return Report(before, revision(url), tuple(steps))


def prepare(url: str) -> Report:
    """Make the database fit for a server that starts: migrate SQLite, demand of Postgres that it was migrated.

    Raises `DatabaseBehind`, and what `migrate` raises.
    """
    if isinstance(parse_url(url), Path):
        return migrate(url)
    before = revision(url)
    if _lacks(before, TREE):
        raise DatabaseBehind(f"The database is at revision {before or 'none'}, not {head()}: run `tertulia migrate`.")
    return Report(before, before, ())


def require_locale(url: str) -> None:
    """See that a Postgres database knows letters of all scripts; SQLite always does.

    With LC_CTYPE `C` pg_trgm makes no trigrams of Chinese or Japanese, so that search would find nothing there.
    Raises `DatabaseLocaleUnfit`, `StorageUnavailable`.
    """
    address = parse_url(url)
    if isinstance(address, Path):
        return
    with _postgres(address) as connection:
        row = connection.execute(
            "SELECT datctype, pg_encoding_to_char(encoding) FROM pg_database WHERE datname = current_database()"
        ).fetchone()
    letters, encoding = row or ("", "")
    if letters in ("C", "POSIX") or encoding != "UTF8":
        raise DatabaseLocaleUnfit(
            f"The database has encoding {encoding} and LC_CTYPE {letters}: search needs UTF8 and a UTF-8 LC_CTYPE."
            " Make it anew: CREATE DATABASE … TEMPLATE template0 ENCODING 'UTF8' LC_CTYPE 'C.UTF-8'."
        )


def _known(tree: Path) -> list[str]:
    return [path.name.partition("_")[0] for path in tree.glob("[0-9][0-9][0-9][0-9]_*.py")]


def _lacks(current: str | None, tree: Path) -> bool:
    """Whether steps are missing; raises `DatabaseTooNew`."""
    if current is not None and current not in _known(tree):
        raise DatabaseTooNew(
            f"The database is at revision {current}, newer than this version of Tertulia ({head(tree) or 'none'}):"
            " install the newer version, or restore the backup from before."
        )
    return current != head(tree)


# SQLite


def _sqlite_revision(path: Path) -> str | None:
    if not path.exists():
        return None
    try:
        connection = connect(path, busy_ms=_BUSY_MS)
    except library.Error as error:
        raise typed(error) from error
    try:
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone():
            return None
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except library.Error as error:
        raise typed(error) from error
    finally:
        connection.close()
    return row[0] if row else None


def _migrate_sqlite(path: Path, tree: Path) -> list[str]:
    from sqlalchemy import NullPool, create_engine, event  # noqa: PLC0415 - with Alembic, only when there is work

    def make() -> Any:
        raw = connect(path, mode="rwc", busy_ms=_BUSY_MS)
        # A rebuilt table is dropped under its old name, which would take the rows that point at it along. The pragma
        # has no effect inside a transaction; all references are checked before COMMIT instead.
        raw.execute("PRAGMA foreign_keys=OFF")
        return raw

    engine = create_engine("sqlite://", creator=make, module=library, poolclass=NullPool)

    @event.listens_for(engine, "begin")
    def _begin(connection: "Connection") -> None:  # pyright: ignore[reportUnusedFunction] - the event calls it
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    try:
        with engine.connect() as connection:

            def check() -> None:
                broken = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchone()
                if broken is not None:
                    raise MigrationFailed(f"Rows of the table {broken[0]} point at rows of {broken[2]} that are gone.")

            return _upgrade(connection, tree, check, step_by_step=False)
    finally:
        engine.dispose()


# Postgres


def _postgres_revision(url: str) -> str | None:
    with _postgres(url) as connection:
        found = connection.execute("SELECT to_regclass('alembic_version') IS NOT NULL").fetchone()
        if not found or not found[0]:
            return None
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return row[0] if row else None


def _migrate_postgres(url: str, tree: Path) -> list[str]:
    from sqlalchemy import NullPool, create_engine  # noqa: PLC0415 - with Alembic, only when there is work

    with _postgres(url) as guardian:
        guardian.execute("SET lock_timeout TO '60s'")
        guardian.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))
        engine = create_engine("postgresql+psycopg://", creator=lambda: _dial(url), poolclass=NullPool)
        try:
            with engine.connect() as connection:
                return _upgrade(connection, tree, lambda: None, step_by_step=True)
        finally:
            engine.dispose()


@contextmanager
def _postgres(url: str) -> Generator[Any]:
    connection = _dial(url)
    try:
        connection.autocommit = True
        yield connection
    finally:
        connection.close()


def _dial(url: str) -> Any:
    try:
        import psycopg  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        raise DriverMissing("For a Postgres database install tertulia[postgres].") from error
    try:
        return psycopg.connect(url, application_name="tertulia migrate", client_encoding="UTF8", connect_timeout=5)
    except psycopg.OperationalError as error:
        raise StorageUnavailable(f"The database server cannot be reached. {str(error).splitlines()[0]}") from error


def _upgrade(connection: "Connection", tree: Path, check: Callable[[], None], *, step_by_step: bool) -> list[str]:
    from alembic import command  # noqa: PLC0415 - half a second, only when there is work
    from alembic.config import Config  # noqa: PLC0415

    steps: list[str] = []
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    config.set_main_option("path_separator", "newline")
    config.set_main_option("version_locations", str(tree).replace("%", "%%"))
    config.attributes.update(connection=connection, steps=steps, check=check, transaction_per_migration=step_by_step)
    command.upgrade(config, "head")
    return steps
