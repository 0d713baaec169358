"""`tertulia config show|check`."""

from typing import Any, cast

import msgspec
import typer

from tertulia.cli.context import ConfigOption, HomeOption, JsonOption, VerboseOption, load
from tertulia.kernel.secret import Secret
from tertulia.observability.redact import MASK, redact_url

app = typer.Typer(no_args_is_help=True)


@app.command()
def show(
    config: ConfigOption = None, home: HomeOption = None, verbose: VerboseOption = False, as_json: JsonOption = False
) -> None:
    """Print the settings in force, secrets masked."""
    from tertulia.app.database import shown_url  # noqa: PLC0415

    loaded = load(home, config, verbose=verbose)
    tree = msgspec.to_builtins(loaded.settings, enc_hook=_mask)
    tree["database_url"] = shown_url(loaded)
    for provider in tree["providers"]:
        provider["headers"] = dict.fromkeys(provider["headers"], MASK)
        provider["base_url"] = redact_url(provider["base_url"])
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(tree)).decode())
        return
    for line in _lines(tree, ""):
        typer.echo(line)


@app.command()
def check(config: ConfigOption = None, home: HomeOption = None, verbose: VerboseOption = False) -> None:
    """Read the settings and say whether they can be used; exit code 1 when not."""
    from tertulia.app.providers import plan_all  # noqa: PLC0415

    loaded = load(home, config, verbose=verbose)
    plan_all(loaded.settings.providers)
    for name in loaded.without_effect:
        typer.secho(f"{name} has no effect in this version.", fg=typer.colors.YELLOW, err=True)
    typer.echo(f"The settings are good ({loaded.file or 'no file, defaults'}).")


def _mask(value: Any) -> Any:
    return MASK if isinstance(value, Secret) else str(value)


def _lines(tree: Any, path: str) -> list[str]:
    if isinstance(tree, dict) and tree:
        table = cast("dict[str, Any]", tree)
        return [line for key, value in table.items() for line in _lines(value, f"{path}.{key}".lstrip("."))]
    if isinstance(tree, list) and tree and isinstance(tree[0], dict):
        entries = enumerate(cast("list[Any]", tree))
        return [line for index, value in entries for line in _lines(value, f"{path}[{index}]")]
    return [f"{path} = {msgspec.json.encode(tree).decode()}"]
