"""What an operator sees: logs and figures. Content and secrets are in neither."""
