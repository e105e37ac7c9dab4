"""A credential in use that will end is told once a day, well before: an expired one quarantines Entra's job."""

from datetime import datetime, timedelta

from scim_bridge.logs import get_logger

log = get_logger(__name__)

WARNED_AHEAD = timedelta(days=30)
"""How long before its end it is told."""

URGENT_AHEAD = timedelta(days=7)
"""From then on as an error."""

WARNED_EVERY = timedelta(days=1)


class Endings:
    """What this process has told, by the ids of tokens and clients, which are few."""

    def __init__(self) -> None:
        self._told: dict[tuple[str, str], datetime] = {}

    def tell(self, event: str, credential_id: str, expires_at: datetime | None, *, tenant: str, now: datetime) -> None:
        """Tell that a credential, which has just been used, will end."""
        if expires_at is None or expires_at - now > WARNED_AHEAD:
            return
        key = (tenant, credential_id)
        told = self._told.get(key)
        if told is not None and now - told < WARNED_EVERY:
            return
        self._told[key] = now
        left = expires_at - now
        write = log.error if left <= URGENT_AHEAD else log.warning
        write(event, id=credential_id, tenant=tenant, days=left.days)
