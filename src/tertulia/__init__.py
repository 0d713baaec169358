"""Tertulia: a self-hosted chat server for language models."""

__version__ = "0.1.0"
