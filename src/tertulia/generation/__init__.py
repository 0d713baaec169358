"""The one idea: every reply is a generation, a row with a state and an append-only log that anything may follow."""
