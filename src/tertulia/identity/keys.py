"""API keys: made once, shown once, stored as a digest."""

import secrets
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Final

import msgspec

from tertulia.identity import rows
from tertulia.identity.principal import Role
from tertulia.identity.users import NoSuchUser, find_user
from tertulia.kernel.clock import now_us
from tertulia.kernel.errors import Invalid
from tertulia.kernel.ids import new_id
from tertulia.storage.unit import Unit
from tertulia.storage.writer import Storage

PREFIX: Final = "tt-"
SCOPES: Final = frozenset(
    {"chat", "read", "characters", "jobs", "bot", "supervise", "admin", "priority:high", "priority:critical"}
)
SCOPES_OF: Final[Mapping[Role, frozenset[str]]] = {
    "user": SCOPES - {"bot", "supervise", "admin", "priority:high", "priority:critical"},
    "supervisor": SCOPES - {"bot", "admin"},
    "admin": SCOPES,
}
"""What a credential may do at most, by the role that its owner has now."""


def digest(credential: str) -> bytes:
    """Give what is stored and compared in place of a credential: the SHA-256 of the whole of it."""
    return sha256(credential.encode("utf-8", "surrogatepass")).digest()


async def create_key(storage: Storage, *, user_name: str, name: str, scopes: Iterable[str] = ()) -> str:
    """Make a key for a user and give its text, the only time that anybody sees it.

    Without `scopes` it may do all that its owner may.

    Raises `NoSuchUser`, and `Invalid` for a scope that does not exist or that the user may not have.
    """
    owner = await find_user(storage, user_name)
    if owner is None:
        raise NoSuchUser(user_name)
    wanted = frozenset(scopes) or SCOPES_OF[owner.role]
    if unknown := wanted - SCOPES:
        raise Invalid(f"No scope is called {min(unknown)!r}; there are: {', '.join(sorted(SCOPES))}.")
    if beyond := wanted - SCOPES_OF[owner.role]:
        raise Invalid(f"A {owner.role} may not have the scope {min(beyond)!r}.")
    text = PREFIX + secrets.token_urlsafe(32)
    row = rows.insert_key(
        new_id(),
        owner.id,
        name,
        digest(text),
        text[-4:],
        msgspec.json.encode(sorted(wanted)).decode(),
        now_us(),
        None,
    )
    await storage.commit(Unit(key=owner.id, guards=(), writes=(row,), durable=True))
    return text
