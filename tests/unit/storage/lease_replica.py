"""A replica that does a duty until its lease is lost, then asks for it again: `lease_replica.py URL`."""

import asyncio
import sys

from meristem.storage.database import database_for
from meristem.storage.lease import Lease
from meristem.storage.lease_tables import SCHEMA


async def main(url: str) -> None:
    database = database_for(url, name="service")
    await database.start()
    await database.upgrade([SCHEMA])
    lease = Lease(database, "replica", renewal=0.05)
    await lease.start()

    async def work() -> None:
        print("has the duty", flush=True)
        try:
            await asyncio.Event().wait()
        finally:
            print("was stopped", flush=True)

    await lease.run_alone("sweep", work)
    await lease.run_alone("sweep", work)
    print("has no duty", flush=True)
    await asyncio.Event().wait()


asyncio.run(main(sys.argv[1]))
