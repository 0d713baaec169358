"""What is stored, counted behind the server's back."""

import sqlite3
from pathlib import Path

from tests.running import RunningServer

TABLES = ("conversation", "message", "generation", "generation_event", "usage")


def counted(server: RunningServer) -> dict[str, int]:
    """The rows of every table that a request could leave something in."""
    url = server.environment.get("TERTULIA_DATABASE_URL")
    return _of_postgres(url) if url else _of_file(server.home)


def _of_file(home: Path) -> dict[str, int]:
    connection = sqlite3.connect(f"file:{home / 'tertulia.db'}?mode=ro", uri=True)
    try:
        return {table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in TABLES}
    finally:
        connection.close()


def _of_postgres(url: str) -> dict[str, int]:
    import psycopg  # noqa: PLC0415 - only where the tests run on Postgres

    with psycopg.connect(url) as connection:
        found = [(table, connection.execute(f"SELECT count(*) FROM {table}").fetchone()) for table in TABLES]  # pyright: ignore[reportArgumentType]
        return {table: row[0] for table, row in found if row is not None}
