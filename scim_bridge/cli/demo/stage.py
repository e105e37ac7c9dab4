"""The output of the demo: acts, bars and tables; counted calls, and the comparison of both sides."""

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import TextIOWrapper

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.padding import Padding
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from scim_bridge.sandbox.company import SandboxEmployee
from scim_bridge.sandbox.directory import EntraUser
from scim_bridge.sandbox.gateway import Recorded

EMPLOYEES = "/api/v5/integration/employees"
CERTIFICATES = "/api/v4/integration/certificates"
TOKEN = "/connect/token"  # nosec B105 # a path

KINDS = (
    "create employee",
    "update profile",
    "change-phone-number",
    "change-employee-number",
    "update-employment",
    "end-employment",
    "create-employment",
    "disable",
    "enable",
    "certificates",
    "read",
    "search",
    "sign-in",
    "failed",
)
"""The kinds of calls, in the order of the tables."""


@dataclass(frozen=True, slots=True)
class Check:
    """A statement that must be true, and whether it is."""

    ok: bool
    text: str
    quote: str | None = None
    """What the bridge itself says about it."""

    sums_up: bool = False
    """Whether this check is the result of the act; by default the last check is."""


def kind_of(call: Recorded) -> str:
    """Return the kind of a call; a call that Ditio did not answer is `failed`."""
    if call.status == 0 or call.status >= 500:
        return "failed"
    if call.path == TOKEN:
        return "sign-in"
    if call.path.endswith(CERTIFICATES):
        return "certificates"
    below = call.path.removeprefix(EMPLOYEES).strip("/")
    if call.method == "GET":
        return "search" if below == "search" else "read"
    if not below:
        return "create employee"
    _, _, operation = below.partition("/")
    return operation or "update profile"


def by_kind(calls: Iterable[Recorded]) -> Counter[str]:
    """Return the number of calls of each kind, in the order of `KINDS`; unknown kinds come last."""
    counted = Counter(kind_of(call) for call in calls)
    known = [kind for kind in KINDS if kind in counted]
    return Counter({kind: counted[kind] for kind in (*known, *(each for each in counted if each not in KINDS))})


def proofs(
    calls: Sequence[Recorded],
    employees: Mapping[str, SandboxEmployee],
    *,
    hired: int,
    people: int,
    strangers: int,
) -> list[Check]:
    """Return the checks that must be true at the end.

    :param hired: How many people had to be created; the others already existed.
    :param people: How many people Entra knows.
    :param strangers: How many employees in Ditio Entra does not know.
    """
    created = [call for call in calls if kind_of(call) == "create employee" and 200 <= call.status < 300]
    twice = [each for each in employees.values() if each.created_count > 1]
    phones = {each.phone for each in employees.values()}
    once = len(created) == hired and not twice and len(phones) == len(employees) == people + strangers
    forbidden = Counter(call.method for call in calls if call.method in ("PUT", "DELETE"))
    return [
        Check(
            once,
            f"No person was created twice: {numbered(len(created), 'creation')} for {numbered(hired, 'new employee')}; "
            f"{numbered(len(employees), 'employee')}, {numbered(len(phones), 'phone number')}.",
        ),
        Check(
            not forbidden,
            f"Nothing was deleted or replaced: no DELETE and no PUT in {len(calls)} calls to Ditio."
            if not forbidden
            else f"Ditio got {forbidden['DELETE']} DELETE and {forbidden['PUT']} PUT, which is never allowed.",
        ),
    ]


def numbered(count: int, noun: str) -> str:
    """Return a number with its noun: `1 change`, `2 changes`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


Facts = Mapping[str, str | None]
"""The values of a person on one side, by the names in `FIELDS`."""

FIELDS = ("name", "phone", "e-mail", "title", "department", "start", "employment", "login")


@dataclass(frozen=True, slots=True)
class Difference:
    """One field of one person that differs between the two sides."""

    employee_number: str
    name: str
    field: str
    """One of `FIELDS`, or `employee` if Ditio has no employee with this number."""

    entra: str | None
    ditio: str | None


def differences(users: Iterable[EntraUser], employees: Mapping[str, SandboxEmployee]) -> list[Difference]:
    """Compare every user with the employee of the same number, field by field.

    :param users: All users ever hired through Entra; a leaver is still an employee, with an ended employment.
    :param employees: The employees in the simulated Ditio, by employee number.
    """
    return [each for user in users for each in _differences(user, employees.get(user.employee_id or ""))]


def as_entra_knows(user: EntraUser) -> Facts:
    """Return what Ditio should show of a user."""
    return {
        "name": f"{user.given_name} {user.surname}",
        "phone": _international(user.mobile or user.telephone_number),
        "e-mail": (user.mail or user.user_principal_name).lower(),
        "title": user.job_title,
        "department": user.department,
        "start": user.hire_date,
        "employment": "open" if user.active else "ended",
        "login": "open" if user.active else "closed",
    }


def as_ditio_shows(employee: SandboxEmployee) -> Facts:
    """Return what Ditio shows of an employee."""
    employment = employee.employment
    return {
        "name": employee.name,
        "phone": employee.phone,
        "e-mail": employee.email.lower() if employee.email else None,
        "title": employee.work_title,
        "department": employment.department if employment else None,
        "start": employment.start.isoformat() if employment else None,
        "employment": "open" if employment and employment.end is None else "ended",
        "login": "closed" if employee.disabled else "open",
    }


def _differences(user: EntraUser, employee: SandboxEmployee | None) -> list[Difference]:
    number, name = user.employee_id or "no number", user.display_name or user.user_principal_name
    if employee is None:
        return [Difference(number, name, "employee", "hired", None)]
    wanted, found = as_entra_knows(user), as_ditio_shows(employee)
    return [
        Difference(number, name, field, wanted[field], found[field])
        for field in FIELDS
        if wanted[field] != found[field]
    ]


def _international(phone: str | None) -> str | None:
    """Return a phone number as Ditio stores it: `+4798765432`. Eight digits alone are a Norwegian number."""
    if phone is None:
        return None
    digits = "".join(char for char in phone if char.isdigit())
    if phone.strip().startswith("+"):
        return f"+{digits}"
    return f"+{digits.removeprefix('00')}" if digits.startswith("00") else f"+47{digits}"


WIDTH = 100
"""The longest line: longer ones are hard to read."""

INDENT = 4


class Stage:
    """Standard output, formatted for people."""

    def __init__(self) -> None:
        # An old terminal may lack letters of Norwegian names; replace them, and continue.
        if isinstance(sys.stdout, TextIOWrapper):
            sys.stdout.reconfigure(errors="replace")
        self.is_animated = sys.stdout.isatty()
        self._console = Console(highlight=False, force_terminal=None if self.is_animated else False)
        self._console.width = min(WIDTH, self._console.width) if self.is_animated else WIDTH

    def say(self, text: str = "", style: str = "") -> None:
        """Print one paragraph."""
        self._console.print(Text(text, style))

    def line(self, *parts: tuple[str, str]) -> None:
        """Print one line of parts, each with a style; never wrap it, so that it can be copied."""
        self._console.print(Text.assemble(*parts), soft_wrap=True)

    def act(self, number: int, title: str, why: str) -> None:
        """Begin an act."""
        self._console.print()
        self._console.print(Rule(Text(f"{number}  {title}", "bold cyan"), align="left", style="cyan dim"))
        self._indented(Text(why))

    @contextmanager
    def busy(self, text: str) -> Iterator[None]:
        """Show that something takes a moment."""
        if not self.is_animated:
            yield
            return
        with self._console.status(Text(text, "dim"), spinner_style="cyan"):
            yield

    def heading(self, title: str) -> None:
        """Begin a section that is not an act."""
        self._console.print()
        self._console.print(Rule(Text(title, "bold cyan"), align="left", style="cyan dim"))

    def check(self, check: Check) -> None:
        """Print one check."""
        line = Table.grid(padding=(0, 1, 0, 0))
        line.add_row(mark(check.ok), Text(check.text, "" if check.ok else "red"))
        self._console.print(Padding(line, (0, 0, 0, INDENT)))
        if check.quote:
            self._console.print(Padding(Text(f"“{check.quote}”", "dim italic"), (0, 0, 0, INDENT + 2)))

    def table(self, headings: Sequence[str], rows: Sequence[Sequence[Text]], *, lines: bool = False) -> None:
        """Print a table."""
        table = Table(box=SIMPLE_HEAD, pad_edge=False, show_lines=lines, header_style="bold")
        for heading in headings:
            table.add_column(heading, overflow="fold")
        for row in rows:
            table.add_row(*row)
        self._console.print(Padding(table, (0, 0, 0, 2)))

    @contextmanager
    def bar(self, label: str, total: int) -> Iterator[Callable[[int], None]]:
        """Show a progress bar; yield the function to call with the number done."""
        if not self.is_animated:
            yield lambda done: None
            self._indented(Text(f"{label}: {total}"))
            return
        columns = (TextColumn(" " * INDENT + "{task.description:<14}"), BarColumn(50), MofNCompleteColumn())
        with Progress(*columns, console=self._console) as progress:
            task = progress.add_task(label, total=total)
            yield lambda done: progress.update(task, completed=min(done, total))
            progress.update(task, completed=total)

    def _indented(self, text: Text) -> None:
        self._console.print(Padding(text, (0, 0, 0, INDENT)))


def mark(ok: bool) -> Text:
    """Return the sign of a passed or failed check."""
    return Text("✓", "bold green") if ok else Text("✗", "bold red")
