"""Characters: the cards that describe them, and what is kept of them."""
