"""Character cards: read from every container they come in, edited, written back without loss."""
