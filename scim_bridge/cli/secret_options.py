"""What `token issue` and `client issue` ask alike: a name, and how long the secret counts."""

import math
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])

LONGEST_DAYS = 36500
DEFAULT_DAYS = 365

_NEVER = f"{__name__}.no_expiry"


def name_option(command: Command) -> Command:
    """Add `--name`, which reaches the command as `name`."""
    words = "What it is for, as people will read it."
    return click.option("--name", required=True, callback=_name, help=words)(command)


def expiry_option(command: Command) -> Command:
    """Add `--expires-in-days` and `--no-expiry`, which reach the command as `expires_in_days`: None for no expiry."""
    days = click.option(
        "--expires-in-days",
        metavar="D",
        type=float,
        callback=_days,
        help=f"How many days it is valid; 0.5 is 12 hours.  [default: {DEFAULT_DAYS}]",
    )
    # Eager: it is read before `_days` decides.
    never = click.option(
        "--no-expiry", is_flag=True, is_eager=True, expose_value=False, callback=_never, help="It stays valid for ever."
    )
    return days(never(command))


def end_of(now: datetime, days: float | None) -> datetime | None:
    """When a secret ends that counts for so many days from now; None for one that never ends."""
    return None if days is None else now + timedelta(days=days)


def tell_expiry(what: str, expires_at: datetime | None, revoke: str) -> None:
    """Say on standard error how long a secret is valid, and warn of one that never expires.

    :param what: The secret, as a sentence begins with it.
    :param revoke: The command that ends it.
    """
    if expires_at is not None:
        click.echo(f"{what} is valid until {expires_at:%Y-%m-%d %H:%M} UTC.", err=True)
        return
    click.echo(f"WARNING: {what} never expires (--no-expiry).", err=True)
    click.echo(f"A copy that is stolen works until you run `scim-bridge {revoke}`.", err=True)


def _never(ctx: click.Context, _: click.Parameter, is_set: bool) -> None:
    ctx.meta[_NEVER] = is_set


def _days(ctx: click.Context, _: click.Parameter, days: float | None) -> float | None:
    if ctx.meta[_NEVER]:
        if days is not None:
            raise click.UsageError("--no-expiry and --expires-in-days exclude each other: leave one of them out")
        return None
    if days is None:
        return DEFAULT_DAYS
    if not (math.isfinite(days) and 0 < days <= LONGEST_DAYS):
        raise click.BadParameter(f"write a number of days above 0, at most {LONGEST_DAYS}")
    return days


def _name(_: click.Context, __: click.Parameter, name: str) -> str:
    if not name.strip():
        raise click.BadParameter("write a name by which it is known in the list")
    return name.strip()
