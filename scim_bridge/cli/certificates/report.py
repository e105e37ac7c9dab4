"""What `certificates import` and `withdraw` say: what became of each line, and of each certificate."""

from collections.abc import Sequence
from dataclasses import asdict

from scim_bridge.cli.certificates.files import CertificateFile
from scim_bridge.cli.output import Format, print_json
from scim_bridge.cli.paragraphs import print_paragraph
from scim_bridge.delivery.certificate_import import Remark, Report
from scim_bridge.delivery.certificate_withdrawing import Withdrawal
from scim_bridge.mapping.certificate_words import WAYS_IN, called, described


def print_report(report: Report, read: CertificateFile, *, is_applied: bool, format: Format) -> None:
    """Print the summary."""
    counts = {
        "lines": report.lines,
        "new": report.new,
        "changed": report.changed,
        "unchanged": report.unchanged,
        "rejected": len(report.rejected),
        "unclaimed": report.unclaimed,
        "due": len(report.due),
    }
    if format == "json":
        lists = {
            "rejected_lines": [asdict(each) for each in report.rejected],
            "beaten_lines": [asdict(each) for each in report.beaten],
            "ignored_columns": list(read.ignored),
        }
        print_json({"applied": is_applied, **counts, **lists})
        return
    _tell("rejected", report.rejected)
    _tell("taken, but it does not count", report.beaten)
    for heading in read.ignored:
        print_paragraph(f"the column {heading} means nothing here, and was left out")
    told = ", ".join(f"{name} {count}" for name, count in counts.items() if name not in ("unclaimed", "due"))
    print_paragraph(f"{told} ({read.encoding}, separated by {_SEPARATORS[read.separator]})")
    if report.unclaimed:
        some = "1 is of an employee number" if report.unclaimed == 1 else f"{report.unclaimed} are of employee numbers"
        print_paragraph(f"{some} that no SCIM user has: CERTIFICATES__UNCLAIMED says whether that waits")
    if not is_applied:
        print_paragraph("nothing was changed: this was a trial, --apply takes the lines in")
    elif report.due:
        who = "1 person is" if len(report.due) == 1 else f"{len(report.due)} people are"
        print_paragraph(f"{who} due: `serve` or `worker` delivers")


def print_withdrawn(withdrawn: Sequence[Withdrawal], *, expires: bool) -> None:
    """Print what was withdrawn, and what Ditio hears of it.

    :param expires: Whether Ditio gets a withdrawn certificate as expired.
    """
    for each in withdrawn:
        print_paragraph(f"withdrawn: {called(each.entry)}, {described(each.entry.certificate)}")
        if each.successor is not None:
            where = WAYS_IN[each.successor.source]
            print_paragraph(f"{where} has it too, and counts: {described(each.successor.certificate)}")
        elif not expires:
            print_paragraph("Ditio keeps it as it is: CERTIFICATES__WITHDRAWAL is `keep`")
    if any(each.is_due for each in withdrawn):
        print_paragraph("1 person is due: `serve` or `worker` delivers")


_SEPARATORS = {";": "semicolons", ",": "commas", "\t": "tabs"}


def _tell(what: str, remarks: Sequence[Remark]) -> None:
    for each in remarks:
        print_paragraph(f"line {each.line} {what}: {each.text}", indent="  ")
