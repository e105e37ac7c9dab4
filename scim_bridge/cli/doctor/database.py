"""The database: reachable, of this version's schema, writable, on a disk that is fit for it, with the right time."""

import os
import shutil
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy.exc import DatabaseError, SQLAlchemyError

from scim_bridge.cli.doctor.companies import told_of
from scim_bridge.cli.doctor.credentials import examine_credentials
from scim_bridge.cli.doctor.findings import Finding, fails, hint, is_open_to_others, ok, parted
from scim_bridge.domain.breaker import Breaker
from scim_bridge.errors import BridgeError, SchemaOutdated
from scim_bridge.settings import Settings
from scim_bridge.settings.catalogue import shown
from scim_bridge.storage.breakers import Breakers
from scim_bridge.storage.clients import Clients
from scim_bridge.storage.database import Database
from scim_bridge.storage.schema import require_current
from scim_bridge.storage.tokens import Tokens, tenants_with_credentials

LEAST_FREE_BYTES = 200 * 1024 * 1024
"""With less than this on the disk the next busy day may fill it."""

REMOTE = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs", "ceph", "glusterfs", "afs", "vboxsf"})
"""Filesystems whose locks SQLite can't rely on, and whose memory two machines don't share (rule D7)."""

MOST_APART = timedelta(seconds=30)
"""How far two clocks may be apart."""

PAUSED_BY_SETTING = "take it out and start the servers again, then `outbox resume`"

MOUNTS = Path("/proc/self/mounts")


def examine_database(settings: Settings, tenants: Sequence[str]) -> Iterator[Finding]:
    """The database of `DATABASE__URL`, and what stands in it: tokens, clients, and whether anybody is delivered.

    :param tenants: The companies to look at.
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
        cure = "go to the right folder, or name the right --config; `scim-bridge db upgrade` makes a new one"
        yield fails("database", f"there is no database at {path}", cure)
        return
    with database.read() as connection:
        ours, its = datetime.now(UTC), database.now(connection)
    try:
        require_current(database)
    except SchemaOutdated as error:
        yield ok("database", place)
        yield parted("migrations", str(error), "run `scim-bridge db upgrade`", at=": ")
        return
    with database.write() as connection:
        takes_writes = database.can_write(connection)
    if takes_writes:
        yield ok("database", f"{place}, read and written")
    else:
        yield fails("database", f"{place} only reads: it is a standby", "let DATABASE__URL name the primary")
    yield ok("migrations", "the schema is this version's")
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
    """Companies that the settings name no more: their Entra is answered 401, and nobody is delivered."""
    with database.read() as connection:
        former = [name for name in tenants_with_credentials(connection) if name not in settings.tenants]
    for name in former:
        cure = f"set [tenants.{name}.ditio] again, if it is to be served; otherwise revoke what was issued for it"
        yield hint(
            "companies", f"{name} has tokens or clients, and the settings do not name it: nobody is let in", cure
        )


def _examine_company(database: Database, tenant: str, own: Settings) -> Iterator[Finding]:
    signs_itself = own.auth.entra_tenant_id is not None or own.auth.workload_issuer is not None
    with database.read() as connection:
        now = database.now(connection)
        tokens, clients = Tokens(connection, tenant).list(), Clients(connection, tenant).list(now)
        breaker = Breakers(connection, tenant, now).get()
    yield from examine_credentials(tokens, clients, now, signs_itself=signs_itself)
    if own.delivery.paused:
        yield hint("deliveries", "paused by the setting DELIVERY__PAUSED", PAUSED_BY_SETTING)
    yield from examine_breaker(breaker, now)


def _cure(database: Database) -> str:
    if database.is_sqlite:
        return "see that DATABASE__URL names the bridge's own file, and that this user may write it and its folder"
    return (
        "see that PostgreSQL runs there and can be reached, and that name, user and password in DATABASE__URL are right"
    )


def examine_disk(file: Path, mounts: Path = MOUNTS) -> Iterator[Finding]:
    """What SQLite's file lies on (rule D7: a local disk)."""
    folder = file.absolute().parent
    free = shutil.disk_usage(folder).free
    kind = _filesystem(folder, mounts)
    if kind in REMOTE:
        yield fails("disk", f"{folder} is on {kind}, a disk of another machine", "move the file to a local disk")
    elif not os.access(folder, os.W_OK):
        cure = "let this user write the folder: SQLite keeps its journal beside the file"
        yield fails("disk", f"{folder} can't be written", cure)
    elif free < LEAST_FREE_BYTES:
        yield fails("disk", f"{free // 1024**2} MiB are left on the disk of {folder}", "make room on it")
    else:
        yield ok("disk", f"{folder}, {free // 1024**3} GiB free")


def _examine_rights(file: Path) -> Iterator[Finding]:
    """Whether others read the people in it: SQLite's file, and those that it keeps beside it."""
    beside = [file.with_name(file.name + ending) for ending in ("-wal", "-shm")]
    if found := [str(each) for each in (file, *beside) if is_open_to_others(each)]:
        told = f"other users of this machine can read {', '.join(found)}: personal data is in it"
        yield hint("database", told, f"chmod 600 {' '.join(found)}")


def _filesystem(folder: Path, mounts: Path) -> str | None:
    """The kind of filesystem that a folder is on; None where this machine does not say."""
    try:
        lines = [line.split() for line in mounts.read_text(encoding="utf-8", errors="replace").splitlines()]
    except OSError:
        return None
    real = folder.resolve()
    below = {line[1]: line[2] for line in lines if len(line) > 2 and real.is_relative_to(line[1].replace(r"\040", " "))}
    return below[max(below, key=len)] if below else None


def examine_breaker(breaker: Breaker, now: datetime) -> Iterator[Finding]:
    """Whether deliveries stand still, and why (rules R2, R3)."""
    if breaker.is_paused:
        yield hint("deliveries", f"paused since {breaker.paused_at:%Y-%m-%d %H:%M:%S} UTC", "`outbox resume`")
    told = breaker.told(now)
    if breaker.is_open and told is not None:
        cure = "see what is told about Ditio here; it is tried again by itself, and `outbox retry` does so at once"
        yield fails("deliveries", told, cure)
    elif told is not None:
        yield hint("deliveries", told, "none: that is obeyed, and deliveries go on by themselves")


def clock_of(what: str, apart: timedelta) -> Finding:
    """How far another clock is from this machine's."""
    seconds = abs(apart.total_seconds())
    if abs(apart) <= MOST_APART:
        return ok("clock", f"this machine and {what} agree within {max(1, round(seconds))} s")
    return fails(
        "clock",
        f"this machine's clock is {seconds:.0f} s {'behind' if apart > timedelta() else 'ahead of'} that of {what}",
        "set both by a time server (NTP): tokens, leases and the last day of an employment hang on it",
    )
