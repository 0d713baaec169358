"""The Anthropic face: the Messages dialect over the same generations."""
