"""The Responses face: OpenAI's Responses API over the same generations."""
