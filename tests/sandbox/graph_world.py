"""A simulated Graph over the people of Microsoft's examples, and a client that asks it in process."""

from __future__ import annotations

import random
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import requests

from scim_bridge.sandbox.directory import EntraGroup, EntraUser
from scim_bridge.sandbox.entra import SandboxEntra
from scim_bridge.sandbox.graph.service import CLIENT_ID, CLIENT_SECRET, SERVICE_PRINCIPAL, TENANT_ID, SandboxGraph
from scim_bridge.sandbox.graph.style import GraphStyle
from scim_bridge.sandbox.server import WsgiTransport

from .scim_endpoint import ScimEndpoint

GRAPH = "https://graph.microsoft.com"
LOGIN = "https://login.microsoftonline.com"
TOKEN_URL = f"{LOGIN}/{TENANT_ID}/oauth2/v2.0/token"
DITIO = "urn:ietf:params:scim:schemas:extension:ditio:2.0:User"


def person(number: int) -> str:
    return f"aaaaaaaa-0000-4000-8000-{number:012}"


def group(number: int) -> str:
    return f"bbbbbbbb-0000-4000-8000-{number:012}"


KARI, OLA, PER, LIV, HIDDEN = map(person, (1, 2, 3, 4, 9))
MEMBERS, SECRET_GROUP, NESTED = map(group, (1, 2, 3))
NESTED_MEMBER = person(5)


@dataclass
class Clock:
    """A clock that only moves when it is told to."""

    now: datetime = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def passes(self, **duration: float) -> None:
        self.now += timedelta(**duration)


@dataclass
class GraphWorld:
    """Entra with a Graph, and an endpoint that it provisions into."""

    clock: Clock = field(default_factory=Clock)
    endpoint: ScimEndpoint = field(default_factory=ScimEndpoint)
    session: requests.Session = field(default_factory=requests.Session)
    style: GraphStyle = field(default_factory=GraphStyle)

    def __post_init__(self) -> None:
        self.session.mount("https://bridge.example/", WsgiTransport(self.endpoint.app))
        self.entra = SandboxEntra(
            self.session,
            "https://bridge.example/scim",
            "secret",
            extension=DITIO,
            now=self.clock,
            random=random.Random(1),
        )
        self.graph = SandboxGraph(self.entra, now=self.clock, style=self.style)
        for host in (GRAPH, LOGIN, "http://169.254.169.254"):
            self.session.mount(host, WsgiTransport(self.graph.app))
        self.signs_in()

    @property
    def directory(self):
        return self.entra.directory

    @property
    def job(self):
        return self.entra.job

    def asks_for_a_token(self, **changes: str | None) -> requests.Response:
        form = {
            "grant_type": "client_credentials",
            "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
            "scope": f"{GRAPH}/.default",
        }
        form |= changes
        return self.session.post(TOKEN_URL, data={name: value for name, value in form.items() if value is not None})

    def signs_in(self) -> None:
        """Take a token, which carries the permissions of now."""
        self.token = self.asks_for_a_token().json()["access_token"]

    def may_only(self, *permissions: str) -> None:
        """Be granted these permissions and no others, and sign in anew."""
        self.graph.client.permissions = set(permissions)
        self.signs_in()

    def may_not(self, *permissions: str) -> None:
        """Lose these permissions, and sign in anew."""
        self.may_only(*self.graph.client.permissions - set(permissions))

    def asks(self, path: str, method: str = "GET", **options: Any) -> requests.Response:
        """Send a call; `path` is below v1.0, or a whole URL."""
        headers = {"Authorization": f"Bearer {self.token}"} | options.pop("headers", {})
        url = path if "://" in path else f"{GRAPH}/v1.0{path}"
        return self.session.request(method, url, headers=headers, allow_redirects=False, **options)

    def reads(self, path: str, **options: Any) -> Any:
        """Return the body of an answer that must be 200."""
        answer = self.asks(path, **options)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def reads_all(self, path: str, **options: Any) -> list[list[dict[str, Any]]]:
        """Return all pages of a list, each a list of rows."""
        pages = []
        link: str | None = path
        while link is not None:
            body = self.reads(link, **options)
            pages.append(body["value"])
            link = body.get("@odata.nextLink")
        return pages

    def rows(self, path: str, **options: Any) -> list[dict[str, Any]]:
        return [row for page in self.reads_all(path, **options) for row in page]

    def changes(self, link: str) -> tuple[list[dict[str, Any]], str]:
        """Return the rows of a whole round of a delta, and its deltaLink."""
        rows: list[dict[str, Any]] = []
        while True:
            body = self.reads(link)
            rows += body["value"]
            if "@odata.deltaLink" in body:
                return rows, body["@odata.deltaLink"]
            link = body["@odata.nextLink"]

    def jobs_path(self, rest: str = "") -> str:
        return f"/servicePrincipals/{SERVICE_PRINCIPAL.object_id}/synchronization/jobs{rest}"

    def the_job(self) -> dict[str, Any]:
        (job,) = self.reads(self.jobs_path())["value"]
        return job

    def adds(self, **values: Any) -> EntraUser:
        """Add an assigned user with a work e-mail address, and a name of their own."""
        number = len(self.directory.users) + 100
        given = values.setdefault("given_name", f"Given{number}")
        values.setdefault("surname", "Berg")
        values.setdefault("object_id", str(uuid.UUID(int=0xABCD << 112 | number, version=4)))
        values.setdefault("user_principal_name", f"{given.lower()}@contoso.example")
        values.setdefault("display_name", f"{given} {values['surname']}")
        return self.directory.add(EntraUser(**values))

    def adds_many(self, count: int, **values: Any) -> list[EntraUser]:
        return [self.adds(**values) for _ in range(count)]

    def peoples(self) -> None:
        """Fill the directory with the people and groups of the examples."""
        domain = "contoso.example"
        self.adds(
            object_id=OLA,
            user_principal_name=f"ola.hansen@{domain}",
            given_name="Ola",
            surname="Hansen",
            mail=f"ola.hansen@{domain}",
            mobile="+47 400 00 002",
            telephone_number="+47 22 00 00 00",
            employee_id="1002",
            hire_date="2020-01-06",
            leave_date="2026-10-31T22:59:59Z",
            account_enabled=False,
            assigned=False,
        )
        self.adds(
            object_id=KARI,
            user_principal_name=f"kari.nordmann@{domain}",
            given_name="Kari",
            surname="Nordmann",
            mail=f"kari.nordmann@{domain}",
            mobile="+47 400 00 001",
            employee_id="1001",
            hire_date="2024-08-01",
            job_title="Carpenter",
            department="Production",
            manager=OLA,
        )
        self.adds(
            object_id=LIV,
            user_principal_name=f"liv.dahl_partner.example#EXT#@{domain}",
            given_name="Liv",
            surname="Dahl",
            mail="liv.dahl@partner.example",
            employee_id="9004",
            user_type="Guest",
            assigned=False,
        )
        for number, name in ((3, "per.berg"), (5, "nested"), (7, "purged"), (9, "hidden")):
            self.adds(object_id=person(number), user_principal_name=f"{name}@{domain}", assigned=False)
        self.directory.users[PER].soft_deleted = True
        device = "dddddddd-0000-4000-8000-000000000001"
        rule = 'user.department -eq "Production"'
        self.directory.add_group(
            EntraGroup(
                MEMBERS,
                "Ditio users",
                [OLA, LIV, NESTED],
                devices=[device],
                membership_rule=rule,
                membership_rule_processing_state="On",
            )
        )
        self.directory.add_group(EntraGroup(SECRET_GROUP, "Hidden group", [HIDDEN], visibility="HiddenMembership"))
        self.directory.add_group(EntraGroup(NESTED, "Nested group", [NESTED_MEMBER], assigned=False))
