"""What is started in which order: the steps of docs/install.md for three machines."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import sys
from functools import partial
from typing import TYPE_CHECKING

from local import certificates, demo, prepared, processes
from local.cluster import rendering
from local.cluster.member import Database, Member
from local.cluster.places import HOST, MACHINES
from local.cluster.running import READY_SECONDS, Environment, keep
from local.supervisor import Failed, answers

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from local.cluster.places import Places
    from local.cluster.running import Running

BUCKET = "files"
S3_KEY = "cluster"
PROGRAMS = (
    *(("web", machine) for machine in MACHINES),
    *(("rest", 1), ("rest", 2), ("jobs", 1), ("beat", 1), ("beat", 2)),
)
"""Our units, and on which machine."""


def start(cluster: Running, *, say: Callable[[str], None]) -> None:
    """Start all of it, in the order of docs/install.md, and say each step."""
    places = cluster.places
    if (port := places.taken()) is not None:
        raise Failed(f"port {port} is in use: stop what listens there, or give --port.")
    cluster.certificate = certificates.for_name(places.own("tls"), "localhost")
    _start_etcd(cluster)
    say("started etcd x3")
    _start_databases(cluster)
    say("started Patroni x3: a primary, a synchronous standby, another")
    _start_broker(cluster)
    say("started Redis x3 and Sentinel x3")
    cluster.environment = settings(cluster)
    _start_outside(cluster)
    say("started the sandbox of vendors and an S3 server")
    _migrate(cluster)
    say("made roles and tables")
    _start_programs(cluster)
    say("started web x3, workers x3, beat x2")
    _start_haproxy(cluster)
    say("started HAProxy")
    demo.write_private(
        places.folder / "environment.json", json.dumps(cluster.environment, indent=2) + "\n"
    )


def settings(cluster: Running) -> Environment:
    """Return the settings of the programs, as docs/install.md has them for three machines."""
    places = cluster.places
    sentinels = ";".join(
        f"sentinel://:{cluster.passwords['redis']}@{HOST}:{places.sentinel(n)}" for n in MACHINES
    )
    key = cluster.kept["vendor"]
    return {
        **{name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ},
        "PYTHONPATH": os.pathsep.join([str(rendering.ROOT), str(rendering.ROOT / "platform")]),
        "PYTHONPYCACHEPREFIX": os.environ.get("PYTHONPYCACHEPREFIX", ""),
        "PYTHONUNBUFFERED": "1",
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "DATABASE_URL": cluster.dsn("programs"),
        "SECRET_KEY": cluster.kept["SECRET_KEY"],
        "KEY_PEPPERS": cluster.kept["KEY_PEPPERS"],
        "PUBLIC_URL": cluster.url,
        "ALLOWED_HOSTS": "localhost",
        "TRUSTED_PROXIES": HOST,
        "CELERY_BROKER_URL": sentinels,
        "CELERY_BROKER_OPTIONS": '{"master_name": "credits"}',
        "DATA_DIR": str(places.own("shared")),
        "CONCURRENCY_TIERS": "",
        "SANDBOX_OPERATIONS": "1",
        "VENDOR_BASE_URL": f"http://{HOST}:{places.sandbox}/{{vendor}}",
        "VENDOR_BFL_KEY": key,
        "VENDOR_SANDBOX_KEY": key,
        "SANDBOX_KEY": key,
        "UPLOADS_ARE_PUBLIC": "yes",
        "UPLOADS_S3_BUCKET": BUCKET,
        "UPLOADS_S3_ENDPOINT_URL": f"http://{HOST}:{places.s3}",
        "UPLOADS_S3_REGION": "us-east-1",
        "UPLOADS_S3_ACCESS_KEY_ID": S3_KEY,
        "UPLOADS_S3_SECRET_ACCESS_KEY": S3_KEY,
        "UPLOADS_S3_ADDRESSING_STYLE": "path",
    }


def _bare() -> Environment:
    """Return an environment without anything of ours, for programs that are not."""
    return {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "ETCD", "PATRONI"))}


def _start_etcd(cluster: Running) -> None:
    places = cluster.places
    for machine in MACHINES:
        places.own(f"etcd{machine}").mkdir(exist_ok=True)
        environment = {**_bare(), **rendering.etcd(places, machine)}
        member = Member(
            f"etcd{machine}", [cluster.programs.etcd], logs=places.logs, environment=environment
        )
        cluster.add(member)  # It is ready when a second one is.
    for machine in MACHINES:
        cluster.wait_for(
            answers(f"http://{HOST}:{places.etcd(machine)}/health"),
            f"etcd{machine} was not ready in time: see {places.logs}",
            limit=READY_SECONDS,
        )


def _start_databases(cluster: Running) -> None:
    places = cluster.places
    identity = _database_user(cluster)
    tls = _tls_of_databases(cluster, identity)
    prefix = _as_user(identity)
    for machine in MACHINES:
        file = places.folder / f"link{machine}.cfg"
        file.write_text(rendering.link(places, machine))
        words = [cluster.programs.haproxy, "-db", "-f", str(file)]
        cluster.add(Member(f"link{machine}", words, logs=places.logs, environment=_bare()))
    for machine in MACHINES:
        own = places.own(f"pg{machine}")
        own.mkdir(mode=0o700, exist_ok=True)
        text = rendering.patroni(
            places,
            machine,
            programs=cluster.programs.postgres,
            passwords=cluster.passwords,
            tls=tls,
        )
        demo.write_private(own / "patroni.yml", text)
        _give(identity, own, own / "patroni.yml")
        member = Database(
            f"pg{machine}",
            [*_interpreted(cluster.programs.patroni), str(own / "patroni.yml")],
            prefix=prefix,
            logs=places.logs,
            environment={**_bare(), "HOME": str(own)},
            cwd=own,
        )
        member.data = own / "data"
        cluster.add(member)
        if machine == 1 and not member.data.exists():  # The others copy from it.
            cluster.wait_for(
                lambda: cluster.leader() == 1,
                f"there is no primary: see {member.log}",
                limit=READY_SECONDS,
            )
    cluster.wait_for(
        lambda: (
            cluster.leader() is not None
            and any(each.get("role") == "sync_standby" for each in cluster.state().values())
        ),
        f"there is no synchronous standby: see {places.logs}",
        limit=READY_SECONDS,
    )


def _database_user(cluster: Running) -> pwd.struct_passwd | None:
    """Return as whom PostgreSQL shall run if we are root, whom it refuses; None: as we."""
    if os.geteuid() != 0:
        return None
    found = pwd.getpwnam("postgres")  # Debian's package made it.
    enters = [*_as_user(found), "test", "-x", str(cluster.places.folder)]
    if not processes.succeeds(enters):
        raise Failed(f"the user postgres cannot enter {cluster.places.folder}: give --data.")
    return found


def _as_user(identity: pwd.struct_passwd | None) -> list[str]:
    if identity is None:
        return []
    ids = ["--reuid", str(identity.pw_uid), "--regid", str(identity.pw_gid), "--clear-groups"]
    return ["setpriv", *ids, "--"]


def _give(identity: pwd.struct_passwd | None, *paths: Path) -> None:
    if identity is not None:
        for path in paths:
            os.chown(path, identity.pw_uid, identity.pw_gid)


def _tls_of_databases(cluster: Running, identity: pwd.struct_passwd | None) -> Path:
    """Return a folder with the certificate of the PostgreSQLs, which only they may read."""
    assert cluster.certificate is not None, "it was made before"
    tls = cluster.places.own("pgtls")
    tls.mkdir(mode=0o700, exist_ok=True)
    shutil.copyfile(cluster.certificate.chain, tls / "server.crt")
    demo.write_private(tls / "server.key", cluster.certificate.key.read_text())
    _give(identity, tls, tls / "server.crt", tls / "server.key")
    return tls


def _interpreted(script: str) -> list[str]:
    """Return a script as what it is when it runs, so that it is known again by its words."""
    with open(script, "rb") as lines:
        first = lines.readline().decode(errors="replace").strip()
    return [*first.removeprefix("#!").split(), script] if first.startswith("#!") else [script]


def _start_broker(cluster: Running) -> None:
    places, password = cluster.places, cluster.passwords["redis"]
    written = {"redis": rendering.redis, "sentinel": rendering.sentinel}
    for kind, render in written.items():
        for machine in MACHINES:
            own = places.own(f"{kind}{machine}")
            own.mkdir(exist_ok=True)
            demo.write_private(own / "own.conf", render(places, machine, password=password))
            words = [cluster.programs.redis, str(own / "own.conf")]
            words += ["--sentinel"] if kind == "sentinel" else []
            port = getattr(places, kind)(machine)
            member = Member(
                f"{kind}{machine}",
                words,
                logs=places.logs,
                environment=_bare(),
                ready=_listens(port),
                cwd=own,
            )
            cluster.add(member)


def _start_outside(cluster: Running) -> None:
    places, environment = cluster.places, cluster.environment
    sandbox = ["-m", "sandbox", "--port", str(places.sandbox)]
    s3 = ["-m", "moto.server", "-H", HOST, "-p", str(places.s3)]
    for name, words, port in (("sandbox", sandbox, places.sandbox), ("s3", s3, places.s3)):
        member = Member(
            name,
            [sys.executable, *words],
            logs=places.logs,
            environment=environment,
            ready=_listens(port),
            cwd=rendering.ROOT,
        )
        cluster.add(member)
    make = "import boto3, sys; boto3.client('s3', endpoint_url=sys.argv[1], region_name='us-east-1'"
    make += ", aws_access_key_id='x', aws_secret_access_key='x').create_bucket(Bucket=sys.argv[2])"
    command = [sys.executable, "-c", make, f"http://{HOST}:{places.s3}", BUCKET]
    cluster.supervisor.run(command, environment=environment, cwd=rendering.ROOT)


def _migrate(cluster: Running) -> None:
    """Make roles, the database and its tables, as an operator does once, and at an upgrade."""
    psql = [str(cluster.programs.postgres / "psql"), "-v", "ON_ERROR_STOP=1", "-q"]
    if not cluster.kept["migrated"]:
        cluster.supervisor.run(
            [*psql, "-d", cluster.dsn("postgres", "postgres"), "-f", "-"],
            environment=_bare(),
            cwd=rendering.ROOT,
            given=rendering.roles(cluster.passwords),
        )
    if cluster.kept["migrated"] != (now := prepared.fingerprint()):
        cluster.manage("migrate", "-v", "0", role="owner")
        cluster.manage("grants", "programs", role="owner")
        keep(cluster.places, cluster.kept | {"migrated": now})


def _start_programs(cluster: Running) -> None:
    for unit, machine in PROGRAMS:
        cluster.add(_program(cluster, unit, machine))  # Many at once: each takes a while.
    for machine in MACHINES:
        cluster.wait_for(
            partial(cluster.serves, machine),
            f"web{machine} was not ready in time: see {cluster.places.logs}",
            limit=READY_SECONDS,
        )
    for worker in ("worker", "jobs"):
        cluster.wait_for(
            answers(f"http://localhost:{cluster.places.web(1)}/ready", field=worker),
            f"no {worker} gave a sign of life: see {cluster.places.logs}",
            limit=READY_SECONDS,
        )


def _program(cluster: Running, unit: str, machine: int) -> Member:
    """Return one of our programs, with the command line of its unit of systemd."""
    places, name = cluster.places, f"{unit}{machine}"
    own = places.own(name)
    metrics = own / "metrics"
    metrics.mkdir(parents=True, exist_ok=True)
    return Member(
        name,
        rendering.command(unit, unit_pairs(places, unit, machine)),
        logs=places.logs,
        environment={
            **cluster.environment,
            "DATA_DIR": str(own),
            "PROMETHEUS_MULTIPROC_DIR": str(metrics),
        },
        cwd=rendering.ROOT,
    )


def unit_pairs(places: Places, unit: str, machine: int) -> dict[str, str]:
    """Return what stands for what in the command line of a unit."""
    python, celery = "/opt/platform/bin/python", "/opt/platform/bin/celery"
    pairs = {
        "web": {
            python: sys.executable,
            "--port 8000": f"--port {places.web(machine)}",
            "--workers 4": "--workers 1",
        },
        "rest": {celery: f"{sys.executable} -m celery", "-Q": f"-n rest{machine}@%h -Q"},
        "jobs": {celery: f"{sys.executable} -m celery", "jobs@": f"jobs{machine}@"},
        "beat": {
            celery: f"{sys.executable} -m celery",
            "/var/lib/platform/": f"{places.own(f'beat{machine}')}/",
        },
    }
    return pairs[unit]


def _start_haproxy(cluster: Running) -> None:
    assert cluster.certificate is not None, "it was made before"
    places, made = cluster.places, cluster.certificate
    own = places.own("haproxy")
    tls = own / "tls"
    tls.mkdir(parents=True, exist_ok=True)
    demo.write_private(tls / "localhost.pem", made.chain.read_text() + made.key.read_text())
    (own / "haproxy.cfg").write_text(rendering.haproxy(places, tls=tls))
    words = [cluster.programs.haproxy, "-db", "-f", str(own / "haproxy.cfg")]
    ready = _listens(places.https)
    cluster.add(Member("haproxy", words, logs=places.logs, environment=_bare(), ready=ready))


def _listens(port: int) -> Callable[[], bool]:
    return lambda: not processes.port_is_free(port)
