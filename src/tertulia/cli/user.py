"""`tertulia user add|list`."""

from typing import Annotated, Literal

import msgspec
import typer

from tertulia.cli.context import ConfigOption, HomeOption, JsonOption, VerboseOption, load, with_storage
from tertulia.kernel.clock import rfc3339
from tertulia.kernel.ids import id_text

app = typer.Typer(no_args_is_help=True)


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="The user's name.")],
    role: Annotated[Literal["user", "supervisor", "admin"], typer.Option(help="What the user may do.")] = "user",
    email: Annotated[str | None, typer.Option(help="An e-mail address.", show_default=False)] = None,
    config: ConfigOption = None,
    home: HomeOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Make a user, and print the id."""
    from tertulia.identity.users import add_user  # noqa: PLC0415

    loaded = load(home, config, verbose=verbose)
    typer.echo(id_text(with_storage(loaded, lambda storage: add_user(storage, name=name, role=role, email=email))))


@app.command("list")
def list_users(
    config: ConfigOption = None, home: HomeOption = None, verbose: VerboseOption = False, as_json: JsonOption = False
) -> None:
    """List the users."""
    from tertulia.identity import rows  # noqa: PLC0415

    loaded = load(home, config, verbose=verbose)
    found = with_storage(loaded, lambda storage: storage.fetch(rows.all_users()))
    users = [
        {
            "id": id_text(user_id),
            "name": name,
            "email": email,
            "role": role,
            "plan": plan,
            "disabled": disabled_at is not None,
            "createdAt": rfc3339(created_at),
        }
        for user_id, name, email, role, plan, disabled_at, created_at in found
    ]
    if as_json:
        typer.echo(msgspec.json.encode(users).decode())
        return
    for user in users:
        disabled = "  disabled" if user["disabled"] else ""
        typer.echo(f"{user['id']}  {user['role']:<10}  {user['name']}{disabled}")
