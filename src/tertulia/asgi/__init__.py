"""What all doors share of HTTP: routes, exchanges, bodies, credentials, errors, the server. Knows no feature."""
