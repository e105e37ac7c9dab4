"""What `token issue` and `client issue` ask alike: a name, and how long the secret counts."""

import math
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])

LONGEST_DAYS = 36500


def name_option(command: Command) -> Command:
    """Add `--name`, which reaches the command as `name`."""
    words = "What it is for, as people will read it."
    return click.option("--name", required=True, callback=_name, help=words)(command)


def expiry_option(command: Command) -> Command:
    """Add `--expires-in-days`, which reaches the command as `expires_in_days`."""
    words = "How long it counts; 0.5 is 12 hours."
    return click.option("--expires-in-days", metavar="D", type=float, callback=_days, help=words)(command)


def end_of(now: datetime, days: float | None) -> datetime | None:
    """When a secret ends that counts for so many days from now; None for one that never ends."""
    return None if days is None else now + timedelta(days=days)


def until(expires_at: datetime | None) -> str:
    """How long that is, for people."""
    return "until it is revoked" if expires_at is None else f"until {expires_at:%Y-%m-%d %H:%M} UTC"


def _days(_: click.Context, __: click.Parameter, days: float | None) -> float | None:
    if days is not None and not (math.isfinite(days) and 0 < days <= LONGEST_DAYS):
        raise click.BadParameter(f"write a number of days above 0, at most {LONGEST_DAYS}")
    return days


def _name(_: click.Context, __: click.Parameter, name: str) -> str:
    if not name.strip():
        raise click.BadParameter("write a name by which it is known in the list")
    return name.strip()
