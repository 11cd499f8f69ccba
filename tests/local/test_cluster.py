"""`dev.py cluster`, as far as it can be tested without its programs."""

import os
import subprocess
import time

import pytest
import yaml

from local.cluster import needs, prove, rendering, running, starting
from local.cluster.ledger import Ask, Row, Try, judge, longest_gap
from local.cluster.member import Member, family, hold_still, postmaster
from local.cluster.places import MACHINES, PORTS, Places
from local.cluster.scenes import SCENES
from local.supervisor import Failed

PASSWORDS = {role: f"password-of-{role}" for role in running.ROLES}


@pytest.fixture
def places(tmp_path):
    return Places(tmp_path, 21500)


def patroni(places, machine):
    text = rendering.patroni(
        places,
        machine,
        programs=places.folder / "bin",
        passwords=PASSWORDS,
        tls=places.folder / "tls",
    )
    return yaml.safe_load(text)


# --- What is told to whom ----------------------------------------------------------------------


def test_nobody_shares_a_port(places):
    of_machines = ("web", "etcd", "peer", "postgres", "patroni", "redis", "sentinel")
    ports = [getattr(places, name)(n) for name in of_machines for n in MACHINES]
    ports += [places.link(n, to) for n in MACHINES for to in MACHINES]
    ports += [places.https, places.http, places.leader, places.sandbox, places.s3]

    assert len(set(ports)) == len(ports)
    assert all(places.base <= port < places.base + PORTS for port in ports)


@pytest.mark.parametrize("machine", MACHINES)
def test_a_patroni_is_the_one_of_deploy_at_places_of_its_own(places, machine):
    ours, deploys = patroni(places, machine), yaml.safe_load(rendering.read("postgres/patroni.yml"))

    assert ours["name"] == f"pg{machine}"
    assert ours["postgresql"]["listen"] == f"127.0.0.1:{places.postgres(machine)}"
    assert ours["restapi"]["connect_address"] == f"127.0.0.1:{places.patroni(machine)}"
    assert ours["etcd3"]["hosts"] == [f"127.0.0.1:{places.link(machine, to)}" for to in MACHINES]
    kept, given = ours["bootstrap"]["dcs"], deploys["bootstrap"]["dcs"]
    for dcs in (kept, given):
        parameters = dcs["postgresql"].pop("parameters")
        assert parameters["synchronous_commit"] == "on"
    assert kept == given


def test_who_comes_by_the_rules_of_patroni_finds_the_tls_that_they_want(places):
    """Without it `hostssl` lets nobody in, the standby neither."""
    told = patroni(places, 1)["postgresql"]

    assert all(rule.startswith(("local", "hostssl")) for rule in told["pg_hba"])
    assert told["parameters"]["ssl"] == "on"
    assert told["parameters"]["ssl_key_file"] == str(places.folder / "tls" / "server.key")


def test_three_etcds_know_each_other(places):
    told = [rendering.etcd(places, machine) for machine in MACHINES]

    assert len({each["ETCD_INITIAL_CLUSTER"] for each in told}) == 1
    for machine, each in zip(MACHINES, told, strict=True):
        mine = f"e{machine}=http://127.0.0.1:{places.peer(machine)}"
        assert mine in each["ETCD_INITIAL_CLUSTER"].split(",")
        assert each["ETCD_NAME"] == f"e{machine}"
        assert each["ETCD_LISTEN_CLIENT_URLS"] == f"http://127.0.0.1:{places.etcd(machine)}"
        assert each["ETCD_LISTEN_PEER_URLS"] == f"http://127.0.0.1:{places.peer(machine)}"
        assert f"etcd{machine}/" in each["ETCD_DATA_DIR"]


def test_the_first_redis_is_master_and_the_others_follow_it(places):
    follow = f"\nreplicaof 127.0.0.1 {places.redis(1)}"

    told = [rendering.redis(places, machine, password="secret") for machine in MACHINES]

    assert [follow in each for each in told] == [False, True, True]
    for machine, each in zip(MACHINES, told, strict=True):
        assert f"port {places.redis(machine)}\n" in each
        assert "requirepass secret\n" in each


def test_what_a_unit_of_systemd_starts_is_what_runs(places):
    words = rendering.command("rest", starting.unit_pairs(places, "rest", 2))

    assert words[1:5] == ["-m", "celery", "-A", "config.celery"]
    assert words[words.index("-n") + 1] == "rest2@%h"
    assert "default,beat,calls,money" in words
    beat = rendering.command("beat", starting.unit_pairs(places, "beat", 1))
    assert beat[-1] == str(places.own("beat1") / "beat-schedule")


@pytest.mark.parametrize("unit", ["web", "rest", "jobs", "beat"])
def test_every_unit_can_be_told(places, unit):
    assert "/opt/" not in " ".join(rendering.command(unit, starting.unit_pairs(places, unit, 1)))


def test_a_file_of_deploy_that_changed_is_not_taken_for_what_it_was(places):
    with pytest.raises(rendering.Unlike, match="any more"):
        rendering.swapped("bind :8080", {"bind :443": "bind 127.0.0.1:1"})
    with pytest.raises(rendering.Unlike, match=r"10\.0\.0\.77"):
        rendering.swapped("bind :443\nserver new 10.0.0.77:8000", {"bind :443": "bind :1"})


def test_a_folder_of_something_else_is_left_alone(places):
    (places.folder / "thesis.txt").write_text("ten years")

    with pytest.raises(Failed, match="no cluster's"):
        running.prepare(places, fresh=True)

    assert (places.folder / "thesis.txt").exists()


def test_a_second_start_goes_on_with_what_there_is_unless_it_shall_not(places):
    first = running.prepare(places, fresh=False)
    (places.folder / "of-the-first").write_text("")

    assert running.prepare(places, fresh=False) == first
    assert (places.folder / "of-the-first").exists()
    assert running.prepare(places, fresh=True)["passwords"] != first["passwords"]
    assert not (places.folder / "of-the-first").exists()
    elsewhere = Places(places.folder, places.base + PORTS)
    assert running.prepare(elsewhere, fresh=False)["base"] == elsewhere.base


def test_what_is_missing_is_said_in_one_line(monkeypatch):
    monkeypatch.setattr(needs, "find", lambda: dict.fromkeys(needs.PACKAGES, ""))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    with pytest.raises(Failed, match=r"missing: etcd-server.*apt-get install.*python3-etcd"):
        needs.programs(say=print)


# --- By the programs themselves ----------------------------------------------------------------


def needs_program(name):
    return needs.find()[name] or pytest.skip(f"{needs.PACKAGES[name]} is not installed")


@pytest.mark.slow
def test_patroni_takes_its_file(places):
    file = places.folder / "patroni.yml"
    told = patroni(places, 1)
    program = needs_program("patroni")
    told["postgresql"]["bin_dir"] = os.path.dirname(needs_program("postgres"))
    file.write_text(yaml.safe_dump(told))
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}

    done = subprocess.run(
        [program, "--validate-config", str(file)],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )

    said = done.stdout + done.stderr
    complaints = [line for line in said.splitlines() if "is not a" in line or "missing" in line]
    # It looks whether somebody listens at the addresses: not here.
    assert not [line for line in complaints if "didn't pass" not in line], said


@pytest.mark.slow
@pytest.mark.parametrize("render", [rendering.link, rendering.haproxy])
def test_haproxy_takes_its_files(places, render, tmp_path):
    program = needs_program("haproxy")
    from local import certificates

    made = certificates.for_name(tmp_path / "made", "localhost")
    tls = tmp_path / "haproxy"
    tls.mkdir()
    (tls / "localhost.pem").write_text(made.chain.read_text() + made.key.read_text())
    file = tmp_path / "own.cfg"
    file.write_text(render(places, 1) if render is rendering.link else render(places, tls=tls))

    done = subprocess.run(
        [program, "-c", "-f", str(file)], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr


# --- Who is killed, and who stands still -------------------------------------------------------


def sleeper(tmp_path, script="sleep 60 & wait"):
    return Member("sleeper", ["sh", "-c", script], logs=tmp_path, environment=dict(os.environ))


def state_of(pid):
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0]


def test_who_is_kept_down_is_not_dead_to_who_looks_after_it(tmp_path):
    member = sleeper(tmp_path)
    member.start()

    member.down()

    assert member.poll() is None, "so it is not started again"
    member.up()
    assert member.pid is not None
    assert state_of(member.pid) in "SR"
    member.stop(1)


def test_a_killed_member_is_dead_to_who_looks_after_it(tmp_path):
    member = sleeper(tmp_path)
    member.start()

    member.kill()

    end = time.monotonic() + 10
    while member.poll() is None and time.monotonic() < end:
        time.sleep(0.01)
    assert member.poll() == -9
    member.stop(1)


def test_who_stands_still_goes_on_by_itself(tmp_path):
    """Whatever becomes of whoever had it stand still."""
    member = sleeper(tmp_path)
    member.start()
    time.sleep(0.3)
    both = family(member.pid)
    assert len(both) == 2

    hold_still(both, 1)

    end = time.monotonic() + 10
    while {state_of(pid) for pid in both} != {"T"} and time.monotonic() < end:
        time.sleep(0.01)
    assert {state_of(pid) for pid in both} == {"T"}
    while "T" in {state_of(pid) for pid in both} and time.monotonic() < end:
        time.sleep(0.05)
    assert "T" not in {state_of(pid) for pid in both}
    member.stop(1)


def test_a_number_in_an_old_file_is_not_taken_for_a_postgresql(tmp_path):
    (tmp_path / "postmaster.pid").write_text(f"{os.getpid()}\n")

    assert postmaster(tmp_path / "elsewhere") is None
    assert postmaster(tmp_path) is None


# --- The ledger --------------------------------------------------------------------------------

COST = 10_000
TOLD = "2.11"


def ask(name="a", *tries, wallet="w", scene="primary"):
    return Ask(name, wallet, scene, 0.0, list(tries))


def answered(call, *, said=TOLD, at=1.0):
    return Try(at, 200, call=call, credits=said)


def row(call, name="a", *, wallet="w", charged=COST, entries=(COST,)):
    return Row(call, name, wallet, charged, entries)


def told(asks, rows):
    return judge(asks, rows)


def only(found, kind):
    """The one thing that is wrong, in that way and no other."""
    lines = [line for each in found.values() for line in each.lines()]
    assert len(lines) == 1, lines
    assert lines[0].startswith(f"{kind}: "), lines
    return lines[0]


def test_an_answer_with_its_call_and_its_money_is_right():
    found = told([ask("a", Try(0.5, 503), answered("c1"))], [row("c1")])

    assert found["primary"].is_clean


def test_a_repeat_that_was_answered_from_the_first_is_the_same():
    """A try that came to nothing may stand beside it, uncharged."""
    rows = [row("c0", charged=0, entries=()), row("c1")]

    assert told([ask("a", Try(1, 0), answered("c1"), answered("c1"))], rows)["primary"].is_clean


def test_an_answer_without_a_call_is_lost():
    assert "c1" in only(told([ask("a", answered("c1"))], []), "lost")


@pytest.mark.parametrize(
    "wrong",
    [
        row("c1", charged=0, entries=()),
        row("c1", entries=()),
        row("c1", charged=2 * COST, entries=(2 * COST,)),
        row("c1", entries=(COST - 1,)),
    ],
)
def test_an_answer_without_its_money_is_lost(wrong):
    only(told([ask("a", answered("c1"))], [wrong]), "lost")


def test_an_answer_of_another_wallet_is_lost():
    only(told([ask("a", answered("c1"))], [row("c1", wallet="another")]), "lost")


def test_two_charged_calls_of_one_ask_are_doubled():
    found = told([ask("a", Try(1, 0), answered("c2"))], [row("c1"), row("c2")])

    assert "c1, c2" in only(found, "doubled")


def test_two_entries_of_one_call_are_doubled():
    found = told([ask("a", answered("c1", said="4.22"))], [
        row("c1", charged=2 * COST, entries=(COST, COST)),
    ])  # fmt: skip

    only(found, "doubled")


def test_an_answer_that_two_asks_had_is_doubled():
    found = told([ask("a", answered("c1")), ask("b", answered("c1"))], [row("c1")])

    assert len(found["primary"].doubled) == 2
    assert found["primary"].lost, "and the second has no call of its own"


def test_a_charge_without_an_answer_is_unexplained():
    unknown = ask("a", Try(1, 422, code="outcome_unknown"))

    only(told([unknown], [row("c1")]), "unexplained")


def test_a_charge_that_nobody_asked_for_is_unexplained():
    found = told([ask("a", answered("c1"))], [row("c1"), row("c9", "nobodys")])

    assert "nobodys" in only(found, "unexplained")
    assert found[""].unexplained


def test_an_outcome_that_is_unknown_costs_nothing_and_is_an_answer():
    found = told([ask("a", Try(1, 422, code="outcome_unknown"))], [
        row("c1", charged=0, entries=()),
    ])  # fmt: skip

    assert found["primary"].is_clean


def test_who_never_had_an_answer_is_told_of():
    only(told([ask("a", Try(1, 503), Try(2, 503))], []), "unanswered")


def test_the_longest_gap_has_the_ends_of_its_span():
    assert longest_gap([1, 2, 5], 0, 6) == 3
    assert longest_gap([], 10, 14) == 4
    assert longest_gap([11, 99], 10, 14) == 3


# --- What is told of it ------------------------------------------------------------------------


class Books:
    """Stands for a cluster whose books hold what they are told, and that reconcile says so of."""

    def __init__(self, monkeypatch, asks, rows, *, held=0, reconciles=True):
        self.reconciles = reconciles
        self.asks = asks
        monkeypatch.setattr(prove, "held", lambda _: held)
        self.rows = rows
        self.files = []

    def successes(self):
        return [each.at for one in self.asks for each in one.tries if each.status == 200]

    def manage(self, *words):
        assert words == ("reconcile",)
        if not self.reconciles:
            raise Failed("`manage.py reconcile` failed:\nDIFFERS wallets")
        return "ok      wallets (3 rows)\nok      holds (0 rows)\n"

    def status(self):
        spans = {"primary": (0.0, 5.0)}
        printed = []
        status = prove.conclude(self, self, spans, self.rows, say=printed.append)
        return status, "\n".join(printed)


def test_a_scene_in_which_nobody_was_answered_proves_nothing(monkeypatch):
    status, printed = Books(monkeypatch, [], []).status()

    assert status == 1
    assert "nobody was answered" in printed


def test_the_table_tells_of_each_scene(monkeypatch):
    asks = [ask("a", Try(0.5, 503), answered("c1")), ask("b", answered("c2", at=4.5))]
    status, printed = Books(monkeypatch, asks, [row("c1"), row("c2", "b")]).status()

    assert status == 0
    assert f"| {SCENES['primary'].title} | 3.5 s | 4.5 s | 2 | 1 | 0 | 0 |" in printed
    assert "reconcile: 2 proofs, all clean" in printed


@pytest.mark.parametrize(
    ("rows", "more"),
    [
        ([], {}),
        ([row("c1"), row("c2")], {}),
        ([row("c1"), row("c9", "nobodys")], {}),
        ([row("c1")], {"held": 1}),
        ([row("c1")], {"reconciles": False}),
    ],
    ids=["lost", "doubled", "unexplained", "held", "differs"],
)
def test_whatever_is_wrong_is_the_exit_status(monkeypatch, rows, more):
    status, printed = Books(monkeypatch, [ask("a", answered("c1"))], rows, **more).status()

    assert status == 1
    assert printed


def test_a_file_that_is_gone_is_the_exit_status(monkeypatch):
    books = Books(monkeypatch, [ask("a", answered("c1"))], [row("c1")])
    from local.cluster.load import File

    books.files = [File("http://127.0.0.1:9/gone", b"content")]

    assert books.status()[0] == 1
    assert "gone" in books.status()[1]
