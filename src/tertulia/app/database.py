"""The database of a home: where it is, and how it is opened, by a server and by commands beside it."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from tertulia.app.configuration import Loaded
from tertulia.app.figures import report_commit
from tertulia.observability.redact import redact_url
from tertulia.storage.home import make_home
from tertulia.storage.migrate import prepare
from tertulia.storage.opening import open_storage
from tertulia.storage.writer import Storage


def database_url(loaded: Loaded) -> str:
    """Give the database's URL: as set, else the file in the home."""
    given = loaded.settings.database_url
    return given.reveal() if given else f"sqlite:///{loaded.home.absolute() / 'tertulia.db'}"


def shown_url(loaded: Loaded) -> str:
    """Give the database's URL to be shown: without its password."""
    return redact_url(database_url(loaded))


@asynccontextmanager
async def opened_storage(loaded: Loaded, *, announce: bool = False) -> AsyncGenerator[Storage]:
    """Open the database for a while; a SQLite one is brought up to date first.

    Raises `HomeUnusable`, `DatabaseTooNew`, `DatabaseBehind`, `StorageUnavailable`.
    """
    make_home(loaded.home)
    url = database_url(loaded)
    await asyncio.to_thread(prepare, url)
    storage = open_storage(url, observer=report_commit, announce=announce)
    await storage.open()
    try:
        yield storage
    finally:
        await storage.close()
