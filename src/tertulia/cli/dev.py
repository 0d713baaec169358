"""`tertulia dev upstream`."""

import asyncio
import contextlib
import os
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True)


@app.callback()
def dev() -> None:
    """For who develops against Tertulia."""


@app.command()
def upstream(
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 takes a free one.")] = 9100,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
) -> None:
    """Run the scripted provider over real HTTP, in OpenAI's wire, faults included."""
    from tertulia.asgi.server.serve import CannotListen  # noqa: PLC0415
    from tertulia.providers.scripted.upstream import Upstream  # noqa: PLC0415

    async def run() -> None:
        fake = Upstream()
        try:
            bound = await fake.listen(host, port)
        except OSError as error:
            reason = os.strerror(error.errno).lower() if error.errno and error.errno > 0 else "the host is not known"
            raise CannotListen(f"Cannot listen on {host}:{port}: {reason}. Choose another with --port.") from None
        typer.echo(f"The scripted upstream listens on http://{host}:{bound}/v1")
        await fake.serve()

    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(run())
