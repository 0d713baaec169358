"""`tertulia key create`."""

from typing import Annotated

import typer

from tertulia.cli.context import ConfigOption, HomeOption, VerboseOption, load, with_storage

app = typer.Typer(no_args_is_help=True)


@app.callback()
def keys() -> None:
    """API keys."""


@app.command()
def create(
    user: Annotated[str, typer.Option("--user", help="Whose key it is.")],
    name: Annotated[str, typer.Option(help="What the key is for.")] = "command line",
    scope: Annotated[list[str] | None, typer.Option(help="What it may do; may be given several times.")] = None,
    config: ConfigOption = None,
    home: HomeOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Make a key, and print it, alone and only this once."""
    from tertulia.identity.keys import create_key  # noqa: PLC0415
    from tertulia.identity.users import ADMIN_NAME, ensure_admin  # noqa: PLC0415
    from tertulia.storage.writer import Storage  # noqa: PLC0415

    async def make(storage: Storage) -> str:
        if user == ADMIN_NAME:
            await ensure_admin(storage)
        return await create_key(storage, user_name=user, name=name, scopes=scope or ())

    typer.echo(with_storage(load(home, config, verbose=verbose), make))
