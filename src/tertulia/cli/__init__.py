"""The command line: one file a noun. Every command works beside a running server, but those that say otherwise."""

import sys

import typer

from tertulia.cli.root import app
from tertulia.kernel.errors import TertuliaError

EXIT_FAILED = 1


def main() -> None:
    """Run the command line; an error that we expected is one line on standard error, and exit code 1."""
    try:
        app()
    except TertuliaError as error:
        typer.secho(f"tertulia: {error.message}", fg=typer.colors.RED, err=True)
        sys.exit(EXIT_FAILED)
