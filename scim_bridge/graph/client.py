"""The calls that the bridge makes to Microsoft Graph. All of them only read."""

import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from io import BytesIO
from math import inf
from urllib.parse import quote, urlsplit

import requests

from scim_bridge.domain.entra import GRAPH_APP_ID, MOST_ROWS, ROLE_IDS, Job, LogEntry, Permission, ServicePrincipal
from scim_bridge.domain.values import JsonObject
from scim_bridge.errors import DeliveryError, EntraError, TransientError
from scim_bridge.graph.answers import entry_of, error_of, job_of, object_of, principal_of
from scim_bridge.graph.config import GraphConfig, origin_of
from scim_bridge.graph.token import fetch_token
from scim_bridge.http.exchange import PerThread, Received, pooled_sessions, retry_after_seconds
from scim_bridge.http.limiter import Limiter
from scim_bridge.http.pages import PageReader
from scim_bridge.http.session import ApiSession, Tokens

PAGE_SIZE = MOST_ROWS
"""The most rows of a page. Without `$top`, rows of assignments were seen to be missing."""

MAX_PAGES = 5_000
MAX_TRIES = 4
"""How often a call is tried that Graph answers with 5xx."""

MAX_TRIES_UNANSWERED = 2
"""How often a call is tried that gets no answer: each try may take the whole time-out."""

THROTTLED_SECONDS = 300.0
"""How long a 429 is obeyed before the read is given up."""

AT_A_TIME = 2
"""Calls at a time: one for a read, and one beside it for a command."""


@dataclass(slots=True)
class Page:
    """One page of a list."""

    rows: list[JsonObject]
    next_link: str | None = None
    delta_link: str | None = None


class _Limit(threading.local):
    """Until when the calls of a thread may go on, by the monotonic clock."""

    until: float = inf


class GraphClient:
    """Reads one tenant of Entra; safe to share between threads, made after the process has forked."""

    def __init__(
        self,
        config: GraphConfig,
        *,
        session_factory: Callable[[], requests.Session] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        new_id: Callable[[], str] = lambda: str(uuid.uuid4()),
        patience_seconds: float = THROTTLED_SECONDS,
    ) -> None:
        """Prepare the client; nothing is sent yet.

        :param patience_seconds: How long a 429 is obeyed altogether, for each call.
        """
        self.config = config
        sessions = PerThread(session_factory or pooled_sessions(AT_A_TIME))
        limiter = Limiter(AT_A_TIME, config.requests_per_second, service="Graph", monotonic=monotonic, sleep=sleep)
        self._tokens = Tokens(
            lambda within: fetch_token(config, sessions(), within=within, monotonic=monotonic, now=now),
            service="Graph",
            limiter=limiter,
            monotonic=monotonic,
        )
        self._session = ApiSession(
            config.origin,
            "ENTRA__GRAPH_URL",
            timeout_seconds=config.timeout_seconds,
            tokens=self._tokens,
            limiter=limiter,
            sessions=sessions,
            monotonic=monotonic,
            new_id=new_id,
            service="Graph",
            id_header="client-request-id",
        )
        self._monotonic = monotonic
        self._sleep = sleep
        self._now = now
        self._patience_seconds = patience_seconds
        self._limit = _Limit()
        self._renews = True
        self.calls = 0
        """How many calls were made, tries included; requests for tokens not."""

    # What an application may do, and which application provisions.

    @property
    def source(self) -> str:
        """Return which directory and application is read, in one text."""
        config = self.config
        return f"{config.graph_url} {config.tenant_id} {config.service_principal_id}".lower()

    def sign_in(self) -> None:
        """Get a token, unless a valid one is in memory. :raises EntraError: there is none."""
        try:
            self._tokens.current(within=self.config.timeout_seconds)
        except DeliveryError as exc:
            raise _as_entra(exc) from exc

    def permissions(self) -> frozenset[Permission]:
        """Return which application permissions of Graph are granted. Only this proves that an empty value is empty.

        A managed identity without a known client id can't ask this: then none counts as proved.

        :raises EntraError: it can't be read.
        """
        if not self.config.client_id:
            return frozenset()
        what, path = "Reading the granted permissions", f"/servicePrincipals(appId='{_in_path(self.config.client_id)}')"
        rows = self.rows(f"{path}/appRoleAssignments?$top={PAGE_SIZE}", what, Permission.applications)
        granted = {str(row.get("appRoleId")).lower() for row in rows if _is_graphs(row)}
        return frozenset(name for name, ids in ROLE_IDS.items() if granted.intersection(ids))

    def service_principal(self) -> ServicePrincipal | None:
        """Return the enterprise application; None if there is none with this object id. :raises EntraError: …"""
        selected = "$select=id,appId,displayName,accountEnabled"
        found = self.one(f"{self._principal}?{selected}", "Reading the application", Permission.applications)
        return None if found is None else principal_of(found)

    def principal_of_application(self, app_id: str) -> ServicePrincipal | None:
        """Return the enterprise application with an application id, which is often taken for its object id."""
        path = f"/servicePrincipals(appId='{_in_path(app_id)}')?$select=id,appId,displayName,accountEnabled"
        found = self.one(path, "Reading the application", Permission.applications)
        return None if found is None else principal_of(found)

    # The job.

    def jobs(self) -> list[Job]:
        """Return the provisioning jobs of the application. :raises EntraError: they can't be read."""
        what, path = "Reading the provisioning job", f"{self._principal}/synchronization/jobs"
        try:
            return [job_of(row) for row in self.rows(path, what, Permission.jobs)]
        except EntraError as error:
            if error.status == 404:
                return []  # Reported where provisioning was never set up.
            raise

    def job(self) -> Job:
        """Return the job that provisions to the bridge. :raises EntraError: there is none, or several."""
        jobs, wanted = self.jobs(), self.config.job_id
        if wanted is not None:
            if (found := next((each for each in jobs if each.id == wanted), None)) is not None:
                return found
            raise EntraError(f"the application has no provisioning job {wanted!r}: check ENTRA__JOB_ID", code="NoJob")
        if not jobs:
            raise EntraError(
                "the application has no provisioning job: set up provisioning in Entra, and check "
                "ENTRA__SERVICE_PRINCIPAL_ID, which is the Object ID of the enterprise application",
                code="NoJob",
            )
        if len(jobs) > 1:
            named = ", ".join(each.id for each in jobs)
            raise EntraError(f"the application has {len(jobs)} provisioning jobs: set ENTRA__JOB_ID to one of {named}")
        return jobs[0]

    def schema(self, job_id: str) -> JsonObject:
        """Return the job's attribute mapping as Graph stores it. :raises EntraError: it can't be read."""
        path = f"{self._principal}/synchronization/jobs/{_in_path(job_id)}/schema"
        found = self.one(path, "Reading the attribute mapping", Permission.jobs)
        if found is None:
            raise EntraError(f"the provisioning job {job_id!r} has no attribute mapping", status=404)
        return found

    def target_of(self, job_id: str, object_id: str) -> str | None:
        """Return the id of the SCIM user to which Entra links one of its users; None if it shows none.

        Only the beta of Graph shows it, and not for each application: "none" proves nothing by itself.

        :raises EntraError: it can't be read.
        """
        path = f"{self._principal}/synchronization/jobs/{_in_path(job_id)}/objectConnections('{_in_path(object_id)}')"
        what = "Reading the link to a user"
        received = self._send(self._under(path, "beta"), what, {})
        if received.status == 404:
            return None
        if not received.ok:
            raise error_of(received, what, Permission.jobs)
        target = object_of(received, what).get("targetAnchor")
        return target if isinstance(target, str) and target else None

    def provisioning_secrets(self) -> Mapping[str, str]:
        """Return the settings beside the job, such as `BaseAddress`; none where Graph refuses them.

        No document says that an application may read them, so a refusal is no fault. They are never stored.
        """
        try:
            found = self.one(f"{self._principal}/synchronization/secrets", "Reading the settings of the job", None)
        except EntraError:
            return {}
        listed = (found or {}).get("value")
        rows = [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
        return {str(row["key"]): str(row["value"]) for row in rows if row.get("key") and row.get("value") is not None}

    def log_of(self, object_id: str, *, since: datetime | None = None, most: int = 100) -> list[LogEntry]:
        """Return what the provisioning log says of one user, newest first.

        Graph keeps it for 7 days, or 30 with a licence. All other conditions than the user are applied here: which of
        them Graph combines is not documented.

        :raises EntraError: it can't be read.
        """
        asked = quote(f"sourceIdentity/id eq '{object_id}'", safe="'/")
        found: list[LogEntry] = []
        path = f"/auditLogs/provisioning?$filter={asked}&$top={most}"
        for row in self.rows(path, "Reading the provisioning log", Permission.log):
            entry = entry_of(row)
            if entry is not None and (since is None or entry.at >= since) and _same_id(entry.source_id, object_id):
                found.append(entry)
            if len(found) >= most:
                break
        return sorted(found, key=lambda each: each.at, reverse=True)

    # How all of it is read.

    def one(self, path: str, what: str, permission: Permission | None) -> JsonObject | None:
        """Return one object; None where Graph knows none.

        :param path: What follows `/v1.0`, its query included.
        :param what: What is being done, as the beginning of an error's sentence.
        :param permission: The application permission that it needs.
        :raises EntraError: it can't be read.
        """
        received = self._send(self._under(path), what, {})
        if received.status == 404:
            return None
        if not received.ok:
            raise error_of(received, what, permission)
        return object_of(received, what)

    def rows(
        self, path: str, what: str, permission: Permission | None, headers: Mapping[str, str] | None = None
    ) -> Iterator[JsonObject]:
        """Yield the rows of a list, page by page. A page may be empty although there are more.

        :raises EntraError: it can't be read as a whole: half a list is no list.
        """
        for page in self.pages(path, what, permission, headers):
            yield from page.rows

    def pages(
        self, path: str, what: str, permission: Permission | None, headers: Mapping[str, str] | None = None
    ) -> Iterator[Page]:
        """Yield the pages of a list. See `rows`."""
        link, seen = self._under(path), set[str]()
        for _ in range(MAX_PAGES):
            seen.add(link)
            page = self._page(link, what, permission, headers or {})
            yield page
            if page.next_link is None:
                return
            link = self.inside(page.next_link, what)
            if link in seen:
                raise EntraError(f"{what}: Graph's pages go round in a circle")
        raise EntraError(f"{what}: the list has more than {MAX_PAGES} pages")

    def inside(self, link: str, what: str) -> str:
        """Return path and query of a whole URL that Graph gave. The token goes to Graph's own host alone.

        :raises EntraError: it leads to another server.
        """
        try:
            parts = urlsplit(link)
            is_ours = origin_of(parts) == self.config.origin and not parts.username
        except ValueError:
            is_ours = False
        if not is_ours:
            raise EntraError(f"{what}: the next page is on another server than ENTRA__GRAPH_URL, and was not asked for")
        return f"{parts.path}?{parts.query}" if parts.query else parts.path

    def _page(self, path: str, what: str, permission: Permission | None, headers: Mapping[str, str]) -> Page:
        received = self._send(path, what, headers)
        if not received.ok:
            raise error_of(received, what, permission)
        reader = PageReader(BytesIO(received.body), ("value",))
        try:
            rows = list(reader.rows())
        except ValueError as exc:
            raise EntraError(f"{what}: Graph's answer {exc} (request {received.request_id})") from exc
        if not reader.has_list or not received.body.lstrip().startswith(b"{"):
            raise EntraError(f"{what}: Graph's answer has no list (request {received.request_id})")
        noted = {path[-1]: value for path, value in reader.notes.items() if len(path) == 1}
        next_link = noted.get("@odata.nextLink")
        if next_link is not None and _link(next_link) is None:
            raise EntraError(f"{what}: Graph's link to the next page is none (request {received.request_id})")
        return Page(rows, _link(next_link), _link(noted.get("@odata.deltaLink")))

    def _send(self, path: str, what: str, headers: Mapping[str, str], body: JsonObject | None = None) -> Received:
        """Send one request; obey 429, and try again what may pass. :param body: What is posted; None for a GET."""
        began, tries = self._monotonic(), 0
        while True:
            tries += 1
            wait = float(2 ** (tries - 1))
            try:
                received = self._once(path, what, headers, body)
            except DeliveryError as exc:
                if not isinstance(exc, TransientError) or tries >= MAX_TRIES_UNANSWERED:
                    raise _as_entra(exc) from exc
                self._pause(wait, began, exc.retry_after_seconds, partial(_as_entra, exc))
                continue
            if received.status != 429 and (received.status < 500 or tries >= MAX_TRIES):
                return received
            told = retry_after_seconds(received.headers.get("Retry-After"), self._now())
            self._pause(wait, began, told, partial(error_of, received, what, None))

    def _once(self, path: str, what: str, headers: Mapping[str, str], body: JsonObject | None) -> Received:
        self.calls += 1
        received = self._session.request(
            "GET" if body is None else "POST",
            path,
            what=what,
            operation="read",
            json_body=body,
            headers=headers,
            within=self._left(what),
            renews=self._renews,
        )
        # Where a new token did not help, another one will not help the next call.
        self._renews = received.status != 401
        return received

    def _pause(self, wait: float, began: float, told: float | None, error: Callable[[], EntraError]) -> None:
        wait = min(60.0, wait) if told is None else told
        left = self._limit.until - self._monotonic()
        if self._monotonic() - began + wait > self._patience_seconds or wait >= left:
            raise error()
        self._sleep(wait)

    @contextmanager
    def limited(self, seconds: float) -> Iterator[None]:
        """Give all calls of this thread within the block so long together, waits and tries included.

        Then they raise an `EntraError` that passes: however steady Graph is, no read goes on for ever.
        """
        before = self._limit.until
        self._limit.until = min(before, self._monotonic() + seconds)
        try:
            yield
        finally:
            self._limit.until = before

    def _left(self, what: str) -> float | None:
        """Return how many seconds a call may take; None for the time-out of each call."""
        if self._limit.until == inf:
            return None
        if (left := self._limit.until - self._monotonic()) <= 0:
            raise EntraError(f"{what}: Graph is too slow, and the time for reading Entra ran out", is_passing=True)
        return left

    def _under(self, path: str, version: str = "v1.0") -> str:
        return f"{self.config.base_path}/{version}{path}"

    @property
    def _principal(self) -> str:
        return f"/servicePrincipals/{_in_path(self.config.service_principal_id)}"


def _as_entra(exc: DeliveryError) -> EntraError:
    return EntraError(str(exc), status=exc.status, is_passing=isinstance(exc, TransientError))


def _link(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _in_path(text: str) -> str:
    return quote(text, safe="")


def _is_graphs(row: JsonObject) -> bool:
    return row.get("resourceDisplayName") in (None, "Microsoft Graph", GRAPH_APP_ID)


def _same_id(found: str | None, wanted: str) -> bool:
    return found is None or found.lower() == wanted.lower()
