"""Which encoding a CSV file has: those in which Norwegian Excel saves one."""

import codecs
import re
from dataclasses import dataclass
from pathlib import Path

from scim_bridge.errors import BridgeError

_PIECE = 1 << 16
_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_UTF8_LETTER = re.compile(rb"\xc3[\x80-\xbf]")
"""A letter such as æ, ø or å in UTF-8; in Windows-1252 it would be Ã and a sign."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """What the bytes of a file are."""

    encoding: str
    line_breaks: int
    """How many there are: about as many as lines."""


@dataclass(slots=True)
class _Look:
    """What a first look at all bytes has shown."""

    start: bytes = b""
    line_breaks: int = 0
    is_utf8: bool = True
    has_utf8_letters: bool = False


def encoding_of(path: Path) -> Encoded:
    """Look through a file, piece by piece.

    :raises BridgeError: it can't be read, or is half in one encoding and half in another.
    """
    try:
        look = _looked_through(path)
        for mark, name in _MARKS:
            if look.start.startswith(mark):
                return Encoded(name, look.line_breaks)
        if b"\x00" in look.start[:64]:
            # UTF-16 without a mark: the headings are ASCII, so every second byte is NUL.
            return Encoded("utf-16-be" if look.start[:1] == b"\x00" else "utf-16-le", look.line_breaks)
        if look.is_utf8:
            return Encoded("utf-8", look.line_breaks)
        if look.has_utf8_letters:
            raise BridgeError(
                f"{path} is UTF-8, but not in line {_first_line_that_is_not_utf8(path)}, and names would be garbled: "
                'save it again, in Excel as "CSV UTF-8"'
            )
    except OSError as exc:
        raise BridgeError(f"{path} can't be read: {exc.strerror}") from exc
    return Encoded("cp1252", look.line_breaks)


def _looked_through(path: Path) -> _Look:
    look, decoder, last = _Look(), codecs.getincrementaldecoder("utf-8")(), b""
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            look.start = look.start or piece
            look.line_breaks += piece.count(b"\n")
            look.is_utf8 = look.is_utf8 and _goes_on(decoder, piece)
            look.has_utf8_letters = look.has_utf8_letters or _UTF8_LETTER.search(last + piece) is not None
            last = piece[-1:]
    look.is_utf8 = look.is_utf8 and _goes_on(decoder, b"", final=True)
    return look


def _goes_on(decoder: codecs.IncrementalDecoder, piece: bytes, *, final: bool = False) -> bool:
    try:
        decoder.decode(piece, final)
    except UnicodeDecodeError:
        return False
    return True


def _first_line_that_is_not_utf8(path: Path) -> int:
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode()
            except UnicodeDecodeError:
                return number
    return 1
