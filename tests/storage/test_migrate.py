"""Migrations, with small trees of the tests' own."""

import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

from tertulia.storage import migrate
from tertulia.storage.driver import connect
from tertulia.storage.migrate import (
    DatabaseBehind,
    DatabaseLocaleUnfit,
    DatabaseTooNew,
    MigrationFailed,
    Report,
    head,
    require_locale,
    revision,
)
from tertulia.storage.writer import StorageUnavailable, parse_url
from tests.postgres_cluster import Cluster

_STEP = """
import os
import sqlalchemy as sa
from alembic import op

revision = "{revision}"
down_revision = {before}
branch_labels = None
depends_on = None


def upgrade() -> None:
{body}
"""


class Tree:
    """A folder of migrations."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.count = 0

    def add(self, body: str) -> None:
        before = f'"{self.count:04}"' if self.count else None
        self.count += 1
        lines = "\n".join(f"    {line}" for line in body.splitlines())
        step = _STEP.format(revision=f"{self.count:04}", before=before, body=lines)
        (self.folder / f"{self.count:04}_step.py").write_text(step)


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    folder = tmp_path / "per%cent tree"
    folder.mkdir()
    tree = Tree(folder)
    tree.add('op.create_table("a", sa.Column("id", sa.Integer, primary_key=True), sa.Column("t", sa.Text))')
    tree.add(
        'op.create_table("b", sa.Column("a_id", sa.Integer, sa.ForeignKey("a.id"), primary_key=True))\n'
        'op.execute("INSERT INTO a VALUES (1, \'one\')")\nop.execute("INSERT INTO b VALUES (1)")'
    )
    return tree


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest) -> str:
    return request.getfixturevalue(f"{request.param}_url")


def rows(url: str, sql: str) -> list[tuple]:
    address = parse_url(url)
    if isinstance(address, str):
        with psycopg.connect(address, autocommit=True) as connection:
            cursor = connection.execute(sql.encode())
            return cursor.fetchall() if cursor.description else []
    connection = connect(address)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def test_an_empty_database_is_brought_to_the_head_and_stays_there(url: str, tree: Tree):
    assert revision(url) is None
    assert migrate.migrate(url, tree=tree.folder) == Report(None, "0002", ("0001", "0002"))
    assert revision(url) == head(tree.folder) == "0002"
    assert migrate.migrate(url, tree=tree.folder) == Report("0002", "0002", ())
    assert rows(url, "SELECT t FROM a") == [("one",)]


def test_only_what_lacks_is_run(url: str, tree: Tree):
    migrate.migrate(url, tree=tree.folder)
    tree.add("op.execute(\"UPDATE a SET t = 'two'\")")
    assert migrate.migrate(url, tree=tree.folder) == Report("0002", "0003", ("0003",))
    assert rows(url, "SELECT t FROM a") == [("two",)]


def test_a_database_from_the_future_is_left_alone(url: str, tree: Tree):
    tree.add("pass")
    migrate.migrate(url, tree=tree.folder)
    (tree.folder / "0003_step.py").unlink()
    with pytest.raises(DatabaseTooNew, match=r"0003, newer than .*0002") as caught:
        migrate.migrate(url, tree=tree.folder)
    assert "\n" not in str(caught.value)
    assert revision(url) == "0003"


@pytest.mark.promise(30)
def test_a_step_that_breaks_off_leaves_the_database_before_it(url: str, tree: Tree):
    tree.add('op.execute("UPDATE a SET t = \'three\'")\nraise RuntimeError("half way")')
    with pytest.raises(MigrationFailed, match="half way"):
        migrate.migrate(url, tree=tree.folder)
    whole = url.startswith("sqlite")  # one transaction there, one a step on Postgres
    assert revision(url) == (None if whole else "0002")
    tree.count = 2
    tree.add("op.execute(\"UPDATE a SET t = 'three'\")")
    assert migrate.migrate(url, tree=tree.folder).after == "0003"
    assert rows(url, "SELECT t FROM a") == [("three",)]


_RUN = (
    "import sys; from pathlib import Path; from tertulia.storage.migrate import migrate;"
    "migrate(sys.argv[1], tree=Path(sys.argv[2]))"
)


@pytest.mark.promise(30)
@pytest.mark.parametrize("place", ["before", "within", "after"])
def test_a_migrator_killed_at_any_step_can_be_run_again(url: str, tree: Tree, place: str):
    kill = 'if os.environ.get("KILL"):\n    os.kill(os.getpid(), 9)'
    change = "op.execute(\"INSERT INTO a VALUES (2, 'more')\")"
    tree.add({"before": f"{kill}\n{change}", "within": f"{change}\n{kill}", "after": change}[place])
    tree.add(kill if place == "after" else "pass")
    done = subprocess.run([sys.executable, "-c", _RUN, url, str(tree.folder)], env={"KILL": "1"}, check=False)
    assert done.returncode == -9
    assert migrate.migrate(url, tree=tree.folder).after == "0004"
    assert rows(url, "SELECT id, t FROM a ORDER BY id") == [(1, "one"), (2, "more")]


def test_a_rebuilt_table_keeps_the_rows_that_point_at_it(sqlite_url: str, tree: Tree):
    tree.add('with op.batch_alter_table("a") as batch:\n    batch.alter_column("t", nullable=False)')
    migrate.migrate(sqlite_url, tree=tree.folder)
    assert rows(sqlite_url, "SELECT * FROM b") == [(1,)]
    assert rows(sqlite_url, "SELECT \"notnull\" FROM pragma_table_info('a') WHERE name = 't'") == [(1,)]


def test_a_migration_that_leaves_dangling_rows_is_undone(sqlite_url: str, tree: Tree):
    migrate.migrate(sqlite_url, tree=tree.folder)
    tree.add('op.execute("DELETE FROM a")')
    with pytest.raises(MigrationFailed, match="table b point at rows of a"):
        migrate.migrate(sqlite_url, tree=tree.folder)
    assert rows(sqlite_url, "SELECT t FROM a") == [("one",)]
    assert revision(sqlite_url) == "0002"


def test_two_migrators_at_once_are_one_after_the_other(url: str, tree: Tree):
    tree.add("import time\ntime.sleep(0.3)\nop.execute(\"INSERT INTO a VALUES (2, 'x')\")")
    command = [sys.executable, "-c", _RUN, url, str(tree.folder)]
    both = [subprocess.Popen(command) for _ in range(2)]
    assert [one.wait() for one in both] == [0, 0]
    assert rows(url, "SELECT count(*) FROM a") == [(2,)]


def test_alembic_is_not_loaded_when_there_is_nothing_to_do(sqlite_url: str, tree: Tree):
    migrate.migrate(sqlite_url, tree=tree.folder)
    script = f"{_RUN}; assert not [name for name in sys.modules if name.startswith(('alembic', 'psycopg'))]"
    subprocess.run([sys.executable, "-c", script, sqlite_url, str(tree.folder)], check=True)


@pytest.mark.parametrize("locale", ["C", "POSIX"])
def test_a_postgres_without_letters_is_refused(postgres_cluster: Cluster, tree: Tree, locale: str):
    url = postgres_cluster.create_database(lc_ctype=locale)
    try:
        for ask in (require_locale, lambda url: migrate.migrate(url, tree=tree.folder)):
            with pytest.raises(DatabaseLocaleUnfit, match="LC_CTYPE"):
                ask(url)
    finally:
        postgres_cluster.drop_database(url)


def test_a_fit_postgres_is_taken(postgres_url: str, sqlite_url: str):
    require_locale(postgres_url)
    require_locale(sqlite_url)


def test_a_server_starts_only_on_a_migrated_postgres(postgres_url: str, tree: Tree, monkeypatch):
    monkeypatch.setattr(migrate, "TREE", tree.folder)
    monkeypatch.setattr(migrate, "head", lambda of=tree.folder: head(of))
    with pytest.raises(DatabaseBehind, match="tertulia migrate"):
        migrate.prepare(postgres_url)
    migrate.migrate(postgres_url, tree=tree.folder)
    assert migrate.prepare(postgres_url) == Report("0002", "0002", ())


def test_a_server_that_cannot_be_reached_is_told(tmp_path: Path):
    with pytest.raises(StorageUnavailable, match="cannot be reached"):
        revision(f"postgresql://nobody@/none?host={tmp_path}")


def test_a_file_that_is_no_database_is_told(tmp_path: Path):
    (tmp_path / "t.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(StorageUnavailable, match="not a database"):
        revision(f"sqlite:///{tmp_path / 't.db'}")


def test_the_products_tree_is_one_line_named_by_number():
    config = Config()
    config.set_main_option("script_location", str(migrate.TREE.parent))
    config.set_main_option("path_separator", "newline")
    scripts = ScriptDirectory.from_config(config)
    assert scripts.get_heads() == ([head()] if head() else [])
    for script in scripts.walk_revisions():
        assert Path(script.path).name.startswith(f"{script.revision}_")
