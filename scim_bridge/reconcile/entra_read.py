"""Read Entra into the database: users and their changes, without values; who is assigned, and by which group."""

import hashlib
import hmac
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from math import ceil

from scim_bridge.domain.entra import (
    MOST_CALLS,
    MOST_ROWS,
    Assignment,
    DirectoryUser,
    EntraReading,
    Job,
    Permission,
    Principal,
    PrincipalKind,
    Stored,
    is_object_id,
)
from scim_bridge.domain.values import JsonObject
from scim_bridge.errors import EntraError
from scim_bridge.logs import get_logger
from scim_bridge.plan.entra_mapping import USER, ObjectMapping, Scope, object_mapping, of_active, passes, scope_of
from scim_bridge.plan.entra_schema import schema_of
from scim_bridge.plan.entra_side import CONFIRMED, FULL_AGAIN, SHOWN, Compared, compared_of, doubts_of_read, hashes_of
from scim_bridge.scim.reading import SourcePath
from scim_bridge.storage.database import Secrets, Session
from scim_bridge.tenant import Entra, Tenant

log = get_logger(__name__)


BATCH = 500
"""Assignments that are stored in one transaction."""

ENTRA_READ = "entra-read"
"""The task of reading all of a company's Entra, which one run has at a time."""

ALIVE_SECONDS = 120.0
"""A read that stored nothing for so long gives way to another one, and then ends."""

OTHER_READ = "another run reads Entra now: try again when it has ended, in two minutes at the latest if it was killed"

HASHES = "entra-hashes"
"""The secret of the keyed hashes: without it, a hash says nothing of a value."""

FEW_USERS = 1_000
"""Up to so many users, only those that matter are asked for, if that takes fewer calls than all users do."""

MAPPING_GUESSED = "the mapping was not read, so the one that the settings generate is taken for it"


@dataclass(frozen=True, slots=True)
class Terms:
    """What is asked for in one read, and how it is judged."""

    job: Job | None
    """None where the job may not be read."""

    compared: tuple[Compared, ...]
    scope: Scope
    all_users: bool
    granted: frozenset[Permission]
    source: str = ""
    """Which directory and application is read."""

    sends_no_leaver: tuple[str, ...] = ()
    """Why Entra's own settings keep it from sending leavers, in words."""

    matching: Compared | None = None
    """The attribute by which Entra matches users, if it is sent as it is: a user without a value is never sent."""

    @property
    def attributes(self) -> frozenset[str]:
        """Return the attributes that are read, those of the scoping filter included."""
        matching = {self.matching.attribute} if self.matching is not None else set()
        return frozenset({each.attribute for each in self.compared} | self.filtered | matching)

    @property
    def filtered(self) -> frozenset[str]:
        """Return the attributes of the scoping filter."""
        return frozenset(attribute for group in self.scope for attribute, _, _ in group)

    @property
    def forms(self) -> dict[str, Compared]:
        """Return one comparison for each attribute."""
        filtered = {each: Compared(SourcePath(each, None, each), each, None) for each in self.filtered}
        matching = {self.matching.attribute: self.matching} if self.matching is not None else {}
        return filtered | matching | {each.attribute: each for each in reversed(self.compared)}

    def basis(self, key: str) -> str:
        """Return a fingerprint; what was stored with another one can't be used. :param key: The hashes' secret."""
        # With another permission, another value is empty: what was stored without it proves nothing.
        told = sorted(self.granted & {Permission.users, Permission.leave_dates})
        forms = [(each.attribute, each.field) for each in (*self.compared, *self.forms.values())]
        said = repr((sorted(self.attributes), self.scope, forms, told))
        return f"{self._source(key)}{hmac.new(key.encode(), said.encode(), hashlib.sha256).hexdigest()}"

    def is_source_of(self, reading: EntraReading, key: str) -> bool:
        """Return whether a read was of the directory that is read now: what another one lacks was not deleted."""
        return reading.basis.startswith(self._source(key))

    def _source(self, key: str) -> str:
        return hmac.new(key.encode(), self.source.encode(), hashlib.sha256).hexdigest()[:24] + "-"


def terms_of(tenant: Tenant, entra: Entra) -> Terms:
    """Read what decides about a comparison: permissions, job, mapping. :raises EntraError: Graph is out of reach."""
    granted = entra.permissions()
    try:
        job: Job | None = entra.job()
        schema: JsonObject = entra.schema(job.id) if job is not None else {}
    except EntraError as error:
        if error.permission is None:
            raise
        log.warning("entra.mapping_unread", tenant=tenant.name, why=MAPPING_GUESSED)
        job, schema = None, schema_of(tenant.rules, tenant.slots, {})
    users = object_mapping(schema, USER) or ObjectMapping("", False, (), (), False, False)
    secrets = {name.casefold(): value for name, value in entra.provisioning_secrets().items()}
    all_users = tenant.entra_all_users or secrets.get("syncall", "").casefold() == "true"
    rows = [row for row in users.rows if row.matching_priority > 0 and row.is_direct and row.source]
    matching = [Compared(SourcePath(row.target, None, row.target), str(row.source), None) for row in rows]
    return Terms(
        job,
        compared_of(users, tenant.rules, tenant.slots),
        scope_of(schema),
        all_users,
        granted,
        source=entra.source,
        sends_no_leaver=tuple(_sends_no_leaver(users, secrets)),
        matching=matching[0] if len(matching) == 1 else None,
    )


def _sends_no_leaver(users: ObjectMapping, secrets: Mapping[str, str]) -> Iterator[str]:
    if users.rows:
        yield from (f"{each.detail}. To correct it, {each.cure}" for each in of_active(users))
    if secrets.get("skipoutofscopedeletions", "").casefold() == "true":
        yield (
            "the job has SkipOutOfScopeDeletions, so users who are unassigned or out of scope are not disabled. Set it "
            "to False in Entra, unless intended"
        )


@dataclass(slots=True)
class EntraRead:
    """One read of a company's Entra, complete or not at all."""

    tenant: Tenant
    entra: Entra
    terms: Terms
    read_id: str
    progress: Callable[[str, int, int | None], None]
    key: str = ""
    _forms: Mapping[str, Compared] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.key = Secrets(self.tenant.database).of(self.tenant.name, HASHES)
        self._forms = self.terms.forms

    def hashed(self, attribute: str, form: str) -> str:
        """Return the keyed hash of a value in its compared form."""
        return hmac.new(self.key.encode(), f"{attribute}\0{form}".encode(), hashlib.sha256).hexdigest()[:24]

    def stored(self, user: DirectoryUser) -> Stored:
        """Return what is stored of a user as Entra shows them now."""
        hashes = hashes_of(user, self._forms, self.tenant.rules, self.hashed)
        return Stored(user.enabled, hashes, None, None, passes(self.terms.scope, user))

    def run(self) -> EntraReading:
        """Read it, and store it. The mark moves only once all of it was read, and is believed.

        :raises EntraError: it could not be read as a whole; what was stored before stays, and is not compared.
        """
        with self.tenant.read() as s:
            before, now, linked = s.entra.marked(), s.now, s.people.count()
        if before is not None and not self.terms.is_source_of(before, self.key):
            with self.tenant.write() as s:
                s.entra.forget_all()
            before = None
        basis, link, full_at = self.terms.basis(self.key), None, now
        if before is not None and before.basis == basis and now - before.full_at < FULL_AGAIN:
            link, full_at = self._changes(before.delta_link) if before.delta_link else None, before.full_at
        doubts = [] if self.terms.all_users else list(self._assignments())
        users_before, counted = before.users if before is not None else 0, None
        few, gone = None, list[str]()
        if is_new := link is None:
            full_at, counted = now, self.entra.count()
            if (few := self._few(counted)) is None:
                link = self._all()
            else:
                users_before, gone = self._each_of(few)
                counted = None
        with self.writing() as s:
            assigned = s.entra.count_assigned(self.read_id)
            reading = EntraReading(
                read_id=self.read_id,
                read_at=now,
                full_at=full_at,
                basis=basis,
                delta_link=link,
                users=s.entra.count_users(self.read_id if is_new else None),
                # A doubtful figure is no measure for the next read.
                assigned=before.assigned if doubts and before is not None else assigned,
                assigned_before=before.assigned if before is not None else None,
                doubts=tuple(doubts),
            )
            stops = [
                f"{why}: {CONFIRMED}" if why.startswith(SHOWN) else why
                for why in doubts_of_read(
                    reading, counted, linked, all_users=self.terms.all_users, users_before=users_before
                )
            ]
            if not stops:
                # Only a read that is believed replaces the one before, and only it shows who is gone.
                if few is not None:
                    s.entra.remove(gone)
                    s.entra.forget_unread(self.read_id)
                elif is_new:
                    s.entra.remove_unseen(self.read_id)
                s.entra.forget_unassigned(self.read_id)
                s.entra.mark(reading)
        if not stops:
            self._bin()
        return replace(reading, stops=tuple(stops))

    def _few(self, counted: int | None) -> list[str] | None:
        """Return the users that matter, if a few calls show them; None where all users are to be read.

        :param counted: How many users Graph counts; None where it does not say.
        """
        if self.terms.all_users or counted is None:
            return None
        with self.tenant.read() as s:
            found = [each for each in s.entra.concerned(self.read_id, FEW_USERS + 1) if is_object_id(each)]
        is_less = ceil(len(found) / MOST_CALLS) < ceil(counted / MOST_ROWS)
        return found if len(found) <= FEW_USERS and is_less else None

    def _each_of(self, object_ids: Sequence[str]) -> tuple[int, list[str]]:
        """Read these users. Return how many of them were there before, and who of those is not there now.

        One who was never there is not known, and not deleted.
        """
        with self.writing() as s:
            # As in `_all`: what is stored is overwritten.
            s.entra.forget_mark()
            known = {each for each, stored in s.entra.of(object_ids).items() if stored.removed is None}
        gone, done = list[str](), 0
        for page in self.entra.users_of(object_ids, self.terms.attributes):
            done += len(page)
            gone += [object_id for object_id, user in page if user is None and object_id in known]
            self._put([user for _, user in page if user is not None])
            self.progress("reading Entra", done, len(object_ids))
        return len(known), gone

    def _all(self) -> str | None:
        """Read all users. What changes meanwhile is read after them, from a mark that is taken first."""
        with self.writing() as s:
            # Until all is read, there is no way on from the read before: its rows are overwritten.
            s.entra.forget_mark()
        link = self.entra.mark(self.terms.attributes)
        done = 0
        for page in self.entra.users(self.terms.attributes):
            self._put(page)
            done += len(page)
            self.progress("reading Entra", done, None)
        self._look_again()
        if link is None:
            return None
        after = self._changes(link)
        return link if after is None else after

    def _look_again(self) -> None:
        """Ask for the people's users that no page showed: to be missing in a list is no proof."""
        with self.tenant.read() as s:
            unseen = s.entra.unseen(self.read_id, FEW_USERS + 1)
        if len(unseen) <= FEW_USERS:  # More is no ordinary day, and other guards stop there.
            for page in self.entra.users_of(unseen, self.terms.attributes):
                self._put([user for _, user in page if user is not None])

    def _changes(self, mark: str) -> str | None:
        """Read what changed since a mark. Return the next mark; None if this one is no longer known."""
        following: str | None = mark
        try:
            for page, link in self.entra.changes(mark, self.terms.attributes):
                self._put(page, is_delta=True)
                following = link or following
        except EntraError as error:
            if error.is_passing and error.status is not None and error.status < 429:
                log.info("entra.mark_lost", tenant=self.tenant.name, status=error.status)
                return None
            raise
        return following

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """Write, while no other run reads this company's Entra: one's rows would be missing ones of the other."""
        with self.tenant.write() as s:
            if not s.schedules.stay_alive(ENTRA_READ, self.read_id, ALIVE_SECONDS):
                raise EntraError(OTHER_READ, is_passing=True)
            yield s

    def _put(self, page: Sequence[DirectoryUser], *, is_delta: bool = False) -> None:
        with self.writing() as s:
            known = s.entra.of([user.object_id for user in page]) if is_delta else {}
            rows: dict[str, Stored] = {}
            for user in page:
                before = rows.get(user.object_id) or known.get(user.object_id)
                if user.removed is not None:
                    stays = before or Stored(None, {})
                    # Once a user is gone for good, the recycle bin no longer says when.
                    rows[user.object_id] = replace(stays, removed=user.removed)
                    continue
                now = self.stored(user)
                earlier = before.hashes if before is not None else {}
                enabled = user.enabled if user.enabled is not None or before is None else before.enabled
                rows[user.object_id] = replace(now, enabled=enabled, hashes={**earlier, **now.hashes})
            s.entra.put(self.read_id, rows.items())

    def _bin(self) -> None:
        """Read on which days users were deleted, if a person has one of them."""
        with self.tenant.read() as s:
            is_needed = s.entra.has_removed()
        if is_needed:
            try:
                # The day explains, and decides nothing: a failure is no doubt.
                deleted = list(self.entra.deleted())
            except EntraError as error:
                log.info("entra.bin_unread", status=error.status)
                return
            with self.writing() as s:
                s.entra.deleted_on(deleted)

    def _assignments(self) -> Iterator[str]:
        """Store who is assigned. Yield why that is not known as a whole."""
        rows: dict[tuple[str, str], Assignment] = {}
        for each in who_is_assigned(self.entra, self.terms.granted):
            if isinstance(each, Doubt):
                yield each.words
                continue
            rows[each.object_id, each.via] = each
            if len(rows) == BATCH:
                self._assign(rows.values())
                rows = {}
        self._assign(rows.values())

    def _assign(self, rows: Iterable[Assignment]) -> None:
        with self.writing() as s:
            s.entra.assign(self.read_id, rows)


@dataclass(frozen=True, slots=True)
class Doubt:
    """Why it is not known as a whole who is assigned."""

    words: str


def who_is_assigned(entra: Entra, granted: frozenset[Permission]) -> Iterator[Assignment | Doubt]:
    """Yield each reason for which a user is assigned, direct ones first, as Graph shows it now.

    :param granted: The permissions that were granted.
    :raises EntraError: it can't be read as a whole.
    """
    groups: list[Principal] = []
    for each in entra.assigned():
        if each.kind is PrincipalKind.group:
            groups.append(each)
        elif each.kind is PrincipalKind.user:
            yield Assignment(each.id)
        else:
            yield Doubt(f"{each.name or each.id!r} is assigned, and is neither a user nor a group")
    for group in groups:
        yield from _of_group(entra, group, granted)


def _of_group(entra: Entra, principal: Principal, granted: frozenset[Permission]) -> Iterator[Assignment | Doubt]:
    """Yield the members of an assigned group, or why they are not known."""
    group = entra.group(principal.id)
    named = (group.name if group is not None else None) or principal.name or principal.id
    if group is None:
        yield Doubt(f"the assigned group {named!r} is not there any more")
        return
    if not group.is_security:
        yield Doubt(f"the assigned group {named!r} is no security group")
    if not group.is_settled:
        yield Doubt(f"the rule of the assigned group {named!r} is paused or being evaluated")
    if group.is_hidden and Permission.hidden_members not in granted:
        yield Doubt(f"the members of the group {named!r} are hidden, and {Permission.hidden_members} is not granted")
        return
    direct: set[str] = set()
    has_groups = False
    for member in entra.members(principal.id):
        has_groups = has_groups or member.is_group
        if member.is_user:
            direct.add(member.id)
            yield Assignment(member.id, principal.id, named)
    if not has_groups:
        return
    try:
        # It explains, and decides nothing: a failure is no doubt.
        nested = [each for each in entra.nested(principal.id) if each not in direct]
    except EntraError as error:
        log.info("entra.nested_unread", status=error.status)
        return
    for each in nested:
        yield Assignment(each, principal.id, named, is_nested=True)
