"""What was last read of Entra through Microsoft Graph."""

from dataclasses import asdict

from sqlalchemy import select

from scim_bridge.domain.entra import JobReading
from scim_bridge.storage.admin_tables import entra_jobs
from scim_bridge.storage.engine import Repository, upsert


class EntraJobs(Repository):
    """The provisioning job of one tenant, within one transaction."""

    def put(self, reading: JobReading) -> JobReading:
        """Store what a read of the job found, in place of the one before. Return it."""
        upsert(self._connection, entra_jobs, [{"tenant": self._tenant, **asdict(reading)}])
        return reading

    def last(self) -> JobReading | None:
        """Return what the last read found; None before there was one."""
        row = self._connection.execute(select(entra_jobs).where(entra_jobs.c.tenant == self._tenant)).first()
        if row is None:
            return None
        return JobReading(row.at, row.state, row.quarantined_since, row.escrowed, row.detail)
