"""Ollama's own wire, `/api/chat` (Providers, 4.16)."""
