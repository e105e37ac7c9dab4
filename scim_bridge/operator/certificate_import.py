"""Import a file of certificates, or check it first: the lines that are wrong stand beside the reasons."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

from scim_bridge.certificates.csv_import import CertificateImport, FileLine, Report
from scim_bridge.certificates.files import opened
from scim_bridge.certificates.sources import CertificateSources
from scim_bridge.certificates.workbook import Bounds
from scim_bridge.delivery.intake import Intake
from scim_bridge.domain.audit import Author
from scim_bridge.domain.certificate import Part
from scim_bridge.errors import BridgeError
from scim_bridge.tenant import Tenant, new_id

MOST_BYTES = 700 * 1024
"""How large an uploaded file may be; a larger one is for the command. As text, it passes a proxy's usual 1 MiB."""

MOST_LINES = 2000
"""How many lines it may have: a request waits while they are checked, about 2.5 ms for each new certificate."""

UNPACKED = Bounds(bytes=8 * 1024 * 1024, rows=MOST_LINES + 1)
"""How large it may be if it is a workbook. The headings are a row too."""

MOST_SHOWN = 200
"""How many lines with a remark are shown."""


def sources_of(tenant: Tenant) -> CertificateSources:
    """Return the way into the ledger of a company. A worker delivers the people who are due."""
    intake = Intake(tenant, new_id(), queues_only=True)
    return CertificateSources(intake.tenant, intake.certificate_said)


def import_lines(
    tenant: Tenant,
    author: Author,
    lines: Iterable[FileLine],
    *,
    applies: bool,
    told: Callable[[int], None] = lambda _: None,
) -> Report:
    """Import the lines of a file, or only find out what that would do.

    :param told: Gets the number of lines done so far.
    """
    return CertificateImport(sources_of(tenant), author, applies=applies, told=told).run(lines)


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that a browser has sent. Neither its name nor its content is trusted."""

    name: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Remarked:
    """A line of the file with what there is to say about it."""

    number: int
    said: Mapping[Part, str]
    text: str
    is_rejected: bool
    """Whether it is left out; otherwise it is stored, and another source counts instead."""


@dataclass(frozen=True, slots=True)
class Import:
    """What the import of an uploaded file did, or would do."""

    report: Report
    form: str
    """How the file was read."""

    ignored: Sequence[str]
    """The headings of unknown columns."""

    remarked: Sequence[Remarked]
    """The first lines with a remark, in the order of the file."""

    @property
    def changes(self) -> int:
        """How many certificates are new or changed."""
        return self.report.new + self.report.changed

    @property
    def is_all(self) -> bool:
        """Whether every line with a remark is shown."""
        return len(self.remarked) == len(self.report.rejected) + len(self.report.outranked)


def import_upload(tenant: Tenant, author: Author, upload: Upload, *, applies: bool) -> Import:
    """Import an uploaded file, or check it: nothing is changed then.

    :raises BridgeError: the file is too large, can't be read, or lacks a column. Nothing was changed.
    """
    if len(upload.content) > MOST_BYTES:
        raise BridgeError(
            f"{upload.name} is larger than {MOST_BYTES >> 10} KiB: split it, or use `scim-bridge certificates import`"
        )
    needs_end = tenant.certificates.missing_expiry is None
    with TemporaryDirectory(prefix="scim-bridge-") as folder:
        path = Path(folder) / "upload.xlsx"  # The library for workbooks opens no other; a CSV file is not asked.
        path.write_bytes(upload.content)
        with opened(path, needs_end=needs_end, name=upload.name, bounds=UNPACKED) as read:
            lines = list(islice(read.lines, MOST_LINES + 1))
    if len(lines) > MOST_LINES:
        raise BridgeError(
            f"{upload.name} has more than {MOST_LINES} lines: split it, or use `scim-bridge certificates import`"
        )
    report = import_lines(tenant, author, lines, applies=applies)
    said = {each.number: each.said for each in lines}
    remarked = [
        Remarked(each.line, said.get(each.line, {}), each.text, is_rejected)
        for is_rejected, some in ((True, report.rejected), (False, report.outranked))
        for each in some
    ]
    remarked.sort(key=lambda each: each.number)
    return Import(report, read.form, read.ignored, remarked[:MOST_SHOWN])
