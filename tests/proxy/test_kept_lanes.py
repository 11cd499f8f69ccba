"""What the stage keeps of a test for the next one: connections that are as they came."""

import psycopg
import pytest
from kept_lanes import Kept
from proxy_stage import connect


@pytest.mark.usefixtures("committed")
async def test_a_connection_is_given_again_only_as_whole_as_it_came():
    kept = Kept()
    try:
        first = await kept.connect()
        pid = first.info.backend_pid
        await first.close()
        await first.close()
        again, other = await kept.connect(), await kept.connect()
        assert again.info.backend_pid == pid
        assert other.info.backend_pid != pid

        await again.set_autocommit(False)
        await again.execute("SELECT 1")
        await again.close()
        assert again.closed, "in a transaction"

        await other.close()
        with connect() as db:
            db.execute("SELECT pg_terminate_backend(%s, 5000)", [other.info.backend_pid])
        third = await kept.connect()
        assert (await (await third.execute("SELECT 7")).fetchone()) == (7,)
        await third.close()
    finally:
        kept.end()

    with pytest.raises(psycopg.OperationalError, match="closed"):
        await third.execute("SELECT 1")
