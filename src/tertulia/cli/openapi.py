"""`tertulia openapi`."""

from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import typer

from tertulia.cli.context import ConfigOption, HomeOption, VerboseOption, load, with_storage


def openapi(config: ConfigOption = None, home: HomeOption = None, verbose: VerboseOption = False) -> None:
    """Print the description of the API."""
    from tertulia.app.compose import compose, make_transport  # noqa: PLC0415
    from tertulia.asgi.openapi import openapi_document  # noqa: PLC0415
    from tertulia.identity.users import ensure_admin  # noqa: PLC0415
    from tertulia.storage.writer import Storage  # noqa: PLC0415

    loaded = load(home, config, verbose=verbose)

    async def describe(storage: Storage) -> bytes:
        admin = await ensure_admin(storage)
        transport = make_transport()
        try:
            return openapi_document(compose(loaded, storage=storage, transport=transport, admin=admin).routes)
        finally:
            await transport.close()

    with TemporaryDirectory() as elsewhere:  # a description needs nobody's database, and must not make one
        settings = msgspec.structs.replace(loaded.settings, database_url=None)
        apart = msgspec.structs.replace(loaded, settings=settings, home=Path(elsewhere))
        typer.echo(with_storage(apart, describe).decode())
