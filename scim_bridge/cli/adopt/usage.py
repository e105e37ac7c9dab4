"""Wrong usage of `adopt` is exit code 1: 2 says that there are disputes (design, section 5)."""

from typing import Any, NoReturn

import click

WHAT_TO_WRITE = (
    "write `scim-bridge adopt [--apply] [--decisions FILE.csv]`, or `scim-bridge adopt --accept EMPLOYEE_NUMBER "
    "USER_NAME`"
)


class WrongUsage(click.UsageError):
    """Wrong usage, with the exit code that it has here."""

    exit_code = 1


class WrongUsageFails(click.Command):
    """A command whose wrong usage is exit code 1, whoever finds it out."""

    def make_context(self, info_name: str | None, args: list[str], *rest: Any, **extra: Any) -> click.Context:
        """Read the words of the command line."""
        try:
            return super().make_context(info_name, args, *rest, **extra)
        except click.UsageError as error:
            wrong(error.format_message(), error.ctx)


def wrong(message: str, ctx: click.Context | None = None) -> NoReturn:
    """Say what to write instead. :raises WrongUsage: always."""
    raise WrongUsage(f"{message.rstrip('.')}: {WHAT_TO_WRITE}", ctx or click.get_current_context(silent=True))
