"""The camelCase face: sessions, their messages, the models to choose from."""
