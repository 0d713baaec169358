"""The OpenAI face: chat completions and models, in the form that OpenAI's clients read."""
