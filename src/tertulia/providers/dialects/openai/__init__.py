"""OpenAI Chat Completions, read as leniently as its many imitations need (Providers, 4.0 and 4.1)."""
