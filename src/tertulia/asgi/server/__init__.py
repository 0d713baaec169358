"""Our server: uvicorn's, with connections made for streams of tokens and for the open internet."""

from tertulia.asgi.server.serve import Application, CannotListen, Server, TlsUnusable, address_of, bind, run, serve

__all__ = ["Application", "CannotListen", "Server", "TlsUnusable", "address_of", "bind", "run", "serve"]
