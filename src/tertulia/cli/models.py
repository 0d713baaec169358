"""`tertulia models install|list`."""

import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from tertulia.cli.context import ConfigOption, HomeOption, JsonOption, VerboseOption, load
from tertulia.providers.local.release import Progress

app = typer.Typer(no_args_is_help=True)


@app.command("list")
def list_models(
    config: ConfigOption = None, home: HomeOption = None, verbose: VerboseOption = False, as_json: JsonOption = False
) -> None:
    """List the model files that the embedded engine can run; the first is the one that it runs."""
    from tertulia.providers.local.gguf import available  # noqa: PLC0415

    loaded = load(home, config, verbose=verbose)
    path = loaded.settings.local_model.path
    found = available(loaded.home, Path(path) if path else None)
    if as_json:
        rows = [{"name": model.name, "path": str(model.path), "size": model.size} for model in found]
        typer.echo(msgspec.json.encode(rows).decode())
        return
    if not found:
        typer.echo("No model is installed. `tertulia models install smollm2` fetches the small one.")
    for model in found:
        typer.echo(f"local/{model.name}  {model.size / 1e6:.0f} MB  {model.path}")


@app.command()
def install(
    name: Annotated[str, typer.Argument(help="The model: smollm2.")] = "smollm2",
    config: ConfigOption = None,
    home: HomeOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Fetch a model for the embedded engine into the home."""
    from tertulia.providers.local.install import install as fetch  # noqa: PLC0415
    from tertulia.storage.home import make_home  # noqa: PLC0415

    loaded = load(home, config, verbose=verbose)
    make_home(loaded.home)
    model = fetch(name, loaded.home, watch=_Steps().show)
    typer.echo(
        f"local/{model.name} is installed ({model.size / 1e6:.0f} MB). A running server finds it at its next start."
    )


class _Steps:
    """Shows how far an installation is: in place on a terminal, elsewhere a line for each step."""

    def __init__(self) -> None:
        self._shown = ("", -1)
        self._live = sys.stderr.isatty()

    def show(self, progress: Progress) -> None:
        percent = 100 * progress.done // max(1, progress.total)
        step, size = progress.step, f"{progress.total / 1e6:.0f} MB"
        if self._live and (step, percent) != self._shown:
            typer.echo(f"\r{step}: {percent:3} % of {size}", err=True, nl=percent == 100)
        elif not self._live and step != self._shown[0]:
            typer.echo(f"{step}: {size}", err=True)
        self._shown = (step, percent)
