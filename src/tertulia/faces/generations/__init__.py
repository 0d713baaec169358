"""The generations face: what any reply is doing, whatever asked for it."""
