"""What turns a request into events: wire dialects, hosts, profiles, and the ports that they obey."""
