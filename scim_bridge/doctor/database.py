"""The checks that need the database: its file or server, processes, credentials, and whether deliveries run."""

import os
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import combinations
from pathlib import Path

from sqlalchemy.exc import DatabaseError, SQLAlchemyError

from scim_bridge.doctor.findings import SOON, Finding, fails, hint, named, ok
from scim_bridge.errors import BridgeError, SchemaOutdated
from scim_bridge.settings import Settings
from scim_bridge.settings.catalogue import shown
from scim_bridge.settings.load import shared_logins
from scim_bridge.settings.types import both
from scim_bridge.storage.credentials import Token, tenants_with_credentials
from scim_bridge.storage.database import Database
from scim_bridge.storage.entra_calls import last_request
from scim_bridge.storage.notices import Unsent
from scim_bridge.storage.runs import NAMES, START, Presence, ProcessKind, Running, presences
from scim_bridge.storage.runs import running as running_processes
from scim_bridge.storage.schema import require_current, revisions, told_missing
from scim_bridge.storage.sqlite_file import RESTORE, damage_in
from scim_bridge.storage.trouble import STANDBY, Why, trouble_of

LEAST_FREE_BYTES = 200 * 1024 * 1024  # With less, the next busy day may fill the disk.
LONGEST_FILE_CHECK_SECONDS = 5.0  # `doctor` is asked while something is wrong: it may not take long.
MOST_APART = timedelta(seconds=30)  # How far two clocks may be apart.
SILENT = timedelta(hours=3)  # Entra's cycles begin every 40 minutes.

REMOTE = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs", "ceph", "glusterfs", "afs", "vboxsf"})
"""Filesystems whose locks SQLite can't rely on, and whose memory two machines don't share (rule D7)."""

OF_FILE = "check that DATABASE__URL names the bridge's own file, and that this user may write it and its folder"
OF_SERVER = "check that PostgreSQL runs and can be reached, and that name, user and password in DATABASE__URL are right"
"""The cures where the database can't be used, and does not say why."""

RENEWALS = {
    "token": "`scim-bridge token issue --name Entra`, and paste it as Secret Token in Entra",  # nosec B105 # words
    "client": "`scim-bridge client rotate ID`, and paste the new secret as Client Secret in Entra",
}


def examine_common(settings: Settings) -> Iterator[Finding]:
    """Yield companies that accept the same Entra or workload, or write to the same employees in Ditio."""
    for sentence in shared_logins(settings):
        yield fails("companies", sentence, split=": ")
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


def examine_database(
    settings: Settings, looked_at: Mapping[str, Settings], *, with_shared: bool = True
) -> Iterator[Finding]:
    """Check the database of `DATABASE__URL`, and what it holds: tokens, clients, and whether deliveries run.

    :param looked_at: The companies to check.
    :param with_shared: Whether to check also the database itself and the processes, which all companies share.
    """
    place = str(shown(settings.database.url))
    try:
        with closing(Database(settings.database.url)) as database:
            if with_shared:
                yield from _examine_shared(database, place, settings)
            if database.missing_file() is None:
                yield from _examine_companies(database, settings, looked_at)
    except SchemaOutdated as error:
        yield ok("database", place)
        yield fails("migrations", str(error), "run `scim-bridge db upgrade`", split=": ")
    except BridgeError as error:
        yield fails("database", str(error), "correct DATABASE__URL", split=": ")
    except SQLAlchemyError as exc:
        why = f" ({type(exc).__name__})"
        if isinstance(exc, DatabaseError):
            why = f": {next(iter(str(exc.orig).strip().splitlines()), 'no reason given')}"
        found = trouble_of(exc)
        cure = OF_FILE if database.is_sqlite else OF_SERVER
        cure = cure if found.why is Why.out_of_reach else found.cure
        yield fails("database", f"{place} can't be used{why}", cure)
        if database.is_sqlite:  # It may be the disk.
            yield from examine_disk(Path(database.engine.url.database or ""))


def _examine_companies(database: Database, settings: Settings, looked_at: Mapping[str, Settings]) -> Iterator[Finding]:
    with database.read() as s:
        workers = presences(s)[ProcessKind.worker]
    for name, own in looked_at.items():
        yield from named(name, settings, _examine_company(database, name, own, workers))


def _examine_shared(database: Database, place: str, settings: Settings) -> Iterator[Finding]:
    if (file := database.missing_file()) is not None:
        yield fails("database", told_missing(file), split=": ")
        return
    with database.read() as s:
        ours, its = datetime.now(UTC), s.now
    revision = require_current(database)
    with database.write() as s:
        takes_writes = database.can_write(s.connection)
    if takes_writes and (found := database.trouble()) is not None:
        yield fails("database", f"{place} can't be written: {found.told}", found.cure)
    elif takes_writes:
        yield ok("database", f"{place}, can be read and written")
    else:
        yield fails("database", f"{place} is read-only: it is a standby", STANDBY.cure)
    if revision == revisions()[-1]:
        yield ok("migrations", "the schema is up to date")
    else:
        told = f"a newer version has migrated the schema ({revision}), and this one can work on it"
        yield hint("migrations", told, "finish the upgrade, or the way back: docs/deploying.md, Upgrading")
    if database.is_sqlite:
        yield from _examine_file(database)
        yield from examine_disk(Path(database.engine.url.database or ""))
    else:
        yield clock_of("the database", its - ours)
    with database.read() as s:
        former = [name for name in tenants_with_credentials(s.connection) if name not in settings.tenants]
    for name in former:  # Its Entra gets 401, and nothing is delivered.
        cure = f"set [tenants.{name}.ditio] again to serve it; otherwise revoke its tokens and clients"
        yield hint("companies", f"{name} has tokens or clients, but is not in the settings: its Entra is refused", cure)
    with database.read() as s:
        running = presences(s)
        each_process = running_processes(s)
        is_awaited = any(s.of(name).outbox.status().due for name in settings.tenants)
    yield from _examine_processes(running, is_awaited=is_awaited)
    yield from _examine_versions(each_process, revision)


def _examine_file(database: Database) -> Iterator[Finding]:
    """Check the whole file of SQLite: a page that nothing reads today may be damaged."""
    try:
        with database.read() as s:
            damage = damage_in(s.connection, seconds=LONGEST_FILE_CHECK_SECONDS)
    except TimeoutError as error:
        yield hint("database", f"{error}: damage may be unseen", "run `sqlite3 FILE 'pragma quick_check'` on a backup")
    else:
        if damage is not None:
            yield fails("database", f"the database file is damaged: {damage}", RESTORE)


def _examine_processes(running: Mapping[ProcessKind, Presence], *, is_awaited: bool) -> Iterator[Finding]:
    """Check that a web server and a worker run. :param is_awaited: Whether people wait for a worker."""
    for kind, each in running.items():
        check = NAMES[kind]
        if each.absence is None:
            yield ok(check, "1 process runs" if each.alive == 1 else f"{each.alive} processes run")
        elif each.last_seen_at is not None or (is_awaited and kind is ProcessKind.worker):
            yield fails(check, each.absence, START[kind])
        else:  # Before the first start, nothing is wrong.
            yield hint(check, each.absence, START[kind])


def _examine_versions(running: Iterable[Running], revision: str) -> Iterator[Finding]:
    """Yield processes that have not been replaced since the schema was migrated."""
    older = {f"a {NAMES[each.kind]} on host {each.host}" for each in running if "" < each.revision < revision}
    if older:
        told = f"{', '.join(sorted(older))}: of a version before the last migration"
        yield hint("versions", told, "replace it: docs/deploying.md, Upgrading")


def examine_disk(file: Path, mounts: Path = Path("/proc/self/mounts")) -> Iterator[Finding]:
    """Check the disk of SQLite's file (rule D7: a local disk), and who can read the file and those beside it."""
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
    files = (file, file.with_name(f"{file.name}-wal"), file.with_name(f"{file.name}-shm"))
    if found := [str(each) for each in files if is_open_to_others(each)]:
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
    return below.get(max(below, key=len, default=""))


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


def clock_of(what: str, apart: timedelta) -> Finding:
    """Return a finding on how far another clock is from this machine's."""
    seconds = abs(apart.total_seconds())
    if abs(apart) <= MOST_APART:
        return ok("clock", f"this machine and {what} agree within {max(1, round(seconds))} s")
    direction = "behind" if apart > timedelta() else "ahead of"
    cure = "set both by a time server (NTP): tokens, leases and the last day of an employment depend on it"
    return fails("clock", f"this machine's clock is {seconds:.0f} s {direction} that of {what}", cure)


def _examine_company(database: Database, tenant: str, own: Settings, workers: Presence) -> Iterator[Finding]:
    """Check whether Entra can sign in and for how long, and whether deliveries are stopped, and why (rules R2, R3)."""
    with database.read(tenant) as s:
        now = s.now
        tokens = [each for each in s.tokens.list() if each.revoked_at is None]
        clients = [each for each in s.clients.list() if each.revoked_at is None]
        breaker, requested_at, unsent = s.breaker.get(), last_request(s), s.notices.unsent()
    ends = {
        "token": [(_called(each), each.expires_at) for each in tokens],
        # A client without a valid secret has no end: report it as expired.
        "client": [(f"{each.id}, {each.name!r}", each.expires_at if each.secrets else now) for each in clients],
    }
    # JWTs that Entra itself signs need no secret.
    ways = [own.auth.entra_tenant_id is not None or own.auth.workload_issuer is not None, *map(bool, ends.values())]
    if not any(ways):
        yield fails("tokens", "no token and no client was issued: Entra can't sign in", RENEWALS["token"])
    for kind, of_kind in ends.items():
        if of_kind:
            yield _secrets(kind, of_kind, now, hint if sum(ways) > 1 else fails)
    if any(ways):
        yield _silence(requested_at, now)
    if own.delivery.paused:
        cure = "remove it and restart the servers, then `outbox resume`"
        yield hint("deliveries", "paused by the setting DELIVERY__PAUSED", cure)
    if breaker.is_paused:
        yield hint("deliveries", f"paused since {breaker.paused_at:%Y-%m-%d %H:%M:%S} UTC", "`outbox resume`")
    told = breaker.told(now)
    if told is not None and workers.absence is not None:
        # Only a worker tries again: what kept the last call from Ditio may be over long since.
        yield hint("deliveries", told, f"{workers.absence}: {START[ProcessKind.worker]}")
    elif told is not None and breaker.is_open:
        cure = "see the lines about Ditio; the bridge tries again by itself, or at once with `outbox retry`"
        yield fails("deliveries", told, cure)
    elif told is not None:
        yield hint("deliveries", told, "none: the bridge waits, then deliveries continue by themselves")
    yield from _notices(own, unsent)


def _notices(own: Settings, unsent: Sequence[Unsent]) -> Iterator[Finding]:
    """Check whether notices reach the operators; yield nothing if none are asked for."""
    notify = own.notify
    for sentence in notify.missing(own.start):
        yield fails("notices", sentence, "set it, or remove the other NOTIFY__SMTP_ settings")
    for each in unsent:
        told = f"{each.count} could not be sent by {each.channel} since {each.since:%Y-%m-%d %H:%M} UTC: {each.why}"
        yield fails("notices", told, "`scim-bridge notify test` tries it at once; the bridge tries again by itself")
    ways = [f"webhook ({notify.webhook_form()})"] if notify.webhook_url is not None else []
    ways += ["mail"] if notify.smtp_host is not None else []
    if ways and not unsent:
        yield ok("notices", f"sent by {', '.join(ways)}; `scim-bridge notify test` sends one")


def _silence(requested_at: datetime | None, now: datetime) -> Finding:
    """Check how long ago Entra's last accepted request was: a job in quarantine, or stopped, sends none."""
    if requested_at is None:
        cure = "none before Entra is connected. Then, in Entra: *Test Connection*, *Start provisioning*"
        return hint("Entra", "no request from Entra has been accepted yet", cure)
    since = f"{requested_at:%Y-%m-%d %H:%M} UTC"
    hours = int((now - requested_at) / timedelta(hours=1))
    if now - requested_at < SILENT:
        return ok("Entra", f"its last request was accepted at {since}")
    cure = (
        "none if no user was changed since: Entra then sends nothing. Otherwise look at *Provisioning* in Entra: is "
        "the job stopped or in quarantine? And does the proxy let Entra through?"
    )
    return hint("Entra", f"nothing from Entra for {hours} hours, since {since}", cure)


def _called(token: Token) -> str:
    if token.expires_at is None:
        return f"{token.id}, {token.name!r}"
    return f"{token.id}, {token.name!r} (until {token.expires_at:%Y-%m-%d %H:%M} UTC)"


def _secrets(
    kind: str, ends: Sequence[tuple[str, datetime | None]], now: datetime, complain: Callable[[str, str, str], Finding]
) -> Finding:
    """Check the secrets of one kind. :param complain: A hint if there is another way in: they may be unused."""
    check, cure = f"{kind}s", RENEWALS[kind]
    last, _ = max(ends, key=lambda each: each[1] or now)
    valid = [end for _, end in ends if end is None or end > now]
    soon = [(name, end) for name, end in ends if end is not None and now < end <= now + SOON]
    if not valid:
        return complain(check, f"all {kind}s have expired, {last} last", cure)
    if len(soon) == len(valid):
        return complain(check, f"{last} is the last {kind} that is valid, and expires within 30 days", cure)
    if soon:
        return hint(check, f"{soon[0][0]} expires within 30 days", f"if it is in use in Entra: {cure}")
    return ok(check, "1 is valid" if len(valid) == 1 else f"{len(valid)} are valid")
