"""From a URL to a storage: the one place that knows both adapters."""

from pathlib import Path

from tertulia.storage.writer import DriverMissing, Observer, Storage, parse_url


def open_storage(url: str, *, queue: int = 10_000, observer: Observer | None = None, announce: bool = False) -> Storage:
    """Make the storage that a URL names (`sqlite:///PATH`, `postgresql://…`); `open` it before use.

    `queue` bounds the units that wait. `announce` is for programs beside a server (the command line): every commit
    tells the servers on the same database, which SQLite does by itself.
    Raises `DatabaseUrlInvalid`.
    """
    address = parse_url(url)
    # Each adapter is loaded for those alone who use it: the other's driver may not be installed.
    if isinstance(address, Path):
        from tertulia.storage.sqlite import SqliteStorage  # noqa: PLC0415

        return SqliteStorage(address, queue=queue, observer=observer)
    try:
        from tertulia.storage.postgres import PostgresStorage  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise DriverMissing("For a Postgres database install tertulia[postgres].") from error
    return PostgresStorage(address, queue=queue, observer=observer, announce=announce)
