"""The fake that ships: a provider that answers by script, in process or over real HTTP, with faults on request."""
