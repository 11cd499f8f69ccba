"""The whole of it: what is started in which order, and what is known of it while it runs."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import secrets
import shutil
import signal
import sys
import urllib.request
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from local import certificates, demo, prepared, processes
from local.cluster import rendering
from local.cluster.member import Database, Member, family, kill, postmaster
from local.cluster.places import HOST, MACHINES
from local.supervisor import Failed, answers

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from local.cluster.needs import Programs
    from local.cluster.places import Places
    from local.supervisor import Supervisor

Environment = dict[str, str]
READY_SECONDS = 600
ROLES = ("postgres", "replicator", "rewinder", "owner", "programs", "redis")
BUCKET = "files"
S3_KEY = "cluster"
PROGRAMS = (
    *(("web", machine) for machine in MACHINES),
    *(("rest", 1), ("rest", 2), ("jobs", 1), ("beat", 1), ("beat", 2)),
)
"""Our units, and on which machine."""
OWN = "cluster.json"
"""The file by which a folder is known as ours, whose content may be thrown away."""


@dataclass
class Running:
    """A cluster that runs: its programs by name, and how it is reached."""

    supervisor: Supervisor
    places: Places
    programs: Programs
    members: dict[str, Member] = field(default_factory=dict)
    kept: dict[str, Any] = field(default_factory=dict)
    environment: Environment = field(default_factory=dict)
    certificate: certificates.Certificate | None = None

    @property
    def passwords(self) -> dict[str, str]:
        """The password of each role."""
        found: dict[str, str] = self.kept["passwords"]
        return found

    @property
    def url(self) -> str:
        """Where callers come in."""
        return f"https://localhost:{self.places.https}"

    def dsn(self, role: str, dbname: str = "platform") -> str:
        """How a role reaches whichever PostgreSQL is the primary."""
        hosts = ",".join(f"{HOST}:{self.places.postgres(n)}" for n in MACHINES)
        named = f"{role}:{self.passwords[role]}"
        return f"postgresql://{named}@{hosts}/{dbname}?target_session_attrs=read-write"

    def manage(self, *words: str, role: str = "programs", given: str = "") -> str:
        """Run manage.py to its end, and return what it printed."""
        environment = {**self.environment, "DATABASE_URL": self.dsn(role)}
        environment.pop("PROMETHEUS_MULTIPROC_DIR", None)
        command = [sys.executable, "manage.py", *words]
        return self.supervisor.run(
            command, environment=environment, cwd=rendering.ROOT, given=given
        )

    def state(self) -> dict[str, dict[str, Any]]:
        """Return each PostgreSQL as Patroni knows it, by its name; none if no Patroni answers."""
        for machine in MACHINES:
            told = asked(f"http://{HOST}:{self.places.patroni(machine)}/cluster")
            if told is not None:
                return {str(each["name"]): each for each in told["members"]}
        return {}

    def leader(self) -> int | None:
        """Return the machine whose PostgreSQL is the primary and says so."""
        for machine in MACHINES:
            if asked(f"http://{HOST}:{self.places.patroni(machine)}/primary") is not None:
                return machine
        return None

    def is_whole(self) -> bool:
        """Whether there is a primary, a synchronous standby, a third, and all web serve."""
        roles = sorted(
            str(each.get("role"))
            for each in self.state().values()
            if each.get("state") in {"running", "streaming"}
        )
        whole = roles == ["leader", "replica", "sync_standby"] and self.leader() is not None
        return whole and all(self.serves(machine) for machine in MACHINES)

    def serves(self, machine: int) -> bool:
        """Whether a web machine says that it shall get calls."""
        return answers(f"http://{HOST}:{self.places.web(machine)}/serving")()

    def database(self, machine: int) -> Database:
        """Return the Patroni and PostgreSQL of a machine."""
        found = self.members[f"pg{machine}"]
        assert isinstance(found, Database), "it was made as one"
        return found

    def add(self, member: Member, *, limit: float = READY_SECONDS) -> None:
        """Start one and wait until it is ready."""
        self.members[member.name] = member
        self.supervisor.start(member, limit=limit)

    def hurry(self) -> None:
        """Tell web processes to end without draining: nobody comes any more."""
        for member in self.members.values():
            for _ in range(2):
                if member.name.startswith("web") and member.pid is not None:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(member.pid, signal.SIGTERM)


def asked(url: str) -> dict[str, Any] | None:
    """Return the JSON object at an address; None unless it answered 200 with one."""
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310 - our own address
            found = json.load(answer)
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def prepare(places: Places, *, fresh: bool) -> dict[str, Any]:
    """Have a folder to run in, and return what is kept in it: secrets, and what was migrated.

    What another cluster left there goes on, unless it shall not, or had other ports. Raises Failed
    rather than throw away what is not a cluster's. A PostgreSQL that outlived a Patroni that was
    killed is ended first.
    """
    folder = places.folder
    others = [each for each in folder.iterdir() if each.name != "lock"]
    if others and not (folder / OWN).exists():
        raise Failed(f"{folder} holds something that is no cluster's: give --data.")
    for machine in MACHINES:
        kill(family(postmaster(places.own(f"pg{machine}") / "data")))
    kept: dict[str, Any] = json.loads((folder / OWN).read_text()) if others else {}
    if fresh or kept.get("base") != places.base:
        for each in others:
            shutil.rmtree(each) if each.is_dir() else each.unlink()
        kept = {"base": places.base, **_made_up()}
        keep(places, kept)
    places.logs.mkdir(exist_ok=True)
    return kept


def keep(places: Places, kept: dict[str, Any]) -> None:
    """Write what the next start shall know."""
    demo.write_private(places.folder / OWN, json.dumps(kept, indent=2) + "\n")


def _made_up() -> dict[str, Any]:
    return {
        "passwords": {role: secrets.token_hex(12) for role in ROLES},
        "SECRET_KEY": secrets.token_urlsafe(50),
        "KEY_PEPPERS": f"1:{secrets.token_hex(32)}",
        "vendor": secrets.token_hex(16),
        "migrated": "",
    }


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
        cluster.supervisor.wait_for(
            answers(f"http://{HOST}:{places.etcd(machine)}/health"),
            f"etcd{machine} was not ready in time: see {places.logs}",
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
            cluster.supervisor.wait_for(
                lambda: cluster.leader() == 1,
                f"there is no primary: see {member.log}",
                limit=READY_SECONDS,
            )
    cluster.supervisor.wait_for(
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
        cluster.supervisor.wait_for(
            partial(cluster.serves, machine),
            f"web{machine} was not ready in time: see {cluster.places.logs}",
            limit=READY_SECONDS,
        )
    for worker in ("worker", "jobs"):
        cluster.supervisor.wait_for(
            answers(f"http://{HOST}:{cluster.places.web(1)}/ready", field=worker),
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


def names(cluster: Running, kinds: Sequence[str]) -> list[str]:
    """Return the programs of these kinds, as `pg` for pg1 to pg3."""
    return [name for name in cluster.members if name.rstrip("0123456789") in kinds]
