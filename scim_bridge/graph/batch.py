"""Up to twenty calls to Microsoft Graph in one. Each is answered, refused and throttled by itself, inside a 200."""

import json
from collections.abc import Iterator, Sequence
from functools import partial

from requests.structures import CaseInsensitiveDict

from scim_bridge.domain.entra import MOST_CALLS, Permission
from scim_bridge.domain.values import JsonObject
from scim_bridge.errors import EntraError
from scim_bridge.graph.answers import error_of, object_of
from scim_bridge.graph.client import MAX_TRIES, GraphClient
from scim_bridge.http.exchange import Received, retry_after_seconds

NOT_THERE = ("Request_ResourceNotFound", "ResourceNotFound")
"""Graph's words for an object that does not exist; any other 404 says nothing about it."""


class BatchingClient(GraphClient):
    """Reads many objects with few calls."""

    def objects(
        self, paths: Sequence[str], what: str, permission: Permission
    ) -> Iterator[list[tuple[str, JsonObject | None]]]:
        """Yield objects by their paths, up to `MOST_CALLS` at a time; None for one that does not exist.

        :param paths: What follows `/v1.0`, each once, queries included.
        :raises EntraError: one of them can't be read: part of an answer is no answer.
        """
        for begin in range(0, len(paths), MOST_CALLS):
            yield self._objects(paths[begin : begin + MOST_CALLS], what, permission)

    def _objects(self, paths: Sequence[str], what: str, permission: Permission) -> list[tuple[str, JsonObject | None]]:
        began, tries, failures = self._monotonic(), 0, 0
        found: list[tuple[str, JsonObject | None]] = []
        missing = list(paths)
        while True:
            answers = self._answers(missing, what, permission)
            refused = [each for path in missing if (each := answers[path]).status == 429 or each.status >= 500]
            found += [
                (path, _object(answers[path], what, permission)) for path in missing if answers[path] not in refused
            ]
            if not refused:
                return found
            missing = [path for path in missing if answers[path] in refused]
            tries += 1
            failures += any(each.status >= 500 for each in refused)
            if failures >= MAX_TRIES:
                raise error_of(refused[0], what, None)
            # All of them wait for the longest time that Graph asks for.
            told = [retry_after_seconds(each.headers.get("Retry-After"), self._now()) for each in refused]
            longest = max((each for each in told if each is not None), default=None)
            self._pause(2.0 ** (tries - 1), began, longest, partial(error_of, refused[0], what, None))

    def _answers(self, paths: Sequence[str], what: str, permission: Permission) -> dict[str, Received]:
        """Ask once. Return the answer of each path."""
        asked = [{"id": str(place), "method": "GET", "url": path} for place, path in enumerate(paths)]
        whole = self._send(self._under("/$batch"), what, {}, {"requests": asked})
        if not whole.ok:
            raise error_of(whole, what, permission)
        listed = object_of(whole, what).get("responses")
        rows = [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
        answers = {str(row.get("id")): row for row in rows}
        if any(str(place) not in answers for place in range(len(paths))):
            raise EntraError(f"{what}: Graph left calls unanswered (request {whole.request_id})", is_passing=True)
        return {path: _received(answers[str(place)], whole) for place, path in enumerate(paths)}


def _received(row: JsonObject, whole: Received) -> Received:
    """Return one answer as if it had come alone."""
    status, headers = row.get("status"), row.get("headers")
    is_status = isinstance(status, int) and not isinstance(status, bool)
    named: CaseInsensitiveDict[str] = CaseInsensitiveDict()
    if isinstance(headers, dict):
        named.update({str(name): str(value) for name, value in headers.items()})
    return Received(
        status if is_status and isinstance(status, int) else 500,
        named,
        json.dumps(row.get("body")).encode(),
        named.get("request-id") or whole.request_id,
        whole.seconds,
    )


def _object(answer: Received, what: str, permission: Permission) -> JsonObject | None:
    if answer.ok:
        return object_of(answer, what)
    error = error_of(answer, what, permission)
    if answer.status == 404 and error.code in NOT_THERE:
        return None
    raise error
