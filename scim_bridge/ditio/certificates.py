"""Certificates v4: the one call that there is, an upsert of a JSON array. Nothing is ever read back."""

from collections.abc import Callable, Sequence
from datetime import datetime

from scim_bridge.ditio.refusals import error_of, refusal_of
from scim_bridge.ditio.session import DitioSession
from scim_bridge.ditio.wording import has_errors
from scim_bridge.domain.documents import JsonObject
from scim_bridge.domain.operations import Answer
from scim_bridge.errors import OperationMissing

CERTIFICATES = "/api/v4/integration/certificates"
WHAT = "certificates"


class Certificates:
    """Posts certificates of one company."""

    def __init__(self, *, session: DitioSession, now: Callable[[], datetime]) -> None:
        self._session = session
        self._now = now

    def post(self, items: Sequence[JsonObject], *, within: float | None) -> Answer:
        """Post some certificates; see `DitioClient.post_certificates`."""
        received = self._session.request("POST", CERTIFICATES, what=WHAT, json_body=list(items), within=within)
        if received.status in (404, 405):
            raise OperationMissing(
                f"{WHAT} by POST {CERTIFICATES}: Ditio answered {received.status} (request {received.request_id}). "
                "If the employee can be read, check DITIO__API_URL",
                operation=WHAT,
                status=received.status,
                request_id=received.request_id,
            )
        if not received.ok:
            raise error_of(received, WHAT, now=self._now(), write=True)
        # No answer is documented ([U]): a 2xx says that all of it was taken, unless it names errors as Ditio does.
        if has_errors(received.body):
            raise refusal_of(received, WHAT)
        return Answer(received.status, None, received.request_id, received.seconds)
