"""What every command shares: the home, the settings, an open database."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from tertulia.app.configuration import Loaded, home_of, load_settings
from tertulia.storage.writer import Storage

T = TypeVar("T")

HomeOption = Annotated[
    Path | None,
    typer.Option("--home", help="The folder of database, blobs and keys.", show_default=False, metavar="DIR"),
]
ConfigOption = Annotated[
    Path | None, typer.Option("--config", help="The configuration file.", show_default=False, metavar="FILE")
]
VerboseOption = Annotated[bool, typer.Option("-v", "--verbose", help="Name the home and the file in use.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]


def load(home: Path | None, config: Path | None = None, *, verbose: bool = False) -> Loaded:
    """Find the home and read the settings, as `serve` would. Raises `ConfigurationError`."""
    import os  # noqa: PLC0415 - read here, so that tests may change it

    loaded = load_settings(home_of(home, os.environ), file=config)
    if verbose:
        typer.echo(f"home: {loaded.home.absolute()}\nconfiguration: {loaded.file or 'none'}", err=True)
    return loaded


def with_storage(loaded: Loaded, act: Callable[[Storage], Awaitable[T]]) -> T:
    """Open the database, act, close it again, and give what came of it."""
    from tertulia.app.database import opened_storage  # noqa: PLC0415 - a second of imports that `--help` need not pay

    new = loaded.settings.database_url is None and not (loaded.home / "tertulia.db").exists()

    async def run() -> T:
        async with opened_storage(loaded, announce=True) as storage:
            return await act(storage)

    came = asyncio.run(run())
    if new:  # said, because a server on another home will know nothing of what was made here
        typer.echo(f"There was no database; a new one is in {loaded.home.absolute()}.", err=True)
    return came
