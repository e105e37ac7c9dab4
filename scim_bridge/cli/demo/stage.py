"""What the demo shows and compares: acts, bars and tables; counted calls; both sides of each person."""

import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import TextIOWrapper
from typing import Any, NamedTuple

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.padding import Padding
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.rule import Rule
from rich.table import Column, Table
from rich.text import Text

from scim_bridge.cli.output import NARROW
from scim_bridge.sandbox.company import SandboxEmployee
from scim_bridge.sandbox.directory import EntraUser
from scim_bridge.sandbox.gateway import Recorded

READS = ("read", "search", "sign-in")
KINDS = (
    *("create employee", "update profile", "change-phone-number", "change-employee-number", "update-employment"),
    *("end-employment", "create-employment", "disable", "enable", "certificates", *READS, "failed"),
)
"""The kinds of calls, in the order of the tables."""


def kind_of(call: Recorded) -> str:
    """Return the kind of a call; a call that Ditio did not answer is `failed`."""
    below = call.path.partition("/integration/employees")[2].strip("/")
    if call.status == 0 or call.status >= 500:
        return "failed"
    if call.path == "/connect/token":
        return "sign-in"
    if call.path.endswith("/certificates"):
        return "certificates"
    if call.method == "GET":
        return "search" if below == "search" else "read"
    return below.partition("/")[2] or ("update profile" if below else "create employee")


def by_kind(calls: Iterable[Recorded]) -> Counter[str]:
    """Return the number of calls of each kind, in the order of `KINDS`; unknown kinds come last."""
    counted = Counter(map(kind_of, calls))
    return Counter({kind: counted[kind] for kind in (*KINDS, *counted) if kind in counted})


class Check(NamedTuple):
    """A statement that must be true, and whether it is."""

    ok: bool
    text: str
    quote: str | None = None  # What the bridge itself says about it.
    sums_up: bool = False  # Whether this is the result of the act; by default the last check is.


def proofs(
    calls: Sequence[Recorded], employees: Mapping[str, SandboxEmployee], *, hired: int, people: int, strangers: int
) -> list[Check]:
    """Return the checks that must be true at the end.

    :param hired: How many people had to be created; the others already existed.
    :param people: How many people Entra knows.
    :param strangers: How many employees in Ditio Entra does not know.
    """
    created = sum(kind_of(call) == "create employee" and call.status < 300 for call in calls)
    phones = {each.phone for each in employees.values()}
    are_single = all(each.created_count <= 1 for each in employees.values())
    once = are_single and created == hired and len(phones) == len(employees) == people + strangers
    told = f"No one was created twice: {numbered(created, 'creation')} for {numbered(hired, 'new employee')}"
    told = f"{told}; {numbered(len(employees), 'employee')}, {numbered(len(phones), 'phone number')}."
    forbidden = [call.method for call in calls if call.method in ("DELETE", "PUT")]
    kept = f"Nothing was deleted or replaced: no DELETE and no PUT in {len(calls)} calls to Ditio."
    broken = f"Ditio got {', '.join(forbidden)}, which is never allowed."
    return [Check(once, told), Check(not forbidden, broken if forbidden else kept)]


def numbered(count: int, noun: str) -> str:
    """Return a number with its noun: `1 change`, `2 changes`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _international(phone: str) -> str:
    """Return a phone number as Ditio stores it: `+4798765432`. Eight digits alone are a Norwegian number."""
    digits = re.sub(r"[^+\d]", "", phone).replace("+", "00")
    return f"+{digits[2:]}" if digits.startswith("00") else f"+47{digits}"


FACTS: Mapping[str, tuple[Callable[[EntraUser], str | None], Callable[[SandboxEmployee], Any]]] = {
    "name": (lambda user: f"{user.given_name} {user.surname}", lambda employee: employee.name),
    "phone": (lambda user: user.mobile and _international(user.mobile), lambda employee: employee.phone),
    "e-mail": (lambda user: (user.mail or "").lower(), lambda employee: employee.email and employee.email.lower()),
    "title": (lambda user: user.job_title, lambda employee: employee.work_title),
    "department": (lambda user: user.department, lambda each: each.employment and each.employment.department),
    "start": (lambda user: user.hire_date, lambda each: each.employment and f"{each.employment.start}"),
    "employment": (
        lambda user: "open" if user.active else "ended",
        lambda each: "open" if each.employment and not each.employment.end else "ended",
    ),
    "login": (lambda user: "open" if user.active else "closed", lambda each: "closed" if each.disabled else "open"),
}
"""What Entra knows of a user, and what Ditio shows of the employee."""


def as_entra_knows(user: EntraUser) -> dict[str, str | None]:
    """Return the facts that Entra knows of a user."""
    return {field: entra(user) for field, (entra, _) in FACTS.items()}


class Difference(NamedTuple):
    """A fact about a person that differs; `employee` if Ditio has no employee with this number."""

    employee_number: str
    name: str
    field: str
    entra: str | None
    ditio: str | None


def differences(users: Iterable[EntraUser], employees: Mapping[str, SandboxEmployee]) -> list[Difference]:
    """Compare every user with the employee of the same number, fact by fact.

    :param users: All users ever hired through Entra; a leaver is still an employee, with an ended employment.
    """
    found: list[Difference] = []
    for user in users:
        number, name = user.employee_id or "no number", user.display_name or user.user_principal_name
        if employee := employees.get(number):
            sides = [(field, entra(user), ditio(employee)) for field, (entra, ditio) in FACTS.items()]
            found += [Difference(number, name, *side) for side in sides if side[1] != side[2]]
        else:
            found.append(Difference(number, name, "employee", "hired", None))
    return found


INDENT = (0, 0, 0, 4)


class Stage:
    """Standard output, formatted for people."""

    def __init__(self) -> None:
        # An old terminal may lack letters of Norwegian names; replace them, and continue.
        if isinstance(sys.stdout, TextIOWrapper):
            sys.stdout.reconfigure(errors="replace")
        self.console = Console(highlight=False, markup=False, emoji=False, force_terminal=sys.stdout.isatty())
        self.console.width = min(NARROW, self.console.width) if self.console.is_terminal else NARROW

    def line(self, *parts: str | tuple[str, str]) -> None:
        """Print one line of parts, some with a style; never wrap it, so that it can be copied."""
        self.console.print(Text.assemble(*parts), soft_wrap=True)

    def heading(self, title: str, why: str = "") -> None:
        """Begin an act or another section."""
        self.line()
        self.console.print(Rule(Text(title, "bold cyan"), align="left", style="cyan dim"))
        if why:
            self.console.print(Padding(why, INDENT))

    def check(self, check: Check) -> None:
        """Print one check."""
        grid = Table.grid(padding=(0, 1, 0, 0))
        grid.add_row(mark(check.ok), Text(check.text, "" if check.ok else "red"))
        if check.quote:
            grid.add_row("", Text(f"“{check.quote}”", "dim italic"))
        self.console.print(Padding(grid, INDENT))

    def table(self, *columns: str | Column, rows: Iterable[Sequence[str | Text]], show_lines: bool = False) -> None:
        """Print a table."""
        table = Table(*columns, box=SIMPLE_HEAD, padding=(0, 1, 0, 0), show_lines=show_lines, header_style="bold")
        for column in table.columns:
            column.overflow = "fold"
        for row in rows:
            table.add_row(*row)
        self.console.print(Padding(table, (0, 0, 0, 3)))

    @contextmanager
    def bar(self, label: str, total: int) -> Iterator[Callable[..., None]]:
        """Show a progress bar; yield the function to call with the number done since."""
        columns = (TextColumn("    {task.description:<14}"), BarColumn(40), MofNCompleteColumn())
        with Progress(*columns, console=self.console, disable=not total) as progress:
            task = progress.add_task(label, total=total)
            yield lambda count=1: progress.update(task, advance=count)
            progress.update(task, total=max(total, progress.tasks[0].completed))


def mark(ok: bool) -> Text:
    """Return the sign of a passed or failed check."""
    return Text("✓", "bold green") if ok else Text("✗", "bold red")
