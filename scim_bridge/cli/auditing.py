"""What an operator does goes into the audit trail, in its own transaction, and into the log on standard error."""

import os
from datetime import datetime

from sqlalchemy import Connection

from scim_bridge import logs
from scim_bridge.cli.context import Options
from scim_bridge.domain.audit import Actor, ActorKind, Author, Deed
from scim_bridge.storage.audit import AuditTrail


def operator() -> Author:
    """Who runs this command: the number of his user; behind `sudo`, of whoever called it."""
    uid = os.getuid()
    behind = os.environ.get("SUDO_UID", "")
    return Author(Actor(ActorKind.operator, behind if uid == 0 and behind.isdecimal() else str(uid)))


def note(options: Options, connection: Connection, tenant: str, deed: Deed, *, now: datetime) -> None:
    """Have an operator's deed in the audit trail."""
    logs.configure(options.settings.log.level, options.settings.log.format)
    AuditTrail(connection, tenant).add(deed, operator(), now=now)
