"""Everything on this machine, one metered call and one run: `python3 dev.py up`.

    postgres -> pgmq and migrations -> sandbox, Stripe's look-alike -> web -> workers
             -> a machine for runs and their runner -> one call, one run

DATABASE_URL and CELERY_BROKER_URL replace the embedded database and broker, VENDOR_BASE_URL the
sandbox, STRIPE_API_KEY the look-alike of Stripe, COMFYUI_URL the machine for runs; whatever else
the caller's environment says wins over what is made up here. What must survive a restart lies in
the data folder: the database, the secrets, the demo member, the look-alike's memory.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import sys
from collections.abc import Sequence
from pathlib import Path

import psycopg
from pgmq import get_embedded_install_sql, install_pgmq_sql
from psycopg import conninfo

from local import demo, demo_run, https, machines, processes
from local.halfyear import filling, told
from local.postgres import Cluster, PostgresError
from local.supervisor import Child, Failed, Stopped, Supervisor, answers
from sandbox import service_account
from sandbox.vendors import VENDORS

ROOT = Path(__file__).resolve().parent.parent
DATABASE = "comfy"
READY_SECONDS = 240
"""So long a program may take to begin on a machine that has much else to do."""

Environment = dict[str, str]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until told to stop; return 0 if everything was right until then."""
    options = parse(arguments)
    try:
        options.data.mkdir(parents=True, exist_ok=True)
        (options.data / "logs").mkdir(exist_ok=True)
        with Supervisor(options.data, say=say) as supervisor:
            up(supervisor, options)
    except Stopped:
        return 130 if options.once else 0  # It was to show the call, and did not.
    except (Failed, PostgresError, demo.DemoFailed) as why:
        print(f"up: {why}", file=sys.stderr)
        return 1
    except psycopg.OperationalError as error:  # Mostly DATABASE_URL's.
        print(f"up: the database: {str(error).splitlines()[0]}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"up: {error.strerror}: {error.filename or options.data}", file=sys.stderr)
        return 1
    return 0


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the flags."""
    parser = argparse.ArgumentParser(prog="dev.py up", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--once", action="store_true", help="stop after the call and the run")
    parser.add_argument("--port", type=port, default=8000, help="of the web process (8000)")
    parser.add_argument("--data", type=Path, default=ROOT / ".data", help="what is kept (.data)")
    parser.add_argument("--workers", type=count, default=1, help="number of web processes (1)")
    parser.add_argument(
        "--https",
        nargs="?",
        const="localhost",
        metavar="NAME",
        help="also by https, which the page of a ComfyUI needs; NAME: for others in this network",
    )
    parser.add_argument("--https-port", type=port, default=8443, help="of that (8443)")
    parser.add_argument("--demo", action="store_true", help="with half a year in a fresh folder")
    parser.add_argument("--seed", type=int, default=2026, help="of what happens in it (2026)")
    parser.add_argument("--few", action="store_true", help="with few calls in it: a third the time")
    options = parser.parse_args(arguments)
    options.data = options.data.resolve()
    return options


def port(text: str) -> int:
    """Read a port that can be listened at; argparse tells of any other."""
    if not 0 < int(text) < 1 << 16:
        raise ValueError(text)
    return int(text)


def count(text: str) -> int:
    """Read a number of processes, at least one."""
    if int(text) < 1:
        raise ValueError(text)
    return int(text)


def up(supervisor: Supervisor, options: argparse.Namespace) -> None:
    """Start everything, show the call, and stay; raise what ended it."""
    base_url = f"http://127.0.0.1:{options.port}"
    if not processes.port_is_free(options.port):
        raise Failed(f"port {options.port} is in use: stop what listens there, or give --port.")
    if options.https and not processes.port_is_free(options.https_port):
        raise Failed(
            f"port {options.https_port} is in use: stop what listens there, or give --https-port."
        )

    environment = start(supervisor, options, base_url)
    if options.https:
        # Only for us, who look at the picture there: what was started has its own environment.
        os.environ["SSL_CERT_FILE"] = str(https.certificate(options).authority)

    def manage(*words: str, given: str = "") -> str:
        return supervisor.run(
            [sys.executable, "manage.py", *words], environment=environment, cwd=ROOT, given=given
        )

    machine = start_runs(supervisor, options, environment, base_url, manage=manage)
    who = demo.member(options.data / "demo.json", base_url=base_url, manage=manage)
    receipt = demo.metered_call(who, pause=supervisor.pause)
    say("", "One metered call, made as a ComfyUI node makes it:", *receipt.lines())
    calls = machine.is_ours and environment["VENDOR_BASE_URL"].startswith("http://127.0.0.1:")
    graph = demo_run.workflow(on_demo=machine.is_ours, calls=calls)
    made = demo_run.machine_run(who, graph, pause=supervisor.pause)
    say("", f"One run of a workflow, on the machine {machine.name}:", *made.lines())
    if not options.once:
        say(*welcome(who, options.data, payments=environment.get("STRIPE_API_BASE", "")))
        if filling.is_filled(options.data):
            say(*told.lines(filling.kept(options.data), base_url))
        if options.https:
            say(*https.lines(options), "")
        supervisor.watch()


def start(supervisor: Supervisor, options: argparse.Namespace, base_url: str) -> Environment:
    """Start every service in its order; return the environment that they run in."""
    data: Path = options.data
    logs = data / "logs"
    environment = {**secrets_of(data), **os.environ}
    to_fill = have_database(supervisor, options, environment)
    sandbox_port = processes.free_port()
    with_sandbox = not environment.get("VENDOR_BASE_URL")
    with_stripe = not environment.get("STRIPE_API_KEY")
    stripe_port = processes.free_port()
    if with_stripe:
        environment |= fake_stripe(environment, data, base_url=base_url, port=stripe_port)
    if options.https:
        environment = {**https.settings(options), **environment}
    for name, value in {
        "DATA_DIR": str(data),
        "PROMETHEUS_MULTIPROC_DIR": str(_emptied(data / "metrics")),
        "VENDOR_BASE_URL": f"http://127.0.0.1:{sandbox_port}/{{vendor}}",
        "VENDOR_BFL_KEY": secrets.token_hex(16),
        "SANDBOX_OPERATIONS": "1",
        "DEBUG": "0",
        "ALLOWED_HOSTS": "*",
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "platform")]),
        "PYTHONUNBUFFERED": "1",
    }.items():
        environment[name] = environment.get(name) or value
    environment["SANDBOX_KEY"] = environment["VENDOR_BFL_KEY"]
    environment.setdefault("VENDOR_SANDBOX_KEY", environment["SANDBOX_KEY"])
    if with_sandbox:
        environment = {**vendors_of_the_sandbox(environment, data, sandbox_port), **environment}

    python = sys.executable
    supervisor.run([python, "manage.py", "migrate", "-v", "0"], environment=environment, cwd=ROOT)
    say("migrated the database")
    if to_fill is not None:
        found = filling.fill(supervisor, environment, options, say=say)
        filling.finish(to_fill, DATABASE, data, found)
        environment["DATABASE_URL"] = to_fill.url(DATABASE)
    if not environment.get("CELERY_BROKER_URL"):
        environment |= embedded_broker(environment["DATABASE_URL"])
    ours = {name: value for name, value in environment.items() if os.environ.get(name) != value}
    demo.write_private(data / "environment.json", json.dumps(ours, indent=2) + "\n")

    web = ["config.web", "--host", "127.0.0.1", "--port", str(options.port)]
    modules = {
        "sandbox": ["sandbox", "--port", str(sandbox_port)],
        "stripe": ["sandbox.stripe", "--port", str(stripe_port)],
        "web": [*web, "--workers", str(options.workers)],
        "worker": worker("default,beat,calls,money", "-B", "-s", str(data / "beat-schedule")),
        # What asks vendors may hang: it keeps nothing else from running.
        "worker-jobs": worker("jobs", "-n", "jobs@%h"),
    }
    ready = {
        "sandbox": answers(f"http://127.0.0.1:{sandbox_port}/health"),
        "stripe": answers(f"http://127.0.0.1:{stripe_port}/health"),
        "web": answers(f"{base_url}/ready"),
        "worker": answers(f"{base_url}/ready", field="worker"),
        "worker-jobs": answers(f"{base_url}/ready", field="jobs"),
    }
    for name, words in modules.items():
        if (name, False) in {("sandbox", with_sandbox), ("stripe", with_stripe)}:
            continue
        child = Child(
            name,
            [python, "-m", *words],
            logs=logs,
            environment=environment,
            ready=ready[name],
            cwd=ROOT,
        )
        supervisor.start(child, limit=READY_SECONDS)
        say(f"started {name}")
    if options.https:
        supervisor.start(https.front(options, base_url, environment))
        say("started tls")
    return environment


def have_database(
    supervisor: Supervisor, options: argparse.Namespace, environment: Environment
) -> Cluster | None:
    """Have the environment name a database; return the server of one that the demo is to fill."""
    data: Path = options.data
    fills = options.demo and not filling.is_filled(data)
    if fills:
        filling.require_own(environment)
    if environment.get("DATABASE_URL"):
        psycopg.connect(environment["DATABASE_URL"]).close()  # It is there, or the start ends.
        return None
    cluster = Cluster(data / "pg", takeover=True, log=data / "logs" / "postgres.log")
    supervisor.start(cluster)
    say("started postgres")
    if fills:
        environment["DATABASE_URL"] = filling.make(cluster, DATABASE, data)
        return cluster
    cluster.create_database(DATABASE)
    environment["DATABASE_URL"] = cluster.url(DATABASE)
    return None


def start_runs(
    supervisor: Supervisor,
    options: argparse.Namespace,
    environment: Environment,
    base_url: str,
    *,
    manage: demo.Manage,
) -> machines.Machine:
    """Start the machine for runs, unless there is one, and the runner; return the machine."""
    machine = machines.of(environment, port=processes.free_port())
    logs = options.data / "logs"
    if machine.is_ours:
        child = Child(
            "machine",
            [sys.executable, "-m", *machine.words(base_url)],
            logs=logs,
            environment={**environment, "COMFY_WORKER_TOKEN": machine.token},
            ready=lambda: not processes.port_is_free(machine.port),
            cwd=ROOT,
        )
        supervisor.start(child)
        say("started machine")
    machines.register(machine, manage)
    runner = [sys.executable, "-m", "config.runs"]
    supervisor.start(Child("runner", runner, logs=logs, environment=environment, cwd=ROOT))
    say("started runner")
    return machine


def vendors_of_the_sandbox(environment: Environment, data: Path, port: int) -> Environment:
    """Return the credentials by which every vendor of the sandbox is called."""
    key = {f"VENDOR_{each.name.upper()}_KEY": environment["SANDBOX_KEY"] for each in VENDORS}
    halves = ("TENCENT_SECRET", "BYTEPLUS_VOICE_KEY", "BYTEPLUS_MEDIAKIT_KEY",
              "BYTEPLUS_ACCESS_KEY", "BYTEPLUS_ACCESS_SECRET")  # fmt: skip
    key |= {f"VENDOR_{name}": environment["SANDBOX_KEY"] for name in halves}
    key["VENDOR_BYTEPLUS_ASSET_GROUP"] = "group-of-the-sandbox"
    file = data / "service-account.json"
    kept = str(file) if file.exists() else None
    made = service_account.content(f"http://127.0.0.1:{port}/vertexai/token", kept)
    demo.write_private(file, json.dumps(made, indent=2) + "\n")
    google = ("VENDOR_VERTEXAI_CREDENTIALS", "SANDBOX_SERVICE_ACCOUNT")
    return {**key, **dict.fromkeys(google, str(file))}


def worker(queues: str, *more: str) -> list[str]:
    """Return the words that start a worker of these queues; the embedded broker has no events."""
    quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    return ["celery", "-A", "config.celery", "worker", "-Q", queues, "-P", "threads", "-c", "4",
            *quiet, *more]  # fmt: skip


def fake_stripe(environment: Environment, data: Path, *, base_url: str, port: int) -> Environment:
    """Return what Stripe's look-alike and the product need in order to find each other."""
    key, secret = f"sk_test_{environment['STRIPE_SECRET']}", f"whsec_{environment['STRIPE_SECRET']}"
    return {
        "STRIPE_API_KEY": key,
        "STRIPE_API_BASE": f"http://127.0.0.1:{port}",
        "STRIPE_WEBHOOK_SECRETS": secret,
        "FAKE_STRIPE_KEY": key,
        "FAKE_STRIPE_WEBHOOK_URL": f"{base_url}/webhooks/stripe",
        "FAKE_STRIPE_WEBHOOK_SECRET": secret,
        "FAKE_STRIPE_STATE": str(data / "stripe.json"),
    }


def _emptied(folder: Path) -> Path:
    """Return a folder without the files of an earlier run: there all processes count together."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in folder.iterdir():
        file.unlink()
    return folder


def secrets_of(data: Path) -> Environment:
    """Return the secrets of this data folder, made once: its keys are worth nothing without."""
    file = data / "secrets.json"
    if not file.exists():
        made = {
            "SECRET_KEY": secrets.token_urlsafe(50),
            "KEY_PEPPERS": json.dumps({"1": secrets.token_hex(32)}),
        }
        demo.write_private(file, json.dumps(made, indent=2) + "\n")
    kept = json.loads(file.read_text())
    if "STRIPE_SECRET" not in kept:  # A folder of an earlier version.
        kept["STRIPE_SECRET"] = secrets.token_hex(16)
        demo.write_private(file, json.dumps(kept, indent=2) + "\n")
    return {str(name): str(value) for name, value in kept.items()}


def embedded_broker(database_url: str) -> Environment:
    """Have a message queue in the database, and say how Celery reaches it.

    The client loses part of an address given as a URL, so it is given as `key=value` pairs.
    """
    address = conninfo.make_conninfo("", **conninfo.conninfo_to_dict(database_url))
    with psycopg.connect(address) as connection:
        installed = connection.execute("SELECT to_regnamespace('pgmq') IS NOT NULL").fetchone()
        if installed == (False,):
            install_pgmq_sql(get_embedded_install_sql(), conn=connection)
    options = {
        "conn_string": address,
        "init_extension": False,
        "visibility_timeout": 120,
        "wait_time_seconds": 0,  # It would wait so long for each empty queue in its turn.
        "polling_interval": 0.2,
        "pool_size": 4,
    }
    return {"CELERY_BROKER_URL": "pgmq://localhost", "CELERY_BROKER_OPTIONS": json.dumps(options)}


def welcome(who: demo.Member, data: Path, *, payments: str) -> list[str]:
    """Tell what there is to know, and what to try next."""
    rows = [
        ("web", who.base_url),
        ("API", f"{who.base_url}/customers/balance, {who.base_url}{demo.OPERATION}"),
        ("e-mail", who.email),
        ("password", who.password),
        ("key", who.api_key),
        ("payments", payments or "Stripe's own, with your key"),
        ("pages", f"{who.base_url}/my/, {who.base_url}/my/runs"),
        ("for scripts", str(data / "demo.json")),
        ("mails", f"printed into {data / 'logs' / 'worker.log'}"),
        ("logs", str(data / "logs")),
    ]
    shown = [f"  {name:<16}{value}" for name, value in rows]
    lines = (demo.curl(who), demo.curl_credit(who), demo_run.curl_run(who))
    tries = [f"  {line}" for line in lines]
    return ["", "Up. Ctrl-C stops everything.", *shown, "", "Try:", *tries, ""]


def say(*lines: str) -> None:
    """Print at once: somebody is waiting."""
    print("\n".join(lines), flush=True)


if __name__ == "__main__":
    sys.exit(main())
