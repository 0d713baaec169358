"""What Alembic runs for the tree of migrations beside this file; `tertulia.storage.migrate` hands it a connection."""

from typing import Any

from alembic import context

given = context.config.attributes


def record(ctx: Any, step: Any, heads: Any, run_args: Any) -> None:  # noqa: ARG001 - Alembic calls it by these names
    """Note which migrations ran."""
    given["steps"].extend(step.up_revision_ids)


context.configure(
    connection=given["connection"],
    render_as_batch=True,
    # Alembic trusts no driver of SQLite with DDL in a transaction; ours begins it explicitly.
    transactional_ddl=True,
    transaction_per_migration=given["transaction_per_migration"],
    on_version_apply=record,
)
with context.begin_transaction():
    context.run_migrations()
    given["check"]()
