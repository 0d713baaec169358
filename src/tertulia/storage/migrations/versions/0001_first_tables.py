"""The first tables: users and keys, conversations and messages, generations with their events, usage."""

import sqlalchemy as sa
from alembic import op

from tertulia.storage.columns import Id, Json, Micros, Nano, Sequence

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    _users()
    _keys()
    _conversations()
    _messages()
    _generations()
    _events()
    _usage()


def _users() -> None:
    op.create_table(
        "user",
        sa.Column("id", Id(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("plan", sa.Text(), nullable=False),
        sa.Column("password", sa.Text(), nullable=True),
        sa.Column("locale", sa.Text(), nullable=True),
        sa.Column("time_zone", sa.Text(), nullable=True),
        sa.Column("preferences", Json(), nullable=True),
        sa.Column("consents", Json(), nullable=True),
        sa.Column("restricted_at", Micros(), nullable=True),
        sa.Column("legal_hold", sa.Integer(), server_default="0", nullable=False),
        sa.Column("disabled_at", Micros(), nullable=True),
        sa.Column("created_at", Micros(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("email"),
        sa.UniqueConstraint("name"),
        sqlite_with_rowid=False,
    )


def _keys() -> None:
    op.create_table(
        "api_key",
        sa.Column("id", Id(), nullable=False),
        sa.Column("user_id", Id(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("last4", sa.Text(), nullable=False),
        sa.Column("scopes", Json(), nullable=False),
        sa.Column("models", Json(), nullable=True),
        sa.Column("limits", Json(), nullable=True),
        sa.Column("budget", Nano(), nullable=True),
        sa.Column("spent", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("held", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("on_disconnect", sa.Text(), nullable=True),
        sa.Column("created_at", Micros(), nullable=False),
        sa.Column("expires_at", Micros(), nullable=True),
        sa.Column("revoked_at", Micros(), nullable=True),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["user.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("digest"),
        sqlite_with_rowid=False,
    )
    op.create_index("api_key_of_user", "api_key", ["user_id"], unique=False)


def _conversations() -> None:
    op.create_table(
        "conversation",
        sa.Column("id", Id(), nullable=False),
        sa.Column("user_id", Id(), nullable=False),
        sa.Column("character_id", Id(), nullable=True),
        sa.Column("guild_id", sa.Text(), nullable=True),
        sa.Column("parent_id", Id(), nullable=True),
        sa.Column("root_id", Id(), nullable=False),
        sa.Column("forked_from", Id(), nullable=True),
        sa.Column("client_id", sa.Text(), nullable=True),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=True),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("settings", Json(), nullable=True),
        sa.Column("leaf_id", Id(), nullable=True),
        sa.Column("read_seq", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("preview", sa.Text(), server_default="", nullable=False),
        sa.Column("message_count", sa.Integer(), nullable=False),
        sa.Column("pinned", sa.Integer(), server_default="0", nullable=False),
        sa.Column("archived", sa.Integer(), server_default="0", nullable=False),
        sa.Column("legal_hold", sa.Integer(), server_default="0", nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", Micros(), nullable=False),
        sa.Column("updated_at", Micros(), nullable=False),
        sa.Column("active_at", Micros(), nullable=False),
        sa.Column("deleted_at", Micros(), nullable=True),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["user.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "conversation_by_activity",
        "conversation",
        ["user_id", "deleted_at", sa.literal_column("active_at DESC"), "id"],
        unique=False,
    )
    op.create_index(
        "conversation_by_guild",
        "conversation",
        ["user_id", "guild_id"],
        unique=True,
        sqlite_where=sa.text("guild_id IS NOT NULL"),
        postgresql_where=sa.text("guild_id IS NOT NULL"),
    )
    op.create_index(
        "conversation_deleted",
        "conversation",
        ["deleted_at"],
        unique=False,
        sqlite_where=sa.text("deleted_at IS NOT NULL"),
        postgresql_where=sa.text("deleted_at IS NOT NULL"),
    )


def _messages() -> None:
    op.create_table(
        "message",
        sa.Column("seq", Sequence, nullable=False),
        sa.Column("id", Id(), nullable=False),
        sa.Column("conversation_id", Id(), nullable=False),
        sa.Column("parent_id", Id(), nullable=True),
        sa.Column("depth", sa.Integer(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("sender", sa.Text(), nullable=True),
        sa.Column("parts", Json(), nullable=False),
        sa.Column("reasoning", sa.Text(), nullable=True),
        sa.Column("opaque", Json(), nullable=True),
        sa.Column("model", sa.Text(), nullable=True),
        sa.Column("generation_id", Id(), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("finish", sa.Text(), nullable=True),
        sa.Column("error", Json(), nullable=True),
        sa.Column("cancelled_by", Json(), nullable=True),
        sa.Column("usage", Json(), nullable=True),
        sa.Column("client_usage", Json(), nullable=True),
        sa.Column("credits", Nano(), nullable=True),
        sa.Column("ranking", sa.Integer(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", Micros(), nullable=False),
        sa.Column("edited_at", Micros(), nullable=True),
        sa.ForeignKeyConstraint(
            ["conversation_id"],
            ["conversation.id"],
        ),
        sa.PrimaryKeyConstraint("seq"),
        sa.UniqueConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index("message_in_tree", "message", ["conversation_id", "parent_id", "seq"], unique=False)


def _generations() -> None:
    op.create_table(
        "generation",
        sa.Column("id", Id(), nullable=False),
        sa.Column("user_id", Id(), nullable=False),
        sa.Column("conversation_id", Id(), nullable=True),
        sa.Column("message_id", Id(), nullable=True),
        sa.Column("anchor_id", Id(), nullable=True),
        sa.Column("key_id", Id(), nullable=True),
        sa.Column("face", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=True),
        sa.Column("priority", sa.Text(), nullable=False),
        sa.Column("on_disconnect", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("owner", Id(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("last_n", sa.Integer(), nullable=False),
        sa.Column("attempts", Json(), nullable=True),
        sa.Column("usage", Json(), nullable=True),
        sa.Column("held", Nano(), nullable=True),
        sa.Column("charged", Nano(), nullable=True),
        sa.Column("cancel", Json(), nullable=True),
        sa.Column("created_at", Micros(), nullable=False),
        sa.Column("started_at", Micros(), nullable=True),
        sa.Column("first_token_at", Micros(), nullable=True),
        sa.Column("ended_at", Micros(), nullable=True),
        sa.Column("finish", sa.Text(), nullable=True),
        sa.Column("error", Json(), nullable=True),
        sa.Column("folded_at", Micros(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "generation_at_anchor",
        "generation",
        ["anchor_id"],
        unique=True,
        sqlite_where=sa.text("state = 'queued' OR state = 'running'"),
        postgresql_where=sa.text("state = 'queued' OR state = 'running'"),
    )
    op.create_index(
        "generation_of_owner",
        "generation",
        ["owner"],
        unique=False,
        sqlite_where=sa.text("state = 'queued' OR state = 'running'"),
        postgresql_where=sa.text("state = 'queued' OR state = 'running'"),
    )
    op.create_index("generation_of_user", "generation", ["user_id", "created_at"], unique=False)
    op.create_index(
        "generation_to_fold",
        "generation",
        ["ended_at"],
        unique=False,
        sqlite_where=sa.text("folded_at IS NULL"),
        postgresql_where=sa.text("folded_at IS NULL"),
    )


def _events() -> None:
    op.create_table(
        "generation_event",
        sa.Column("generation_id", Id(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("first_n", sa.Integer(), nullable=False),
        sa.Column("last_n", sa.Integer(), nullable=False),
        sa.Column("entries", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("generation_id", "epoch", "first_n"),
        sqlite_with_rowid=False,
    )


def _usage() -> None:
    op.create_table(
        "usage",
        sa.Column("id", Id(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("user_id", Id(), nullable=False),
        sa.Column("key_id", Id(), nullable=True),
        sa.Column("conversation_id", Id(), nullable=True),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("at", Micros(), nullable=False),
        sa.Column("prompt", sa.Integer(), nullable=False),
        sa.Column("completion", sa.Integer(), nullable=False),
        sa.Column("cached", sa.Integer(), nullable=False),
        sa.Column("cache_write", sa.Integer(), nullable=False),
        sa.Column("reasoning", sa.Integer(), nullable=False),
        sa.Column("images", sa.Integer(), nullable=False),
        sa.Column("first_token_ms", sa.Integer(), nullable=True),
        sa.Column("compute_ms", sa.Integer(), nullable=False),
        sa.Column("cost", Nano(), nullable=True),
        sa.Column("charged", Nano(), nullable=False),
        sa.Column("price", Json(), nullable=True),
        sa.Column("own_key", sa.Integer(), nullable=False),
        sa.Column("estimated", sa.Integer(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sqlite_with_rowid=False,
    )
    op.create_index("usage_by_key", "usage", ["key_id", "at"], unique=False)
    op.create_index("usage_by_time", "usage", ["at"], unique=False)
    op.create_index("usage_by_user", "usage", ["user_id", "at"], unique=False)
