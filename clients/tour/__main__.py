"""Run paid nodes of every vendor, and compare: `python3 -m clients.tour ADDRESS --key KEY`.

The ComfyUI at ADDRESS (like http://127.0.0.1:8188) runs two nodes of each vendor of the platform,
one after the other, on small files that it is given; then a line for each says what was charged,
and between what and what the platform's quote had it. Against a real platform this costs what it
says. `--all` runs every paid node that ComfyUI has, `--quote` none: it only says what each costs.
A node whose vendor has withdrawn what it calls is refused by the platform, as it should be: the
line says so, and another of that vendor is run in its place.

The platform is the one that the ComfyUI tells its page of, or `--platform`. The key needs the
scopes `proxy` and `usage:read`. A certificate of one's own is trusted by SSL_CERT_FILE. The exit
status is 1 unless all is well.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from dataclasses import dataclass, field
from decimal import Decimal

from clients.tour import materials
from clients.tour.comfy import Comfy, Refused, asked
from clients.tour.graph import Impossible, Workflow

OF_EACH = 2
SETTLED_SECONDS = 20
WITHDRAWN = re.compile(r"\bwithdrew\b|\bhas ended\b")
"""How the platform says it."""
HEAD = ("vendor", "node", "charged", "expected", "seconds", "")


@dataclass
class Platform:
    """The platform, as the owner of a key sees it."""

    address: str
    key: str
    seen: set[str] = field(default_factory=set)

    def vendors(self) -> dict[str, tuple[str, str]]:
        """Return of each paid node whose it is, and what it calls."""
        listed = asked(f"{self.address}/prices")["operations"]
        return {node: (each["vendor"], each["route"]) for each in listed for node in each["nodes"]}

    def quote(self, prompt: dict) -> tuple[int, int, bool]:
        """Return the least and the most of a workflow in micros, and whether that is sure."""
        told = asked(f"{self.address}/v1/quote", {"prompt": prompt}, {"X-API-KEY": self.key})
        sure = told["is_complete"] and all(each["is_exact"] for each in told["nodes"])
        least, most = (int(told["total"][name]["micros"]) for name in ("least", "most"))
        return least, most, sure

    def charged(self, job: str = "") -> int:
        """Return what the calls of a workflow cost that were not yet seen, in micros.

        A platform is not told the workflow by an old ComfyUI: its calls are whoever is here's.
        """
        query = "limit=100&filter=api_usage_completed"
        events = asked(f"{self.address}/customers/events?{query}", None, {"X-API-KEY": self.key})
        fresh = [each for each in events["events"] if each["event_id"] not in self.seen]
        self.seen |= {each["event_id"] for each in fresh}
        mine = [each["params"] for each in fresh if each["params"].get("job_id") in (None, job)]
        return sum(int(each["charge_micro_usd"]) for each in mine)


@dataclass
class Visit:
    """One node, and what came of it."""

    vendor: str
    node: str
    charged: int = 0
    least: int = 0
    most: int = 0
    is_sure: bool = False
    seconds: float = 0.0
    problem: str = ""

    @property
    def is_ok(self) -> bool:
        """Whether it made something, at a price within its quote, where that is sure."""
        if self.is_withdrawn:
            return self.charged == 0
        return not self.problem and (self.is_within or not self.is_sure)

    @property
    def is_withdrawn(self) -> bool:
        """Whether it was refused because there is no such thing any more."""
        return WITHDRAWN.search(self.problem) is not None

    @property
    def is_within(self) -> bool:
        """Whether the price is one that was to be expected."""
        return self.least <= self.charged <= self.most

    def line(self) -> tuple[str, ...]:
        """Return its line of the table."""
        span = usd(self.least) + (f" to {usd(self.most)}" if self.most != self.least else "")
        good = "ok" if self.is_ok else f"NOT OK {self.problem or 'another price'}"
        if self.is_ok and self.is_withdrawn:
            good = f"ok, withdrawn: {self.problem}"
        told = span if self.is_sure else f"about {span}"
        return (self.vendor, self.node, usd(self.charged), told, f"{self.seconds:.0f}", good)


def usd(micros: int) -> str:
    """Return micros as dollars."""
    return f"{(Decimal(micros) / 1_000_000).normalize():f}"


def files_of(comfy: Comfy, run: int) -> dict[str, str]:
    """Give the ComfyUI the files of this run; return what its loaders call them."""
    files = {
        "picture": comfy.upload("tour.png", materials.picture(run)),
        "sound": comfy.upload("tour.wav", materials.sound(run)),
        "model": comfy.upload("tour.glb", materials.model(run), "3d"),
        "fbx": comfy.upload("tour.fbx", materials.FBX, "3d"),
    }
    outputs = comfy.run(materials.video(files["picture"], files["sound"]))
    (made,) = [each for kept in outputs.values() for each in kept.get("images", kept.get("video"))]
    files["video"] = comfy.upload("tour.mp4", comfy.file(made))
    comfy.forget()
    return files


def chosen(
    known: dict, vendors: dict, options: argparse.Namespace
) -> tuple[list[tuple[str, str]], dict[str, list[str]]]:
    """Return which nodes are run, vendor and name, and by vendor those that might be instead."""
    there = sorted((vendors[name][0], name) for name in known if name in vendors)
    if options.node:
        return [each for each in there if each[1] in options.node], {}
    if options.vendor:
        there = [each for each in there if each[0] in options.vendor]
    if options.all:
        return there, {}
    wanted: list[tuple[str, str]] = []
    spare: dict[str, list[str]] = {}
    for vendor in dict.fromkeys(each[0] for each in there):
        names = [name for whose, name in there if whose == vendor]
        names.sort(key=lambda name: bool(known[name].get("deprecated")))
        routes = {vendors[name][1]: name for name in reversed(names)}
        apart = [*reversed(routes.values())]  # One of each route first: they differ most.
        rest = [name for name in names if name not in apart]
        wanted += [(vendor, name) for name in (apart + rest)[:OF_EACH]]
        spare[vendor] = (apart + rest)[OF_EACH:]
    return wanted, spare


def visit(comfy: Comfy, platform: Platform, made: Visit, prompt: dict) -> Visit:
    """Run one node to its end."""
    begun = time.monotonic()
    try:
        made.least, made.most, made.is_sure = platform.quote(prompt)
        comfy.run(prompt)
    except (Refused, OSError) as why:
        made.problem = " ".join(f"{why}".split())
    made.seconds = time.monotonic() - begun
    end = time.monotonic() + (0 if made.problem else SETTLED_SECONDS)
    made.charged = platform.charged(comfy.job)
    while not made.is_within and made.is_sure and time.monotonic() < end:
        time.sleep(1)  # Some are settled a moment after their node has what it wanted.
        made.charged += platform.charged(comfy.job)
    return made


def tour(comfy: Comfy, platform: Platform, options: argparse.Namespace) -> list[Visit]:
    """Visit each node that was chosen, and print a line for each as it ends."""
    known, run = comfy.nodes(), int(time.time()) % 10**9
    files = files_of(comfy, run)
    platform.charged()  # From here on what is new is ours.
    visits: list[Visit] = []
    waiting, spare = chosen(known, platform.vendors(), options)
    while waiting:
        vendor, name = waiting.pop(0)
        made = Visit(vendor, name)
        try:
            prompt = Workflow(known, files, run + len(visits)).around(name)
        except Impossible as why:
            made.problem = f"{why}"
        else:
            if options.quote:
                made.least, made.most, made.is_sure = platform.quote(prompt)
            else:
                visit(comfy, platform, made, prompt)
        print("  ".join(made.line()), file=sys.stderr, flush=True)
        visits.append(made)
        if made.is_withdrawn and spare.get(vendor):
            waiting.insert(0, (vendor, spare[vendor].pop(0)))
    return visits


def table(visits: list[Visit]) -> str:
    """Return what is printed in the end."""
    rows = [HEAD, *(each.line() for each in visits)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(HEAD) - 1)] + [0]
    lines = ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) for row in rows]
    good = sum(each.is_ok for each in visits)
    return "\n".join([*lines, f"{good} of {len(visits)} are ok."])


def main() -> int:
    """Read the arguments, run, and print the table."""
    parser = argparse.ArgumentParser(prog="clients.tour", description=__doc__)
    parser.add_argument("comfy", metavar="ADDRESS")
    parser.add_argument("--key", required=True)
    parser.add_argument("--platform", default="", help="else as the ComfyUI says")
    parser.add_argument("--all", action="store_true", help="every paid node")
    parser.add_argument("--vendor", action="append", help="only of this one; may be repeated")
    parser.add_argument("--node", action="append", help="only this one; may be repeated")
    parser.add_argument("--quote", action="store_true", help="run none, only ask what each costs")
    options = parser.parse_args()
    comfy = Comfy(options.comfy, options.key)
    try:
        platform = Platform((options.platform or comfy.platform()).rstrip("/"), options.key)
        print(f"ComfyUI {comfy.version()}, {platform.address}", flush=True)
        visits = tour(comfy, platform, options)
    except (Refused, OSError, ValueError, KeyError) as why:
        print(f"The tour could not be made: {why}", file=sys.stderr)
        return 1
    print(table(visits))
    return 0 if visits and all(each.is_ok for each in visits) else 1


if __name__ == "__main__":
    sys.exit(main())
