"""`tertulia dev upstream`."""

import asyncio
import contextlib
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True)


@app.callback()
def dev() -> None:
    """For who develops against Tertulia."""


@app.command()
def upstream(
    port: Annotated[int, typer.Option(help="The port; 0 takes a free one.")] = 9100,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
) -> None:
    """Run the scripted provider over real HTTP, in OpenAI's wire, faults included."""
    from tertulia.providers.scripted.upstream import Upstream  # noqa: PLC0415

    async def run() -> None:
        fake = Upstream()
        typer.echo(f"The scripted upstream listens on http://{host}:{await fake.listen(host, port)}/v1")
        await fake.serve()

    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(run())
