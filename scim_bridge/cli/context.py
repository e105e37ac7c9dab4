"""What the group `scim-bridge` hands down to its commands: the settings, and the database, opened when asked for."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DatabaseError

from scim_bridge.errors import BridgeError
from scim_bridge.settings import Settings, load
from scim_bridge.settings.catalogue import shown
from scim_bridge.storage.database import Database, repeated
from scim_bridge.storage.engines import COMMANDS
from scim_bridge.storage.schema import require_current

T = TypeVar("T")


@dataclass(frozen=True)
class Options:
    """The options of the group, and what follows from them."""

    config: Path | None = None
    """The file of `--config`."""

    @cached_property
    def settings(self) -> Settings:
        """The settings. :raises SettingsError: with every problem."""
        return load(self.config)

    def of(self, tenant: str) -> Settings:
        """The settings of one company that is served, as if there were no other."""
        return self.settings.only(tenant)

    @contextmanager
    def database(self, *, any_schema: bool = False) -> Iterator[Database]:
        """The database, closed at the end.

        :param any_schema: Only for whoever migrates: the schema may be an older one.
        :raises SchemaOutdated: see `require_current` (rule D7).
        :raises BridgeError: the database is out of reach.
        """
        database = Database(self.settings.database.url, patience=COMMANDS)
        try:
            if not any_schema:
                require_current(database)
            yield database
        except DatabaseError as exc:
            reason = str(exc.orig).strip().splitlines()
            where = shown(self.settings.database.url)
            raise BridgeError(
                f"the database at {where} (DATABASE__URL) can't be used: {reason[0] if reason else 'no reason given'}"
            ) from exc
        finally:
            database.close()

    def write(self, work: Callable[[Connection, datetime], T]) -> T:
        """Do something in a writing transaction, once more where another transaction was in its way.

        :param work: Given the transaction and the database's clock.
        """
        with self.database() as database:

            def once() -> T:
                with database.write() as connection:
                    return work(connection, database.now(connection))

            return repeated(once)
