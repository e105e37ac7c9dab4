"""`scim-bridge preview`: the calls to Ditio that a SCIM user would cause, in a temporary database."""

import json
import secrets
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
import requests
from pydantic import SecretStr
from requests.adapters import BaseAdapter, HTTPAdapter
from urllib3 import HTTPResponse

from scim_bridge import logs
from scim_bridge.bootstrap import Parts, build, open_database
from scim_bridge.cli.context import Options
from scim_bridge.cli.output import Format, format_option, print_folded, print_json, print_paragraph, tenant_option
from scim_bridge.ditio.config import EMPLOYEES
from scim_bridge.domain.employee import DesiredEmployee, Field
from scim_bridge.domain.outcome import State
from scim_bridge.domain.values import JsonObject, UserId
from scim_bridge.errors import BridgeError, NotFound, WrongUsage
from scim_bridge.http.exchange import joined, pooled_sessions
from scim_bridge.operator.find import Several, resolve
from scim_bridge.operator.person import rule_of
from scim_bridge.operator.preview import Preview as NextDelivery
from scim_bridge.operator.preview import preview_of
from scim_bridge.settings import Settings
from scim_bridge.storage import schema
from scim_bridge.storage.database import Database
from scim_bridge.storage.excerpt import Excerpt, excerpt_of
from scim_bridge.storage.people import PersonRecord
from scim_bridge.storage.refusals import RefusedWrite
from scim_bridge.storage.resources import document_of
from scim_bridge.tenant import wanted_claims
from scim_bridge.web.app import create_app

NOWHERE = "https://ditio.invalid"
"""The address of Ditio if none is set; nothing is sent there."""


_TOKEN = {"access_token": "rehearsal", "token_type": "Bearer", "expires_in": 3600}  # nosec B105 # none


@dataclass(frozen=True, slots=True)
class WouldBeSent:
    """A call that was recorded and not sent."""

    method: str
    path: str
    """The path as it would be sent: with the path of `DITIO__API_URL`, percent-encoded."""

    body: JsonObject | list[JsonObject] | None


@dataclass(slots=True)
class DryRun:
    """Makes sessions for a `DitioClient` that change nothing.

    :param reads: Makes the sessions that send reads and token requests. None: nothing is sent at all, and Ditio
        seems to have no employees.
    """

    api_url: str
    identity_url: str
    reads: Callable[[], requests.Session] | None = None
    recorded: list[WouldBeSent] = field(default_factory=list)

    def session(self) -> requests.Session:
        """Return a session of the kind that `DitioClient` asks its factory for."""
        made = requests.Session()
        adapter = _RecordingAdapter(self, self.reads() if self.reads else None)
        made.mount("https://", adapter)
        made.mount("http://", adapter)
        return made

    def is_token(self, method: str, url: str) -> bool:
        """Return whether a request asks for a token, which changes nothing in Ditio."""
        return method == "POST" and url == joined(self.identity_url, "/connect/token")


class _RecordingAdapter(BaseAdapter):
    """Stands in for a connection."""

    def __init__(self, rehearsal: DryRun, through: requests.Session | None) -> None:
        super().__init__()
        self._rehearsal = rehearsal
        self._through = through
        self._builder = HTTPAdapter()

    def send(self, request: requests.PreparedRequest, *given: Any, **options: Any) -> requests.Response:
        """Record a write and answer that it was done; send anything else, or answer as an empty Ditio."""
        method, url = request.method or "", request.url or ""
        is_token = self._rehearsal.is_token(method, url)
        if method != "GET" and not is_token:
            self._rehearsal.recorded.append(WouldBeSent(method, urlsplit(url).path, _body(request.body)))
            return self._answer(request, 204, None)
        if self._through is not None:
            return self._through.get_adapter(url).send(request, *given, **options)
        if is_token:
            return self._answer(request, 200, _TOKEN)
        if urlsplit(url).path.endswith(f"{EMPLOYEES}/search"):
            return self._answer(request, 200, [])
        return self._answer(request, 404, None)

    def close(self) -> None:
        """Close the session that sent reads."""
        if self._through is not None:
            self._through.close()

    def _answer(self, request: requests.PreparedRequest, status: int, document: object) -> requests.Response:
        body = b"" if document is None else json.dumps(document).encode()
        headers = {"Content-Type": "application/json", "Content-Length": str(len(body))}
        raw = HTTPResponse(body=BytesIO(body), headers=headers, status=status, preload_content=False)
        return self._builder.build_response(request, raw)


def _body(body: Any) -> JsonObject | list[JsonObject] | None:
    if not body:
        return None
    document: JsonObject | list[JsonObject] = json.loads(body)
    return document


class Refused(BridgeError):
    """The bridge refuses this user; the message has the status and the detail that Entra would get."""


@dataclass(frozen=True, slots=True)
class Preview:
    """The result of a preview."""

    document: JsonObject
    """The user, as the bridge would store it."""

    desired: DesiredEmployee
    record: PersonRecord
    """The person afterwards, if Ditio accepted every call."""

    calls: tuple[WouldBeSent, ...]


@dataclass(frozen=True, slots=True)
class PreviewRun:
    """A dry run of one request.

    :param settings: The settings of this tenant, as if there were no other.
    :param reads: Makes the sessions that read Ditio; None if Ditio is not read.
    """

    settings: Settings
    tenant: str
    reads: Callable[[], requests.Session] | None = None

    def user(self, body: bytes, known: Excerpt | None = None) -> Preview:
        """Send a SCIM user as Entra would, and return what it would cause.

        :param known: What the bridge knows of the people concerned; None if it knows none.
        :raises Refused: the bridge would answer 4xx.
        :raises BridgeError: Ditio can't be read.
        """
        database = Database("sqlite://")
        try:
            schema.upgrade(database)
            dry_run = DryRun(
                self.settings.ditio.api_url or NOWHERE, self.settings.ditio.identity_url or NOWHERE, self.reads
            )
            parts = build(
                self.settings.each(self._delivering_afterwards), database=database, session_factory=dry_run.session
            )
            if known is not None:
                with database.write(self.tenant) as s:
                    known.put_into(s.connection)
            with logs.rehearsal():
                return self._sent(parts, body, known.user_id if known else None, dry_run)
        finally:
            database.close()

    def _sent(self, parts: Parts, body: bytes, known: UserId | None, dry_run: DryRun) -> Preview:
        user_id = self._accepted(parts, body, known)
        with parts.database.read(self.tenant) as s:
            document = document_of(s, user_id) or {}
            before = s.people.of_user(user_id)
            tenant, person = parts.tenants[self.tenant], before.person if before else None
            desired = tenant.desired(document, person, tenant.today(s.now))
        parts.worker(places=1).run_until_idle()
        with parts.database.read(self.tenant) as s:
            record = s.people.of_user(user_id)
        if record is None:
            raise NotFound("another user has taken over this user's person, and is inactive: nothing is sent")
        if record.state is State.due:
            raise BridgeError(record.detail or "the delivery did not end")
        return Preview(document, desired, record, tuple(dry_run.recorded))

    def _accepted(self, parts: Parts, body: bytes, known: UserId | None) -> UserId:
        """Send the request as Entra would, and return the id of the user."""
        secret = secrets.token_urlsafe()
        with parts.database.write(self.tenant) as s:
            s.tokens.add("rehearsal", "rehearsal", secret, expires_at=None)
        answer = (
            create_app(parts)
            .test_client()
            .open(
                f"/tenants/{self.tenant}/scim/v2/Users" + (f"/{known}" if known else ""),
                method="PUT" if known else "POST",
                data=body,
                headers={"Authorization": f"Bearer {secret}", "Content-Type": "application/scim+json"},
            )
        )
        document = answer.get_json()
        if answer.status_code not in (200, 201):
            raise Refused(f"the bridge would answer {answer.status_code}: {document.get('detail')}")
        return UserId(document["id"])

    def _delivering_afterwards(self, settings: Settings) -> Settings:
        """Return the settings with delivery by a worker only, which has no time limit."""
        ditio, delivery = settings.ditio, settings.delivery
        if self.reads is None:
            unset = {"api_url": NOWHERE, "identity_url": NOWHERE, "client_id": "-", "client_secret": SecretStr("-")}
            given = {name: value for name, value in unset.items() if getattr(ditio, name) is None}
            ditio = ditio.model_copy(update=given)
        return settings.model_copy(
            update={
                "ditio": ditio,
                "delivery": delivery.model_copy(update={"inline_seconds": 0.0, "on_incomplete": "hold"}),
            }
        )


NEXT_SECONDS = 30.0
"""How long `--person` reads Ditio."""

FIELD_COLUMNS = {"field": "Field", "value": "Value", "rule": "From"}


@click.command()
@click.argument("file", metavar="FILE.json", required=False)
@click.option(
    "--person",
    metavar="PERSON",
    help="Preview the next delivery of a person as Ditio is now, in place of FILE.json: what `people show` takes.",
)
@click.option(
    "--against-ditio",
    is_flag=True,
    help="Read Ditio and the database as they are now.  [default: take the person as absent]",
)
@tenant_option
@format_option
@click.pass_obj
def preview(
    options: Options, file: str | None, person: str | None, against_ditio: bool, tenant: str, format: Format
) -> None:
    """Show the calls to Ditio that a SCIM user would cause, and send none.

    FILE.json is a user as Entra would POST it, or as `GET /Users/{id}` answers it; `-` reads standard input. With
    --person, it is what the next delivery of that person would send; a pause and the guard are left out.

    \b
    Examples:
      scim-bridge preview kari.json
      scim-bridge preview kari.json --against-ditio --format json
      scim-bridge preview --person 1042
    """
    settings = options.of(tenant)
    # This command reports errors itself.
    logs.configure("critical", settings.log.format)
    if (file is None) is (person is None):
        raise click.UsageError("name either FILE.json or --person")
    if file is None:
        _tell_next(_next_of(options, tenant, person or ""), format)
        return
    body = _contents(file)
    sent = _user(file, body)
    try:
        result = PreviewRun(settings, tenant).user(body)
        if against_ditio:
            known = _known(options, tenant, sent, result)
            result = PreviewRun(settings, tenant, pooled_sessions(1)).user(body, known)
    except Refused as error:
        raise BridgeError(f"{_named(file)}: {error}") from error
    if format == "json":
        print_json(_document(result))
    else:
        _tell(result, against_ditio)


def _next_of(options: Options, tenant: str, text: str) -> NextDelivery:
    """Return what the next delivery of a person would do. :raises WrongUsage: the text fits several people."""
    settings = options.of(tenant)
    with options.database() as database:
        own = build(settings, database=database).tenants[tenant]
        try:
            with own.read() as s:
                found = resolve(s, own.rules, text)
        except Several as several:
            raise WrongUsage(f"{several}: " + ", ".join(str(each.user_name) for each in several.found)) from several
        if isinstance(found, RefusedWrite):
            raise NotFound("Entra's last write about this user was refused, so no person is to be delivered")
        return preview_of(own, found.person.id, seconds=NEXT_SECONDS)


def _tell_next(found: NextDelivery, format: Format) -> None:
    if format == "json":
        calls = [{"call": each.what, "employee": each.employee_number, "body": each.body} for each in found.steps]
        print_json({"state": found.record.state, "reason": found.record.reason, "detail": found.why, "calls": calls})
        return
    if found.is_in_sync:
        click.echo("Nothing would be sent: Ditio has everything as desired.")
    elif not found.steps:
        click.echo("Nothing would be sent.")
    if found.why is not None:
        print_paragraph(found.why)
    for each in found.steps:
        click.echo(f"\n{each.what} {each.employee_number or ''}".rstrip())
        if each.body:
            click.echo(json.dumps(each.body, ensure_ascii=False, indent=2))


def _contents(file: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except (OSError, ValueError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "this is not a file name"
        raise BridgeError(f"{file} can't be read: {reason}") from exc


def _named(file: str) -> str:
    return "standard input" if file == "-" else file


def _user(file: str, body: bytes) -> JsonObject:
    """Parse the document, before the bridge itself validates it.

    :raises BridgeError: it is not JSON, or another SCIM message than a user.
    """
    try:
        document = json.loads(body.decode("utf-8-sig"))
    except (ValueError, RecursionError) as exc:
        raise BridgeError(f"{_named(file)} is not JSON: {str(exc).splitlines()[0]}") from exc
    if not isinstance(document, dict):
        raise BridgeError(f"{_named(file)} is JSON, but not an object: preview takes one SCIM user")
    if isinstance(document.get("Resources"), list):
        raise BridgeError(f"{_named(file)} is the answer to a search: preview takes one user, an entry of Resources")
    if isinstance(document.get("Operations"), list):
        raise BridgeError(f"{_named(file)} is a PATCH: preview takes the whole user, as GET /Users/{{id}} answers it")
    return document


def _known(options: Options, tenant: str, sent: JsonObject, result: Preview) -> Excerpt | None:
    """Return what the database knows of the people concerned; None, with a message, if there is no database yet."""
    user_id = sent.get("id")
    with closing(open_database(options.settings)) as unopened:
        missing = unopened.missing_file()
    if missing is not None:
        click.echo(f"The person is taken as new to the bridge: there is no database at {missing.path} yet.", err=True)
        return None
    with options.database() as database, database.read(tenant) as s:
        return excerpt_of(
            s,
            user_id=user_id if isinstance(user_id, str) else None,
            user_name=str(result.document.get("userName")),
            wanted=sorted(wanted_claims(result.desired), key=lambda claim: claim.kind),
        )


def _document(result: Preview) -> JsonObject:
    desired = result.desired
    return {
        "employee": {field.value: desired.values.get(field) for field in Field},
        "rules": {field.value: rule_of(desired, field) for field in Field},
        "problems": _problems(result),
        "calls": [{"method": call.method, "path": call.path, "body": call.body} for call in result.calls],
    }


def _problems(result: Preview) -> list[JsonObject]:
    """Return values that are not valid, and other reasons why a person, or a part of them, is not delivered."""
    found = result.desired.problems
    problems: list[JsonObject] = [
        {"field": each.field, "attribute": each.attribute, "message": each.message} for each in found
    ]
    rest = result.record.detail or ""
    for each in found:
        rest = rest.replace(each.message, "")
    if rest := rest.strip("; "):
        problems.append({"field": None, "attribute": None, "message": rest})
    return problems


def _tell(result: Preview, against_ditio: bool) -> None:
    desired, problems, calls = result.desired, _problems(result), result.calls
    print_folded(
        [{"field": field, "value": desired.values.get(field), "rule": rule_of(desired, field)} for field in Field],
        FIELD_COLUMNS,
    )
    if problems:
        click.echo("\nProblems" if any(each["field"] for each in problems) else "\nNote")
    for problem in problems:
        print_paragraph(str(problem["message"]), first="  - ", indent="    ")
    click.echo("")
    print_paragraph(_headline(result, against_ditio))
    for call in calls:
        click.echo(f"\n{call.method} {call.path}")
        if call.body is not None:
            click.echo(json.dumps(call.body, ensure_ascii=False, indent=2))


def _headline(result: Preview, against_ditio: bool) -> str:
    number, count = result.record.person.employee_number, len(result.calls)
    if not count:
        is_in_sync = against_ditio and number is not None and result.record.reason is None
        return f"Nothing would be sent: employee {number} is as desired." if is_in_sync else "Nothing would be sent."
    what = "1 call" if count == 1 else f"{count} calls"
    where = "as Ditio is now" if against_ditio else "if Ditio has no employee with this number, phone or e-mail"
    return f"{what} would be made, {where}:"
