"""SillyTavern's curly-brace macros: one pass over a text, nothing scanned twice. Pure: chance and clock come in."""
