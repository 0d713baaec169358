"""Talking to other machines: the ports of HTTP going out, their adapters, and the framings of what comes back."""
