"""What the README and the pages under docs say of fields, states, commands and settings is what there is."""

import re
from collections.abc import Iterator
from datetime import timedelta
from functools import cache
from pathlib import Path

import click
import pytest

from scim_bridge import traces
from scim_bridge.bootstrap import connections_of
from scim_bridge.certificates import workbook
from scim_bridge.cli.main import COMMANDS, main
from scim_bridge.doctor.database import LONGEST_FILE_CHECK_SECONDS
from scim_bridge.domain.breaker import LONGEST_GAP_SECONDS
from scim_bridge.domain.employee import Field
from scim_bridge.domain.outcome import BY_REASON, CAP_SECONDS, DUE, Reason, State, explained, state_of
from scim_bridge.operator import certificate_import
from scim_bridge.scim.mapping import DEFAULT_RULES
from scim_bridge.settings import Settings
from scim_bridge.settings.catalogue import CATALOGUE
from scim_bridge.settings.load import of_web_process
from scim_bridge.settings.types import PREFIX, TENANTS, variable
from scim_bridge.storage import console, refusals
from scim_bridge.storage.pairs import KEPT_FOR
from scim_bridge.storage.runs import BEAT_SECONDS, PROCESS_ALIVE_SECONDS
from scim_bridge.storage.search import MAX_PAGE_SIZE
from scim_bridge.web.auth.jwt import REASONS
from scim_bridge.web.console import settings as page_of_settings
from scim_bridge.web.patient_worker import HEADER_SECONDS, MOST_CONNECTIONS
from scim_bridge.web.scim.bounds import MAX_MARKS, MAX_MEMBERS
from scim_bridge.web.scim.handler import BULK_SECONDS
from scim_bridge.web.server import GRACEFUL_SECONDS

MIB = 1024 * 1024
ROOT = Path(__file__).parents[1]
PAGES = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
}
README, EVERYTHING = PAGES["README.md"], "\n".join(PAGES.values())

every_page = pytest.mark.parametrize("page", PAGES)

D3 = {
    *("incomplete", "claimed", "guard", "hands-off", "paused", "no-operation"),
    *("refused", "gone", "stranger", "not-converging", "out-of-reach"),
}


def rows_under(heading: str) -> Iterator[list[str]]:
    """The cells of the table with this first heading, on whichever page it is."""
    _, _, table = EVERYTHING.partition(f"\n| {heading} |")
    assert table, f"no page has a table that begins with {heading}"
    for line in table.splitlines()[2:]:
        if not line.startswith("|"):
            return
        yield [cell.strip() for cell in line.strip("|").split(" | ")]


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_is_explained_with_its_cure(reason: Reason):
    """D3: docs/operating.md has each reason with the words of the commands; the row to write is in the message."""
    words = explained(state_of(reason), reason)

    assert words is not None
    row = f"| `{state_of(reason)}`, `{reason}` | {words.meaning} | {words.cure} |"
    assert row in PAGES["docs/operating.md"].splitlines(), f"docs/operating.md lacks the row\n{row}"


def test_no_reason_is_explained_that_there_is_not():
    """D3 has eleven; the page's words of those are the code's."""
    assert set(BY_REASON) == D3
    told = {tuple(re.findall(r"`([^`]+)`", cells[0])): cells[1:] for cells in rows_under("State, reason")}

    assert told.pop(("due",)) == [DUE.meaning, DUE.cure]
    for (state, name), words in told.items():
        assert State(state) in (State.held, State.parked)
        assert words == [BY_REASON[name].meaning, BY_REASON[name].cure]


def test_a_person_who_is_delivered_needs_no_explanation():
    assert explained(State.delivered, None) is None
    assert explained(State.due, None) is DUE


def test_the_mapping_table_is_the_mapping():
    """Design, section 6; H5: every field, every source, every owner."""
    told: dict[str, list[str]] = {}
    for cells in rows_under("Ditio"):
        told |= dict.fromkeys(re.findall(r"`([^`]+)`", cells[0]), cells)

    assert set(told) == set(Field)
    for field, rule in DEFAULT_RULES.by_field.items():
        _, sources, owner, sent = told[field]
        assert owner.startswith(f"`{rule.owner}`"), field
        assert sent
        for source in rule.sources:
            assert source.attribute in sources
            assert source.sub_attribute in (None, "value") or source.sub_attribute in sources
            assert all(
                str(condition.value) in sources for condition in source.conditions if condition.value is not True
            )


# -- The pages ------------------------------------------------------------


@every_page
def test_links_lead_somewhere(page: str):
    """To a file of this repository, and to a heading in it where one is named."""
    for target in re.findall(r"\]\(([^)]+)\)", PAGES[page]):
        if target.startswith("https://"):
            continue
        name, _, heading = target.partition("#")
        path = (ROOT / page).parent / name if name else ROOT / page
        assert path.is_file(), target
        if heading:
            assert heading in {_anchor(each) for each in re.findall(r"(?m)^#+ (.+)$", path.read_text("utf-8"))}, target


def _anchor(heading: str) -> str:
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def test_a_newcomer_finds_every_page():
    """The README names each; each leads back."""
    for page, text in PAGES.items():
        assert page == "README.md" or (f"({page})" in README and "(../README.md)" in text), page


@cache
def commands() -> dict[str, click.Command]:
    """Every command by its words."""
    found: dict[str, click.Command] = {}
    with click.Context(main) as ctx:
        for name in COMMANDS:
            command = main.get_command(ctx, name)
            assert command is not None
            found[name] = command
            if isinstance(command, click.Group):
                found |= {f"{name} {inner}": below for inner, below in command.commands.items()}
    return found


def typed(text: str) -> Iterator[tuple[str, click.Command, list[str]]]:
    """Each command that a page tells to type, without what stands for something else, and the options it has there."""
    shown = re.findall(r"(?m)^ *(scim-bridge .+)$", text) + re.findall(r"`(scim-bridge [^`\n]+)`", text)
    one = re.compile(rf"({'|'.join(COMMANDS)})( [^`]*)?")
    shown += [f"scim-bridge {each}" for each in re.findall(r"`([^`\n]+)`", text) if one.fullmatch(each)]
    for line in shown:
        words = line.partition("  #")[0].partition(" > ")[0].split()[1:]
        name = " ".join(words[:2]) if " ".join(words[:2]) in commands() else words[0]
        if name.startswith("--"):
            continue
        assert name in commands(), line
        yield line, commands()[name], [word for word in words if word.startswith("--")]


@every_page
def test_commands_and_their_options_are_there(page: str):
    """A person who types what a page says is not told that there is no such thing."""
    for line, command, options in typed(PAGES[page]):
        known = {each for parameter in command.params for each in (*parameter.opts, *parameter.secondary_opts)}
        assert {*options} <= known | {"--help"}, line


def test_every_command_is_told_of():
    """On a page; `db upgrade` is told of by the error that wants it."""
    told = {command for _, command, _ in typed(EVERYTHING)}
    silent = {name for name, command in commands().items() if command not in told}
    groups = {name for name, command in commands().items() if isinstance(command, click.Group)}
    assert silent <= groups | {"db upgrade"}


SETTING = re.compile(rf"`(?:{PREFIX})?([A-Z]+(?:__[A-Z_]+)+)")


@every_page
def test_settings_are_there(page: str):
    """By the name that is short for the variable; `AUTH__ENTRA_…` stands for all that begin so."""
    known = {variable(path).removeprefix(PREFIX) for path in CATALOGUE}
    for name in SETTING.findall(PAGES[page]):
        plain = name if name in known else name.removesuffix("_FILE")
        if plain.startswith(f"{TENANTS.upper()}__"):
            continue
        assert plain in known or (plain.endswith("_") and any(each.startswith(plain) for each in known)), name


def test_the_reasons_of_a_refusal_are_those_of_the_log():
    """`auth.refused` has them; a JWT's are those in the order in which they are looked at."""
    code = "\n".join(path.read_text("utf-8") for path in (ROOT / "scim_bridge" / "web" / "auth").glob("*.py"))
    for cells in rows_under("Reason"):
        for reason in re.findall(r"`([^`]+)`", cells[0]):
            kind, _, why = reason.partition("-")
            assert (kind in ("jwt", "assertion") and why in REASONS) or f'"{reason}"' in code, reason


def test_deploying_says_how_many_connections_postgresql_has_to_allow():
    """Each process may use twice its pool; the schedulers of a worker have a few of their own."""

    def pools(companies: int) -> tuple[int, int]:
        all_of_them = Settings().serving({f"company-{number}": Settings() for number in range(companies)})
        return connections_of(of_web_process(all_of_them)), connections_of(all_of_them)

    def most(companies: int) -> int:
        web, worker = pools(companies)
        return 2 * (Settings().server.workers * web + worker)

    web, worker = pools(1)
    page = " ".join(PAGES["docs/deploying.md"].split())
    assert f"each web process keeps up to {web} connections, and the worker up to {worker};" in page
    found = re.search(r"Allow (\d+) for one `serve`.* and (\d+) more for each further company", page)
    assert found is not None
    first, more = map(int, found.groups())
    assert first - 6 <= most(1) <= first
    assert all(most(companies) <= first + more * (companies - 1) for companies in range(2, 20))


FIGURES = [
    ("operating", "at most {} combining marks in a row", MAX_MARKS),
    ("operating", "A body may list {:,} members of a group", MAX_MEMBERS),
    ("operating", "A page holds {} MiB", MAX_PAGE_SIZE / MIB),
    ("operating", "A bulk request has {} seconds", BULK_SECONDS),
    ("operating", "may have {} connections to each process of `serve`", MOST_CONNECTIONS),
    ("operating", "the newest {:,} are kept", refusals.MOST),
    ("operating", "no worker has left one for two minutes", PROCESS_ALIVE_SECONDS / 60 == 2),
    ("operating", "leaves a heartbeat in the database every half minute", BEAT_SECONDS * 2 == 60),
    ("operating", "only one person now and then (at most half a minute apart)", LONGEST_GAP_SECONDS * 2 == 60),
    ("operating", "at least once an hour", CAP_SECONDS == 3600),
    ("operating", "has five seconds for the first byte and for the header", HEADER_SECONDS == 5),
    ("console", "A session ends after {} minutes without a page", console.IDLE_AFTER / timedelta(minutes=1)),
    ("console", "after ten hours in any case", timedelta(hours=10) == console.SESSION_LASTS),
    ("console", "at most {} KiB", certificate_import.MOST_BYTES / 1024),
    ("console", "and {:,} lines", certificate_import.MOST_LINES),
    ("console", "for at most a quarter of a minute", page_of_settings.SECONDS * 4 == 60),
    ("console", "The pairs are kept for a day", timedelta(days=1) == KEPT_FOR),
    ("certificates", "up to {} MiB unpacked", workbook.MOST_BYTES / MIB),
    ("observing", "a process that ends waits two seconds at most", traces.ENDING_SECONDS == 2),
    ("deploying", "and ends within {} seconds", GRACEFUL_SECONDS),
    ("troubleshooting", "for at most {} seconds", LONGEST_FILE_CHECK_SECONDS),
]


@pytest.mark.parametrize(("page", "told", "figure"), FIGURES)
def test_a_figure_that_is_written_out_is_that_of_the_code(page: str, told: str, figure: float | bool):
    """Where the page has it in words, the figure is whether that is so."""
    assert figure is not False
    number = int(figure)
    assert number == figure
    assert told.format(number) in " ".join(PAGES[f"docs/{page}.md"].split())
