"""`tertulia doctor`: looks at everything that a server needs, and says what is wrong and what to do."""

import sys
from pathlib import Path

import typer

from tertulia.app.configuration import Loaded
from tertulia.cli.context import ConfigOption, HomeOption, VerboseOption, load, with_storage
from tertulia.kernel.errors import TertuliaError
from tertulia.storage.writer import Storage


def doctor(config: ConfigOption = None, home: HomeOption = None, verbose: VerboseOption = False) -> None:
    """Look at the settings, the home, the database, the providers and the embedded model; exit code 1 if one fails."""
    bad = 0
    try:
        loaded = load(home, config, verbose=verbose)
    except TertuliaError as error:
        _say("settings", error.message, good=False)
        sys.exit(1)
    _say("settings", str(loaded.file or "defaults"), good=True)
    for name, look in (("database", _database), ("providers", _providers), ("embedded model", _model)):
        try:
            _say(name, look(loaded), good=True)
        except TertuliaError as error:
            bad += 1
            _say(name, error.message, good=False)
    sys.exit(1 if bad else 0)


def _database(loaded: Loaded) -> str:
    async def look(storage: Storage) -> str:
        await storage.healthy()
        return f"can be read and written, in {loaded.home.absolute()}"

    return with_storage(loaded, look)


def _providers(loaded: Loaded) -> str:
    from tertulia.app.providers import plan_all  # noqa: PLC0415

    plans = plan_all(loaded.settings.providers)
    keyless = [plan.name for plan in plans if plan.needs_key and not plan.keys]
    names = ", ".join(plan.name for plan in plans) or "none configured"
    without = f"; without a key: {', '.join(keyless)}" if keyless else ""
    return f"{names} (as configured, not contacted{without})"


def _model(loaded: Loaded) -> str:
    from tertulia.providers.local.gguf import Missing, find  # noqa: PLC0415

    path = loaded.settings.local_model.path
    found = find(loaded.home, Path(path) if path else None)
    return found.message if isinstance(found, Missing) else f"local/{found.name} at {found.path}"


def _say(what: str, how: str, *, good: bool) -> None:
    mark = typer.style("ok  ", fg=typer.colors.GREEN) if good else typer.style("BAD ", fg=typer.colors.RED)
    typer.echo(f"{mark} {what}: {how}")
