"""`tertulia serve`."""

import os
import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from tertulia.app.configuration import ConfigurationError, Loaded
from tertulia.cli.context import ConfigOption, HomeOption, VerboseOption, load


def serve(
    host: Annotated[str | None, typer.Option(help="The address to listen on.", show_default=False)] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="The port; 0 takes a free one.", show_default=False)
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes; more than 1 needs Postgres and Valkey.")] = 1,
    config: ConfigOption = None,
    home: HomeOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Start the server, and go on until it is told to stop (Ctrl-C, or SIGTERM)."""
    from tertulia.app.serving import serve_home  # noqa: PLC0415
    from tertulia.asgi.server import run  # noqa: PLC0415
    from tertulia.observability.log import set_up_logging  # noqa: PLC0415

    if workers != 1:
        raise ConfigurationError("More than one worker needs Postgres and Valkey, which this version does not join.")
    loaded = _with_address(load(home, config, verbose=verbose), host, port)
    _warn(loaded)
    writer = set_up_logging(loaded.settings.logging)
    try:
        run(serve_home(loaded, lambda address: _greet(address, loaded.home)))
    finally:
        writer.close()


def _with_address(loaded: Loaded, host: str | None, port: int | None) -> Loaded:
    server = loaded.settings.server
    if host is not None:
        server = msgspec.structs.replace(server, host=host)
    if port is not None:
        server = msgspec.structs.replace(server, port=port)
    settings = msgspec.structs.replace(loaded.settings, server=server)
    return msgspec.structs.replace(loaded, settings=settings)


def _warn(loaded: Loaded) -> None:
    if loaded.without_effect:
        names = ", ".join(loaded.without_effect)
        typer.secho(f"These settings have no effect in this version: {names}", fg=typer.colors.YELLOW, err=True)
    server = loaded.settings.server
    public = server.host not in {"127.0.0.1", "localhost", "::1"}
    if public and not server.tls_cert and not server.trusted_proxies:
        typer.secho(
            f"Listening on {server.host} without TLS or a trusted proxy: keys and chats cross the network readable.",
            fg=typer.colors.YELLOW,
            err=True,
        )


def _greet(address: str, home: Path) -> None:
    """Say where it is, and how to get in."""
    typer.echo(f"Tertulia listens on {address}")
    typer.echo(f"Make a key:  {_program()} key create --user admin --home {home.absolute()}")
    typer.echo(f"Read on:     README.md, and `{_program()} openapi` for the API")


def _program() -> str:
    """Name this program as the reader can call it: by its path where it was started by one."""
    called = sys.argv[0]
    return called if os.sep in called and not called.endswith(".py") else "tertulia"
