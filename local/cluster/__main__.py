"""Three machines on one, and what happens when one is gone: `python3 dev.py cluster`.

Starts 3 etcd, 3 Patroni with PostgreSQL, HAProxy, 3 web, workers, beats, 3 Redis with Sentinel and
an S3 server, each in its own folder and ports, from the files of deploy/, and stays up. `--prove`
puts load on it, kills one after the other, and compares every answer that a caller got with the
books: status 1 if one was lost or doubled. What is missing is installed by apt where we are root.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

from local.cluster import needs, prove, rendering, running, scenes, starting
from local.cluster.places import PORTS, Places
from local.postgres import PostgresError
from local.supervisor import Failed, Stopped, Supervisor
from local.up import say

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until told to stop, or until it is proved; return 0 if all was right."""
    options = parse(arguments)
    places = Places(options.data, options.port)
    try:
        programs = needs.programs(say=say)
        options.data.mkdir(parents=True, exist_ok=True)
        with Supervisor(options.data, say=say) as supervisor:
            kept = running.prepare(places, fresh=options.fresh)
            cluster = running.Running(supervisor, places, programs, kept=kept)
            try:
                starting.start(cluster, say=say)
                if options.prove:
                    return prove.prove(cluster, options.only, rate=options.rate, say=say)
                say(*welcome(cluster))
                supervisor.watch()
            finally:
                cluster.hurry()
    except Stopped:
        return 130 if options.prove else 0
    except (Failed, PostgresError, rendering.Unlike) as why:
        print(f"cluster: {why}", file=sys.stderr)
    except psycopg.OperationalError as error:
        print(f"cluster: the database: {str(error).splitlines()[0]}", file=sys.stderr)
    except OSError as error:
        print(f"cluster: {error.strerror}: {error.filename or options.data}", file=sys.stderr)
    return 1


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the flags."""
    parser = argparse.ArgumentParser(prog="dev.py cluster", description=__doc__)
    parser.add_argument("--prove", action="store_true", help="kill one after the other, under load")
    parser.add_argument(
        "--only",
        action="append",
        choices=sorted(scenes.SCENES),
        help="of --prove, this alone; again for more",
    )
    parser.add_argument("--rate", type=float, default=30, help="calls begun in a second (30)")
    parser.add_argument("--port", type=first_port, default=9400, help=f"first of {PORTS} (9400)")
    parser.add_argument(
        "--data",
        type=Path,
        default=rendering.ROOT / ".cluster",
        help="what is kept (.cluster)",
    )
    parser.add_argument("--fresh", action="store_true", help="throw away what an earlier one left")
    options = parser.parse_args(arguments)
    options.data = options.data.resolve()
    return options


def first_port(text: str) -> int:
    """Read a port after which there is room for all of ours; argparse tells of any other."""
    if not 0 < int(text) < (1 << 16) - PORTS:
        raise ValueError(text)
    return int(text)


def welcome(cluster: running.Running) -> list[str]:
    """Tell what there is to know."""
    places = cluster.places
    rows = [
        ("web", f"{cluster.url}, by the certificate {places.own('tls') / 'ca.pem'}"),
        ("machines", f"http://127.0.0.1:{places.web(1)} to {places.web(3)} (/serving, /ready)"),
        ("Patroni", f"http://127.0.0.1:{places.patroni(1)}/cluster"),
        ("manage.py", f"DATABASE_URL and all else in {places.folder / 'environment.json'}"),
        ("logs", str(places.logs)),
    ]
    return ["", "Up. Ctrl-C stops everything.", *(f"  {name:<12}{what}" for name, what in rows), ""]


if __name__ == "__main__":
    sys.exit(main())
