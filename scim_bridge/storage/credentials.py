"""How a secret of the bridge's own looks: a prefix that a scanner finds, 256 random bits, a checksum; stored hashed."""

import hashlib
from secrets import token_urlsafe
from zlib import crc32

TOKEN = "scimb_"  # nosec B105 # a prefix
"""The secret tokens that are pasted into Entra."""

CLIENT_SECRET = "scimbcs_"  # nosec B105 # a prefix
"""The secrets of clients of the token endpoint."""

ACCESS_TOKEN = "scimbat_"  # nosec B105 # a prefix
"""What the token endpoint gives out, for an hour."""

RANDOM_BYTES = 32
RANDOM_LETTERS = 43
CHECKSUM_LETTERS = 8


def new_secret(prefix: str) -> str:
    """A secret that nobody has. Its checksum tells a program that looks for leaked secrets that it is no chance."""
    start = prefix + token_urlsafe(RANDOM_BYTES)
    return start + _checksum(start)


def hashed(secret: str) -> str:
    """The form in which a secret is stored. 256 random bits need no slow hash."""
    return hashlib.sha256(secret.encode()).hexdigest()


def is_mutilated(secret: str) -> bool:
    """Whether this was one of ours before a letter was lost or changed on the way: for words alone, never a proof.

    Tokens of earlier versions have no checksum, and are not called so.
    """
    prefix = next((each for each in (CLIENT_SECRET, ACCESS_TOKEN, TOKEN) if secret.startswith(each)), None)
    if prefix is None or len(secret) == len(prefix) + RANDOM_LETTERS:
        return False
    return _checksum(secret[:-CHECKSUM_LETTERS]) != secret[-CHECKSUM_LETTERS:]


def _checksum(text: str) -> str:
    return f"{crc32(text.encode()):0{CHECKSUM_LETTERS}x}"
