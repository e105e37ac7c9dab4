"""`python -m tests.benchmarks.leasing DATABASE_URL SECONDS MOST`: lease and settle, as fast as it goes, without Ditio.

What is printed is how many people this process leased and settled, and the seconds that it took.
"""

import sys
import time
from uuid import uuid4

from scim_bridge.domain.outcome import State
from scim_bridge.settings import DEFAULT_TENANT
from scim_bridge.storage.database import Database

LEASE_SECONDS = 30.0


def lease_and_settle(database: Database) -> bool:
    """Take one person and say that he is delivered: the transactions around each delivery. Whether there was one."""
    leased = database.transact(DEFAULT_TENANT, lambda s: s.outbox.lease_next(str(uuid4()), LEASE_SECONDS))
    if leased is None:
        return False
    with database.write(DEFAULT_TENANT) as s:
        outbox = s.outbox
        outbox.settle(leased.person_id, state=State.delivered, reason=None, detail=None)
        outbox.release(leased.person_id, leased.lease)
    return True


def main(url: str, seconds: float, most: int) -> None:
    """Until the time is over, or so many were leased, or no one is due."""
    database = Database(url)
    lease_and_settle(database)  # The first one connects, and builds the statements.
    began, count = time.monotonic(), 0
    while count < most and time.monotonic() - began < seconds and lease_and_settle(database):
        count += 1
    print(count, time.monotonic() - began)
    database.close()


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), int(sys.argv[3]))
