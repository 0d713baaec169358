"""Conversations: a tree of messages that belongs to one user."""
