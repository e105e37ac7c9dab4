"""The simulated Entra's directory: its users and groups, under Entra's names in snake case."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class EntraUser:
    """A user of the directory, and whether the bridge's enterprise application concerns them."""

    object_id: str
    user_principal_name: str
    display_name: str | None = None
    given_name: str | None = None
    surname: str | None = None
    mail: str | None = None
    mobile: str | None = None
    telephone_number: str | None = None
    job_title: str | None = None
    department: str | None = None
    employee_id: str | None = None

    manager: str | None = None
    """Object id of another user."""

    account_enabled: bool = True
    """False: sign-in is blocked."""

    soft_deleted: bool = False
    """In the recycle bin, from which it may be restored for 30 days."""

    assigned: bool = True
    """Assigned to the application, which is to say in scope."""

    birth_date: str | None = None
    """As the mapping sends it: a custom attribute is text."""

    hire_date: str | None = None
    """`employeeHireDate`, as the mapping sends it."""

    leave_date: str | None = None
    """`employeeLeaveDateTime`, as the mapping sends it."""

    extra: dict[str, object] = field(default_factory=dict)
    """Further attributes: PATCH paths and their values, sent as they are."""

    @property
    def in_scope(self) -> bool:
        """Whether Entra looks at this user's attributes at all."""
        return self.assigned and not self.soft_deleted

    @property
    def active(self) -> bool:
        """What the default mapping (`Switch([IsSoftDeleted] …)`) sends as `active`."""
        return self.in_scope and self.account_enabled


@dataclass(slots=True)
class EntraGroup:
    """A group that is assigned to the application."""

    object_id: str
    display_name: str
    members: list[str] = field(default_factory=list)
    """Object ids of users."""


class Directory:
    """All users and groups, by object id; change the objects freely between cycles."""

    def __init__(self) -> None:
        self.users: dict[str, EntraUser] = {}
        self.groups: dict[str, EntraGroup] = {}
        self.purged: dict[str, EntraUser | EntraGroup] = {}
        """What was deleted for good, as it was then."""

    def add(self, user: EntraUser) -> EntraUser:
        """Add a user, or replace the one with its object id."""
        self.users[user.object_id] = user
        return user

    def add_group(self, group: EntraGroup) -> EntraGroup:
        """Add a group, or replace the one with its object id."""
        self.groups[group.object_id] = group
        return group

    def hard_delete(self, object_id: str) -> None:
        """Delete a user or group for good, as a purge or day 30 in the recycle bin does.

        :raises KeyError: there is none with this object id.
        """
        gone = self.groups.pop(object_id) if object_id in self.groups else self.users.pop(object_id)
        self.purged[object_id] = gone
