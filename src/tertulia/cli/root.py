"""The tree of commands."""

from typing import Annotated

import typer

from tertulia import __version__
from tertulia.cli import config, dev, doctor, key, migrate, models, openapi, serve, user

app = typer.Typer(
    name="tertulia",
    help="A self-hosted chat server for language models.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"tertulia {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """A self-hosted chat server for language models."""


app.command("serve")(serve.serve)
app.command("migrate")(migrate.migrate)
app.command("doctor")(doctor.doctor)
app.command("openapi")(openapi.openapi)
app.add_typer(config.app, name="config", help="The settings.")
app.add_typer(user.app, name="user", help="Users.")
app.add_typer(key.app, name="key", help="API keys.")
app.add_typer(models.app, name="models", help="The embedded model, and the models that there are.")
app.add_typer(dev.app, name="dev", help="For who develops against Tertulia.")
