"""The command line: one file a noun. Every command works beside a running server, but those that say otherwise."""

import sys

import typer

from tertulia.cli.root import app
from tertulia.kernel.errors import TertuliaError

EXIT_FAILED = 1


def main() -> None:
    """Run the command line; an error is one line on standard error, and exit code 1.

    With `-v` an error that nobody expected tells its whole story.
    """
    try:
        app()
    except TertuliaError as error:
        _fail(error.message)
    except OSError as error:
        _fail(f"{error.filename or 'The system'}: {error.strerror or error}.")
    except Exception as error:
        if {"-v", "--verbose"} & set(sys.argv):
            raise
        _fail(f"This is a defect ({type(error).__name__}). Run it again with -v, and report what it says.")


def _fail(message: str) -> None:
    typer.secho(f"tertulia: {' '.join(message.split())}", fg=typer.colors.RED, err=True)
    sys.exit(EXIT_FAILED)
