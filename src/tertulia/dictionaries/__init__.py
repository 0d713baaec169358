"""Chat dictionaries: replacements in what the user writes and in what the model answers. Pure; no storage, no clock."""
