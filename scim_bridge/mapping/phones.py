"""Phone numbers as Ditio wants them: E.164. The number is the login name: a doubtful one is not used."""

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumberFormat

_LONGEST_E164 = 16
"""Characters, the plus sign included (ITU-T E.164: fifteen digits)."""


def to_e164(raw: str, region: str) -> str | None:
    """A phone number in E.164 (``+4798765432``), or None where it is no valid number.

    :param region: The country of a number that names none, by its two letters: ``NO``.
    """
    text = raw.strip()
    # RFC 7643 §4.1.2 writes phone numbers as RFC 3966 does.
    if text[:4].lower() == "tel:":
        text = text[4:]
    # The library reads letters as keys of a phone, and drops extensions and everything after a slash: none of
    # these may decide who signs in.
    if any(c.isalpha() for c in text) or "/" in text:
        return None
    try:
        number = phonenumbers.parse(text, region)
    except NumberParseException:
        return None
    # Parsing alone lets "123" pass.
    if number.extension or not phonenumbers.is_valid_number(number):
        return None
    formatted = phonenumbers.format_number(number, PhoneNumberFormat.E164)
    return formatted if len(formatted) <= _LONGEST_E164 else None
