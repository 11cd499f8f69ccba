"""Runs without a machine: what the runner writes, step by step, and calls inside as the proxy's."""

from __future__ import annotations

import uuid

import orjson
from runs_stage import by, picture


def worker(*members, per_second=10_000, per_output=0, minimum=0, **more):
    """Register a machine that was seen to be up; nobody is at its address."""
    from accounts.models import User
    from runs import workers
    from runs.models import Worker
    from sandbox.comfy_worker.nodes import NODES

    name = f"w-{uuid.uuid4().hex[:12]}"
    staff = User.objects.create(email=f"{name}@example.org", is_staff=True)
    terms = workers.Terms(
        base_url=f"http://{name}.invalid",
        accelerator="cpu",
        micros_per_second=per_second,
        micros_per_output=per_output,
        minimum_micros=minimum,
        reserved_for=tuple(each.workspace_id for each in members),
        **more,
    )
    made = workers.add(name, terms, by=staff.pk, reason="test")
    workers.note_nodes(made, {each: said for each, (_, said) in NODES.items()})
    Worker.objects.filter(pk=made.pk).update(health="up")
    return made


def clear():
    """Leave no such machine to the runner of a later test, and nothing on one."""
    from runs import ending
    from runs.models import ENDED, Run, Worker

    here = Worker.objects.filter(base_url__endswith=".invalid").exclude(state="removed")
    for run in Run.objects.filter(worker__in=here).exclude(state__in=ENDED):
        verdict = ending.Verdict(state="failed", code="test", message="over", ours=True)
        ending.finish(run.pk, run.prompt_id, verdict)
    here.update(state="removed")


def calling():
    """A graph with a node that can spend."""
    graph = picture()
    inputs = {"image": ["1", 0], "path": "/proxy/sandbox/v1/image", "body": "{}"}
    graph["5"] = {"class_type": "DemoCall", "inputs": inputs}
    graph["9"]["inputs"]["images"] = ["5", 0]
    return graph


def submitted(member, graph=None, **more):
    from runs import core

    return core.submit(by(member), core.Ask(graph=graph or picture(), **more))


def begun(machine):
    """Have a machine get its next run, and begin; return it, and the key that its nodes have."""
    from runs import books, scheduler

    run = scheduler.claim(machine.pk)
    assert run is not None
    key = books.sending(run)
    assert key is not None
    assert books.is_running(run)
    return books.now(run.pk), key


def output(run, position=0, *, kind="output", paid=True):
    """A file as it was collected; nothing lies there."""
    from runs.models import Output

    return Output(
        id=uuid.uuid4(),
        run=run,
        workspace_id=run.workspace_id,
        position=position,
        node_id="9",
        section="images",
        name="a.png",
        kind=kind,
        is_paid=paid and kind == "output",
        content_type="image/png",
        size_bytes=1,
        sha256="0" * 64,
    )


def end(run, gpu_ms=1000, *, state="succeeded", files=0, code="", ours=False):
    """End a run as its machine tells; return whether that ended it."""
    from runs import ending

    verdict = ending.Verdict(
        state=state,
        code=code or ("" if state == "succeeded" else ending.NODE_FAILED),
        gpu_ms=gpu_ms,
        files=[output(run, n) for n in range(files)],
        ours=ours,
    )
    return ending.finish(run.pk, run.prompt_id, verdict)


def call(key, micros):
    """Have a node inside place a hold by the run's key, in the proxy's own statement.

    Returns its answer: the place in the list, the wallet, the verdict, what is available.
    """
    from django.db import connection

    from apikeys import budgets, callers
    from proxy import sql

    (asked,) = callers.by_key(key, "127.0.0.1").asked()
    ask = {
        **asked, "n": 1, "hold": str(uuid.uuid4()), "amount": micros, "ttl": 600,
        "vendor": "sandbox", "paced": True, "keyed": False, "book": None,
        "memo": {"vendor": "sandbox", "operation": "x", "run": "as the machine says"},
    }  # fmt: skip
    while True:
        with connection.cursor() as cursor:
            cursor.execute(sql.PLACE, [orjson.dumps([ask]).decode()])
            row = cursor.fetchone()
        if row[2] != "renew":
            return row
        at_once(budgets._renew(Here(), orjson.dumps([asked]).decode()))


class Here:
    """This thread's own connection, as who speaks asynchronously has one."""

    async def execute(self, sql, parameters=()):
        from django.db import connection

        with connection.cursor() as cursor:
            cursor.execute(sql, parameters)
            self._rows = cursor.fetchall() if cursor.description else []
        return self

    async def fetchall(self):
        return self._rows


def at_once(work):
    """Do what never waits, without a loop."""
    try:
        work.send(None)
    except StopIteration as over:
        return over.value
    raise AssertionError("it waited")


def settled(hold, charged, *, outcome="delivered"):
    """End a call's hold as the proxy does."""
    from django.db import connection

    from proxy import sql

    ask = {
        "hold": str(hold.pk), "wallet": str(hold.account_id), "charged": charged,
        "only_expired": False, "silent": False, "outcome": outcome, "reason": "", "status": 200,
        "attempts": 1, "vendor_job_id": "", "vendor_request_id": "", "details": {},
        "is_job": False, "answer": None,
    }  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(sql.SETTLE, [orjson.dumps([ask]).decode()])
        return cursor.fetchone()
