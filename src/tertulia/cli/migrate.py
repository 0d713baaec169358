"""`tertulia migrate`."""

import typer

from tertulia.cli.context import ConfigOption, HomeOption, VerboseOption, load


def migrate(config: ConfigOption = None, home: HomeOption = None, verbose: VerboseOption = False) -> None:
    """Bring the database up to this version. Not beside a running server; SQLite does it at each start by itself."""
    from tertulia.app.database import database_url  # noqa: PLC0415
    from tertulia.storage.home import HomeLock, make_home  # noqa: PLC0415
    from tertulia.storage.migrate import migrate as bring_up  # noqa: PLC0415

    loaded = load(home, config, verbose=verbose)
    make_home(loaded.home)
    with HomeLock(loaded.home):
        report = bring_up(database_url(loaded))
    typer.echo(f"The database is at {report.after}." + (" Nothing was to do." if not report.steps else ""))
