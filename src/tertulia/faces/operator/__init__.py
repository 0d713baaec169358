"""What an operator and his machines ask: health, version, figures, the API's own description."""
