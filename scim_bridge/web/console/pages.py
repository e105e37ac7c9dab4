"""The pages of the console. To add one: a module with functions that take a `Place`, and a line here."""

from collections.abc import Callable
from dataclasses import dataclass

from werkzeug.wrappers import Response

from scim_bridge.web.console import (
    audit,
    certificates,
    connect,
    drift,
    first_day,
    overview,
    people,
    repair,
    settings,
    waiting,
)

Answer = Response | str


@dataclass(frozen=True, slots=True)
class Page:
    """One page, or what one form does."""

    name: str
    path: str
    """What follows `/console/COMPANY/`."""

    view: Callable[..., Answer]
    title: str = ""
    """Its words in the navigation, which are translated; empty if it is not there."""

    section: str = ""
    """The page in the navigation that it belongs to; empty for itself."""

    is_form: bool = False
    """Whether it is sent by POST. Each form carries the token of the session; see `form` in `parts.html`."""

    for_all: bool = False
    """Whether viewers may send it too. No other form is accepted from them."""

    needs_operator: bool = False
    """Whether it is shown to operators only: the last step before a form."""

    most_bytes: int = 256 * 1024
    """Of its form, and half of that the number of its fields: all people of one page can be chosen."""

    @property
    def acts(self) -> bool:
        """Whether only operators may use it."""
        return self.needs_operator or (self.is_form and not self.for_all)


PAGES: tuple[Page, ...] = (
    Page("overview", "", overview.show, title="Overview"),
    Page("people", "people", people.show, title="People"),
    Page("person", "people/<person_id>", people.show_one, section="people"),
    Page("person_retry", "people/<person_id>/retry", people.retry, section="people", is_form=True),
    Page("person_stop", "people/<person_id>/hands-off", people.stop, section="people", is_form=True),
    Page("person_resume", "people/<person_id>/hands-off/clear", people.resume, section="people", is_form=True),
    Page("person_entra", "people/<person_id>/entra", people.show_entra, "", "people", is_form=True, for_all=True),
    Page("person_preview", "people/<person_id>/preview", people.show_preview, section="people", is_form=True),
    Page("waiting", "waiting", waiting.show, title="Waiting"),
    Page("waiting_cause", "waiting/<state>/<reason>", waiting.show_cause, section="waiting"),
    Page("waiting_retry", "waiting/retry", waiting.retry, section="waiting", is_form=True),
    Page("waiting_decide", "waiting/decide", waiting.confirm, section="waiting", needs_operator=True),
    Page("waiting_decided", "waiting/decided", waiting.decide, section="waiting", is_form=True, most_bytes=1024 * 1024),
    Page("drift", "drift", drift.show, title="Drift"),
    Page("plan", "drift/<plan>", drift.show_plan, section="drift"),
    Page("plan_repair", "drift/<plan>/repair", repair.confirm, section="drift", needs_operator=True),
    Page("plan_approved", "drift/<plan>/approved", repair.approve, section="drift", is_form=True),
    Page("plan_progress", "drift/<plan>/progress", repair.progress, section="drift"),
    Page("plan_stopped", "drift/<plan>/stopped", repair.stop, section="drift", is_form=True),
    Page("compare", "drift/compare", repair.compare, section="drift", is_form=True),
    Page("certificates", "certificates", certificates.show, title="Certificates"),
    Page("certificates_lacking", "certificates/lacking", certificates.show_lacking, section="certificates"),
    Page("certificates_calendar", "certificates.ics", certificates.download, section="certificates"),
    Page("import", "certificates/import", certificates.show_import, section="certificates", needs_operator=True),
    Page(
        "import_check",
        "certificates/import/check",
        certificates.check_import,
        section="certificates",
        is_form=True,
        most_bytes=certificates.MOST_FORM_BYTES,
    ),
    Page(
        "import_apply",
        "certificates/import/apply",
        certificates.apply_import,
        section="certificates",
        is_form=True,
        most_bytes=certificates.MOST_FORM_BYTES,
    ),
    Page("connect", "connect", connect.show, title="Connect Entra"),
    Page("connect_schema", "connect/schema.json", connect.download, section="connect"),
    Page("connect_issue", "connect/tokens", connect.issue, section="connect", is_form=True),
    Page("connect_revoke", "connect/revoke", connect.revoke, section="connect", is_form=True),
    Page("audit", "audit", audit.show, title="Audit"),
    Page("audit_export", "audit.jsonl", audit.download, section="audit"),
    Page("settings", "settings", settings.show, title="Settings"),
    Page("doctor", "doctor", settings.show_doctor, section="settings"),
    Page("doctor_run", "doctor/run", settings.run_doctor, section="settings", is_form=True),
    Page("pause", "pause", overview.pause, section="overview", is_form=True),
    Page("resume", "resume", overview.resume, section="overview", is_form=True),
    Page("first_day", "first-day", first_day.show, section="overview"),
    Page("first_day_find", "first-day/find", first_day.find, section="overview", is_form=True),
    Page("first_day_pairs", "first-day/pairs", first_day.show_pairs, section="overview"),
    Page("first_day_decide", "first-day/decide", first_day.decide, section="overview", is_form=True),
    Page("first_day_link", "first-day/link", first_day.link, section="overview", is_form=True),
    Page("end_sessions", "end-sessions", overview.end_sessions, section="overview", is_form=True),
)
