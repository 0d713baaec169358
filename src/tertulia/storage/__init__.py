"""Everything that lies on disk: statements, the group-commit writer on two databases, migrations, blobs, the home."""
