"""Anthropic Messages (Providers, 4.3)."""
