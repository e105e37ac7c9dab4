"""The disputed pairs as a file that a spreadsheet opens and `adopt --decisions` reads back."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from scim_bridge.cli.adopt.decisions import COLUMNS
from scim_bridge.cli.csv_lines import csv_cell, csv_line
from scim_bridge.cli.output import private_file
from scim_bridge.delivery.adopting import Dispute
from scim_bridge.domain.employee import Field

SIDES = (
    Field.employee_number,
    Field.first_name,
    Field.last_name,
    Field.phone,
    Field.email,
    Field.birth_date,
    Field.work_title,
)
"""What is shown of both sides; none of it is read back."""

HEADER = (*COLUMNS, "why", *(f"{field} in {side}" for field in SIDES for side in ("Entra", "Ditio")))


def write_sheet(disputes: Iterable[Dispute], file: Path) -> None:
    """Write them, in UTF-8 with a mark, by which spreadsheets know it. :raises BridgeError: it can't be written."""
    with private_file(file, encoding="utf-8-sig") as text:
        text.write(csv_line(HEADER))
        text.writelines(csv_line(_cells(dispute)) for dispute in disputes)


def _cells(dispute: Dispute) -> Iterator[str]:
    pair, found = dispute.pair, dispute.found
    yield from (csv_cell(pair.employee_number), csv_cell(pair.user_name), "", csv_cell(pair.proposal.why))
    for field in SIDES:
        yield csv_cell(dispute.wish.values.get(field))
        yield csv_cell(found.values.get(field) if found is not None else None)
