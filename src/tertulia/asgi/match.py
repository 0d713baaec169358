"""From a method and a path to a route: literal parts first, whatever the number of routes.

A path without parameters is one dictionary look-up; others walk a tree of segments, one look-up a segment. A trailing
slash makes no difference. Where a literal and a parameter could both take a segment, the literal is tried first, and
the parameter only where the literal leads to no route with this method.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final
from urllib.parse import unquote

from tertulia.asgi.route import Route

_Routes = dict[str, tuple[Route, tuple[str, ...]]]
_NO_PARAMS: Final[Mapping[str, str]] = {}


class Found:
    """What a path leads to: a route and its parameters, or None and the methods that the path knows."""

    __slots__ = ("allowed", "params", "route")

    def __init__(self, route: Route | None, params: Mapping[str, str], allowed: tuple[Route, ...] = ()) -> None:
        self.route = route
        self.params = params
        self.allowed = allowed

    def methods(self) -> list[str]:
        """Give the methods that the path knows, as `Allow` names them."""
        known: set[str] = {route.method for route in self.allowed}
        return sorted(known | {"HEAD"} if "GET" in known else known)


_NOTHING: Final = Found(None, _NO_PARAMS)


class _Node:
    """A place in the tree; `routes` are those that end here, with the names of their parameters."""

    __slots__ = ("children", "param", "routes", "tail")

    def __init__(self) -> None:
        self.children: dict[str, _Node] = {}
        self.param: _Node | None = None
        self.routes: _Routes = {}
        self.tail: _Routes = {}


class Table:
    """All routes.

    Raises `ValueError` where two routes have one method and one path.
    """

    def __init__(self, routes: Iterable[Route]) -> None:
        self._root = _Node()
        self._literal: dict[tuple[str, str], Found] = {}
        for route in routes:
            self._add(route)

    def find(self, method: str, path: str) -> Found:
        """Find the route of a raw path (percent-encoded, without the query). HEAD is answered by GET's route."""
        found = self._literal.get((method, path))
        if found is not None:
            return found
        if method == "HEAD":
            method = "GET"
        segments = path.split("/")
        if not segments[-1]:
            segments.pop()
        if "%" in path:
            segments = [unquote(segment) for segment in segments]
            if any("\0" in segment for segment in segments):
                return _NOTHING
        return self._straight(method, segments) or self._thorough(method, segments)

    def _straight(self, method: str, segments: list[str]) -> Found | None:
        """Follow the first way, which nearly every path takes."""
        node = self._root
        values: list[str] = []
        for segment in segments[1:]:
            child = node.children.get(segment)
            if child is None:
                child = node.param
                if child is None or not segment:
                    return None
                values.append(segment)
            node = child
        known = node.routes.get(method)
        return Found(known[0], dict(zip(known[1], values, strict=True))) if known is not None else None

    def _thorough(self, method: str, segments: list[str]) -> Found:
        """Follow every way, in order, and note the methods that the path has."""
        allowed: list[Route] = []
        for routes, values in _walk(self._root, segments, 1, ()):
            known = routes.get(method)
            if known is not None:
                return Found(known[0], dict(zip(known[1], values, strict=True)))
            allowed += (route for route, _ in routes.values())
        return Found(None, _NO_PARAMS, tuple(allowed)) if allowed else _NOTHING

    def _add(self, route: Route) -> None:
        node, tail = self._root, False
        for segment in route.path.split("/")[1:] if route.path != "/" else ():
            if segment.endswith(":path}"):
                tail = True
            elif segment.startswith("{"):
                node.param = node.param or _Node()
                node = node.param
            else:
                node = node.children.setdefault(segment, _Node())
        routes = node.tail if tail else node.routes
        if route.method in routes:
            raise ValueError(f"two routes for {route.method} {route.path}")
        routes[route.method] = (route, route.names())
        if not route.names():
            self._remember(route)

    def _remember(self, route: Route) -> None:
        found = Found(route, _NO_PARAMS)
        for method in ("GET", "HEAD") if route.method == "GET" else (route.method,):
            self._literal[method, route.path] = found
            self._literal[method, route.path.rstrip("/") + "/"] = found


def _walk(
    node: _Node, segments: list[str], at: int, values: tuple[str, ...]
) -> Iterator[tuple[_Routes, tuple[str, ...]]]:
    if at == len(segments):
        if node.routes:
            yield node.routes, values
        return
    segment = segments[at]
    child = node.children.get(segment)
    if child is not None:
        yield from _walk(child, segments, at + 1, values)
    if node.param is not None and segment:
        yield from _walk(node.param, segments, at + 1, (*values, segment))
    if node.tail and segment:
        yield node.tail, (*values, "/".join(segments[at:]))
