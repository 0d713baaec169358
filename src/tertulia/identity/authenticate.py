"""From a credential to a principal, mostly from memory."""

import hmac
from collections import OrderedDict
from typing import Final, final

import msgspec

from tertulia.identity import rows
from tertulia.identity.keys import SCOPES, SCOPES_OF, digest
from tertulia.identity.principal import Principal, Unauthenticated
from tertulia.identity.users import User
from tertulia.kernel.clock import now_us
from tertulia.kernel.secret import Secret
from tertulia.storage.writer import Storage

_KEPT: Final = 10_000
_MAX_CHARACTERS: Final = 8192


@final
class Credentials:
    """Knows API keys, and the operator's admin key.

    What it has looked up it keeps by the SHA-256 of the whole credential; `forget` drops it all, and is called when
    another process has written to the database. Only what was found is kept: a flood of guesses fills nothing.
    """

    def __init__(self, storage: Storage, *, admin: User, admin_key: Secret | None) -> None:
        self._storage = storage
        self._admin = Principal(admin.id, admin.name, "admin", SCOPES)
        self._admin_digest = digest(admin_key.reveal()) if admin_key else None
        self._kept: OrderedDict[bytes, tuple[Principal, int]] = OrderedDict()
        self._forgotten = 0

    def cached(self, credential: str) -> Principal | None:
        """Answer from memory; None where it is not there or its time is over."""
        kept = self._kept.get(digest(credential))
        return kept[0] if kept is not None and kept[1] > now_us() else None

    async def authenticate(self, credential: str) -> Principal:
        """Look a credential up.

        Raises `Unauthenticated` for one that is unknown, revoked, expired, or whose user is disabled.
        """
        if len(credential) > _MAX_CHARACTERS:
            raise Unauthenticated("invalid_credential")
        key = digest(credential)
        if self._admin_digest is not None and hmac.compare_digest(key, self._admin_digest):
            return self._keep(key, self._admin, None)
        forgotten = self._forgotten
        found = await self._storage.fetch(rows.key_by_digest(key))
        if not found:
            raise Unauthenticated("invalid_credential")
        user_id, name, role, disabled_at, key_id, scopes, expires_at, revoked_at = found[0]
        if disabled_at is not None or revoked_at is not None:
            raise Unauthenticated("invalid_credential")
        if expires_at is not None and expires_at <= now_us():
            raise Unauthenticated("expired_credential")
        allowed = SCOPES_OF[role].intersection(msgspec.json.decode(scopes, type=list[str]))
        principal = Principal(user_id, name, role, allowed, key_id)
        if forgotten != self._forgotten:  # what was read may be older than what made us forget
            return principal
        return self._keep(key, principal, expires_at)

    def forget(self) -> None:
        """Drop what is kept: it may have changed."""
        self._forgotten += 1
        self._kept.clear()

    def _keep(self, key: bytes, principal: Principal, expires_at: int | None) -> Principal:
        self._kept[key] = (principal, expires_at if expires_at is not None else 1 << 62)
        if len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return principal
