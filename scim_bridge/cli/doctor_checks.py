"""The checks of `doctor` that need the database, the credentials and the companies, and how a finding is reported."""

import os
import shutil
import stat
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import combinations
from pathlib import Path

from sqlalchemy.exc import DatabaseError, SQLAlchemyError

from scim_bridge.cli.context import about_tenant
from scim_bridge.domain.breaker import Breaker
from scim_bridge.errors import BridgeError, SchemaOutdated
from scim_bridge.settings import DEFAULT_TENANT, Settings
from scim_bridge.settings.catalogue import shown
from scim_bridge.settings.load import shared_logins
from scim_bridge.settings.types import both
from scim_bridge.storage.credentials import Client, Token, tenants_with_credentials
from scim_bridge.storage.database import Database
from scim_bridge.storage.schema import require_current


class Status(StrEnum):
    """The result of a check."""

    ok = "ok"
    hint = "hint"
    """Works, and may be intended; worth checking."""

    fails = "fails"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report. `detail` and `cure` hold no secret and no personal data."""

    check: str
    status: Status
    detail: str
    cure: str | None = None


def ok(check: str, detail: str) -> Finding:
    """Return a finding that all is right."""
    return Finding(check, Status.ok, detail)


def hint(check: str, detail: str, cure: str) -> Finding:
    """Return a finding that may be intended."""
    return Finding(check, Status.hint, detail, cure)


def fails(check: str, detail: str, cure: str) -> Finding:
    """Return a finding that needs an operator."""
    return Finding(check, Status.fails, detail, cure)


def parted(check: str, message: str, cure: str, *, at: str) -> Finding:
    """Return a failure; split `message` at the first `at` into detail and cure, or use `cure` if it has none."""
    detail, _, told = message.partition(at)
    return fails(check, detail, told or cure)


def is_open_to_others(file: Path) -> bool:
    """Return whether other users may read or change a file.

    The group counts only for our own file: the bridge reads a file of another user through its group.
    """
    try:
        found = file.stat()
    except OSError:
        return False
    closed_to = stat.S_IRWXO | (stat.S_IRWXG if found.st_uid == os.geteuid() else 0)
    return stat.S_ISREG(found.st_mode) and bool(found.st_mode & closed_to)


@dataclass(frozen=True, slots=True)
class Examination:
    """Checks in sequence; each may stop the following ones.

    :param late: The finding if they do not end in time.
    """

    checks: Callable[[], Iterator[Finding]]
    late: Finding


def examined(examinations: list[Examination], *, seconds: float) -> list[Finding]:
    """Run all examinations at the same time; report as late each that does not end in time.

    Some waits, such as for a name server, have no time-out: they stay behind in their own thread.
    """
    running = [_Running(each) for each in examinations]
    deadline = time.monotonic() + seconds
    for each in running:
        each.thread.join(max(0.0, deadline - time.monotonic()))
    return [finding for each in running for finding in each.told()]


class _Running:
    def __init__(self, examination: Examination) -> None:
        self._examination = examination
        self._found: list[Finding] = []
        self._failed: list[BaseException] = []
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def told(self) -> list[Finding]:
        """Return the findings; raise an unexpected error here, in the command's own thread."""
        if self._failed:
            raise self._failed[0]
        return [*self._found, *([self._examination.late] if self.thread.is_alive() else [])]

    def _run(self) -> None:
        try:
            for finding in self._examination.checks():
                self._found.append(finding)
        except BaseException as error:  # Raised again by `told`.
            self._failed.append(error)


def told_of(tenant: str, settings: Settings, findings: Iterator[Finding]) -> Iterator[Finding]:
    """Yield the findings about one company, with its name if there are several."""
    several = list(settings.tenants) != [DEFAULT_TENANT]
    for each in findings:
        cure = None if each.cure is None else about_tenant(tenant, each.cure)
        yield replace(each, detail=f"{tenant}: {each.detail}", cure=cure) if several else each


def of_each(
    settings: Settings,
    looked_at: Mapping[str, Settings],
    examine: Callable[[Settings], Iterator[Finding]],
    late: Finding,
) -> list[Examination]:
    """Return one examination for each company, to run at the same time. :param late: See `Examination`."""

    def of(tenant: str, own: Settings) -> Examination:
        is_late = next(told_of(tenant, settings, iter([late])))
        return Examination(lambda: told_of(tenant, settings, examine(own)), is_late)

    return [of(tenant, own) for tenant, own in looked_at.items()]


def examine_common(settings: Settings) -> Iterator[Finding]:
    """Yield companies that accept the same Entra or workload, or write to the same employees in Ditio."""
    for sentence in shared_logins(settings):
        yield parted("companies", sentence, "", at=": ")
    for (name, one), (other, another) in combinations(settings.tenants.items(), 2):
        is_same = (one.ditio.api_url, one.ditio.client_id) == (another.ditio.api_url, another.ditio.client_id)
        ids = {own.ditio.company_id for own in (one, another) if own.ditio.send_company_id}
        if is_same and one.ditio.client_id and len(ids) < 2:
            yield hint(
                "companies",
                f"{name} and {other} call Ditio as the same API client, so both may write to the same employees",
                f"check that {both((*another.start, 'ditio', 'client_id'))} is that company's own, or set company_id "
                "and send_company_id for both",
            )


SOON = timedelta(days=30)
"""How long before its end a secret is reported."""

ISSUE = "`scim-bridge token issue --name Entra`, and paste it as Secret Token in Entra"


def examine_credentials(
    tokens: Sequence[Token], clients: Sequence[Client], now: datetime, *, signs_itself: bool
) -> Iterator[Finding]:
    """Check the tokens and clients of a company: whether Entra can sign in, and for how long.

    :param signs_itself: Whether the settings accept JWTs that Entra itself signs: then no secret is needed.
    """
    tokens = [each for each in tokens if each.revoked_at is None]
    clients = [each for each in clients if each.revoked_at is None]
    if not tokens and not clients and not signs_itself:
        yield fails("tokens", "no token and no client was issued: Entra can't sign in", ISSUE)
    if tokens:
        ends = [(_called(each), each.expires_at) for each in tokens]
        yield _secrets("tokens", "token", ends, now, ISSUE, others=bool(clients) or signs_itself)
    if clients:
        # A client without a valid secret has no end: report it as expired.
        ends = [(f"{each.id}, {each.name!r}", each.expires_at if each.secrets else now) for each in clients]
        cure = "`scim-bridge client rotate ID`, and paste the new secret as Client Secret in Entra"
        yield _secrets("clients", "client", ends, now, cure, others=bool(tokens) or signs_itself)


def _secrets(
    check: str, kind: str, ends: Sequence[tuple[str, datetime | None]], now: datetime, cure: str, *, others: bool
) -> Finding:
    """Check the secrets of one kind. :param others: Whether there is another way in: expired ones may be unused."""
    complain = hint if others else fails
    valid = [(name, end) for name, end in ends if end is None or end > now]
    if not valid:
        last, _ = max(ends, key=lambda each: each[1] or now)
        return complain(check, f"all {kind}s have expired, {last} last", cure)
    soon = [(name, end) for name, end in valid if end is not None and end <= now + SOON]
    if len(soon) == len(valid):
        last, _ = max(soon, key=lambda each: each[1] or now)
        return complain(check, f"{last} is the last {kind} that is valid, and expires within 30 days", cure)
    if soon:
        return hint(check, f"{soon[0][0]} expires within 30 days", f"if it is in use in Entra: {cure}")
    return ok(check, "1 is valid" if len(valid) == 1 else f"{len(valid)} are valid")


def _called(token: Token) -> str:
    until = f" (until {token.expires_at:%Y-%m-%d %H:%M} UTC)" if token.expires_at else ""
    return f"{token.id}, {token.name!r}{until}"


LEAST_FREE_BYTES = 200 * 1024 * 1024
"""With less free space than this, the next busy day may fill the disk."""

REMOTE = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs", "ceph", "glusterfs", "afs", "vboxsf"})
"""Filesystems whose locks SQLite can't rely on, and whose memory two machines don't share (rule D7)."""

MOST_APART = timedelta(seconds=30)
"""How far two clocks may be apart."""

PAUSED_BY_SETTING = "remove it and restart the servers, then `outbox resume`"

MOUNTS = Path("/proc/self/mounts")


def examine_database(settings: Settings, tenants: Sequence[str]) -> Iterator[Finding]:
    """Check the database of `DATABASE__URL`, and what it holds: tokens, clients, and whether deliveries run.

    :param tenants: The companies to check.
    """
    url = settings.database.url
    place = str(shown(url))
    try:
        database = Database(url)
    except BridgeError as error:
        yield parted("database", str(error), "correct DATABASE__URL", at=": ")
        return
    try:
        yield from _examined(database, place, settings, tenants)
    except DatabaseError as exc:
        said = str(exc.orig).strip().splitlines()
        yield fails("database", f"{place} can't be used: {said[0] if said else 'no reason given'}", _cure(database))
    except SQLAlchemyError as exc:
        yield fails("database", f"{place} can't be used ({type(exc).__name__})", _cure(database))
    finally:
        database.close()


def _examined(database: Database, place: str, settings: Settings, tenants: Sequence[str]) -> Iterator[Finding]:
    if (path := database.missing_file()) is not None:
        cure = "change to the right folder, or name the right --config; `scim-bridge db upgrade` creates a new one"
        yield fails("database", f"there is no database at {path}", cure)
        return
    with database.read() as s:
        ours, its = datetime.now(UTC), s.now
    try:
        require_current(database)
    except SchemaOutdated as error:
        yield ok("database", place)
        yield parted("migrations", str(error), "run `scim-bridge db upgrade`", at=": ")
        return
    with database.write() as s:
        takes_writes = database.can_write(s.connection)
    if takes_writes:
        yield ok("database", f"{place}, can be read and written")
    else:
        yield fails("database", f"{place} is read-only: it is a standby", "set DATABASE__URL to the primary")
    yield ok("migrations", "the schema is up to date")
    if database.is_sqlite:
        file = Path(database.engine.url.database or "")
        yield from examine_disk(file)
        yield from _examine_rights(file)
    else:
        yield clock_of("the database", its - ours)
    yield from _examine_former(database, settings)
    for tenant in tenants:
        yield from told_of(tenant, settings, _examine_company(database, tenant, settings.tenants[tenant]))


def _examine_former(database: Database, settings: Settings) -> Iterator[Finding]:
    """Yield companies no longer in the settings: their Entra gets 401, and nothing is delivered."""
    with database.read() as s:
        former = [name for name in tenants_with_credentials(s.connection) if name not in settings.tenants]
    for name in former:
        cure = f"set [tenants.{name}.ditio] again to serve it; otherwise revoke its tokens and clients"
        yield hint("companies", f"{name} has tokens or clients, but is not in the settings: its Entra is refused", cure)


def _examine_company(database: Database, tenant: str, own: Settings) -> Iterator[Finding]:
    signs_itself = own.auth.entra_tenant_id is not None or own.auth.workload_issuer is not None
    with database.read(tenant) as s:
        now = s.now
        tokens, clients = s.tokens.list(), s.clients.list()
        breaker = s.breaker.get()
    yield from examine_credentials(tokens, clients, now, signs_itself=signs_itself)
    if own.delivery.paused:
        yield hint("deliveries", "paused by the setting DELIVERY__PAUSED", PAUSED_BY_SETTING)
    yield from examine_breaker(breaker, now)


def _cure(database: Database) -> str:
    if database.is_sqlite:
        return "check that DATABASE__URL names the bridge's own file, and that this user may write it and its folder"
    return "check that PostgreSQL runs and can be reached, and that name, user and password in DATABASE__URL are right"


def examine_disk(file: Path, mounts: Path = MOUNTS) -> Iterator[Finding]:
    """Check the disk of SQLite's file (rule D7: a local disk)."""
    folder = file.absolute().parent
    free = shutil.disk_usage(folder).free
    kind = _filesystem(folder, mounts)
    if kind in REMOTE:
        yield fails("disk", f"{folder} is on {kind}, a disk of another machine", "move the file to a local disk")
    elif not os.access(folder, os.W_OK):
        cure = "allow this user to write the folder: SQLite keeps its journal beside the file"
        yield fails("disk", f"{folder} can't be written", cure)
    elif free < LEAST_FREE_BYTES:
        yield fails("disk", f"{free // 1024**2} MiB are left on the disk of {folder}", "free some space")
    else:
        yield ok("disk", f"{folder}, {free // 1024**3} GiB free")


def _examine_rights(file: Path) -> Iterator[Finding]:
    """Check whether other users can read SQLite's file, and the files beside it."""
    beside = [file.with_name(file.name + ending) for ending in ("-wal", "-shm")]
    if found := [str(each) for each in (file, *beside) if is_open_to_others(each)]:
        told = f"other users of this machine can read {', '.join(found)}, which holds personal data"
        yield hint("database", told, f"`chmod 600 {' '.join(found)}`")


def _filesystem(folder: Path, mounts: Path) -> str | None:
    """Return the filesystem of a folder; None if this machine does not say."""
    try:
        lines = [line.split() for line in mounts.read_text(encoding="utf-8", errors="replace").splitlines()]
    except OSError:
        return None
    real = folder.resolve()
    below = {line[1]: line[2] for line in lines if len(line) > 2 and real.is_relative_to(line[1].replace(r"\040", " "))}
    return below[max(below, key=len)] if below else None


def examine_breaker(breaker: Breaker, now: datetime) -> Iterator[Finding]:
    """Check whether deliveries are stopped, and why (rules R2, R3)."""
    if breaker.is_paused:
        yield hint("deliveries", f"paused since {breaker.paused_at:%Y-%m-%d %H:%M:%S} UTC", "`outbox resume`")
    told = breaker.told(now)
    if breaker.is_open and told is not None:
        cure = "see the lines about Ditio; the bridge tries again by itself, or at once with `outbox retry`"
        yield fails("deliveries", told, cure)
    elif told is not None:
        yield hint("deliveries", told, "none: the bridge waits, then deliveries continue by themselves")


def clock_of(what: str, apart: timedelta) -> Finding:
    """Return a finding on how far another clock is from this machine's."""
    seconds = abs(apart.total_seconds())
    if abs(apart) <= MOST_APART:
        return ok("clock", f"this machine and {what} agree within {max(1, round(seconds))} s")
    return fails(
        "clock",
        f"this machine's clock is {seconds:.0f} s {'behind' if apart > timedelta() else 'ahead of'} that of {what}",
        "set both by a time server (NTP): tokens, leases and the last day of an employment depend on it",
    )
