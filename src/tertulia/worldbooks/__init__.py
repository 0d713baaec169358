"""World books: which entries a chat brings up, where they go, and why. Pure: no storage, no clock, no network."""
