"""The wires that models are spoken to by: how each writes a request, and how each reads an answer. All is pure."""
