"""Which addresses of members are asked: the table of how one could try to reach what is inside."""

import socket
from ipaddress import IPv6Address, ip_address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.outside import dialing, guard

INSIDE = [
    # Plain.
    "127.0.0.1", "127.1.2.3", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1",
    "169.254.169.254", "169.254.170.2", "100.64.0.1", "100.100.100.200", "100.127.255.255",
    "0.0.0.0", "0.1.2.3", "192.0.0.192", "192.0.0.1", "198.18.0.1", "224.0.0.1", "239.255.255.250",
    "240.0.0.1", "255.255.255.255", "192.0.2.1", "198.51.100.1", "203.0.113.1", "168.63.129.16",
    "192.88.99.1",
    # IPv6, and IPv4 inside of it.
    "[::]", "[::1]", "[0:0:0:0:0:0:0:1]", "[fe80::1]", "[fc00::1]", "[fd00:ec2::254]", "[fec0::1]",
    "[ff02::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::ffff:8.8.8.8]",
    "[::ffff:0:127.0.0.1]",
    "[::127.0.0.1]", "[64:ff9b::7f00:1]", "[64:ff9b::10.0.0.1]", "[64:ff9b::8.8.8.8]",
    "[64:ff9b:1::a00:1]", "[2002:7f00:1::]", "[2002:808:808::]", "[2001::1]",
    "[2001:0:53aa:64c::1]", "[2001:db8::1]", "[3fff::1]", "[100::1]", "[5f00::1]",
]  # fmt: skip
IN_DISGUISE = [
    "2130706433", "0x7f000001", "0x7F.0x0.0x0.0x1", "0177.0.0.1", "017700000001", "127.1",
    "127.0.1",
    "127.0.0.01", "0127.0.0.1", "10.1", "1", "0", "0x", "127.0.0.0x1", "8.8.8.08", "4294967296",
    "256.256.256.256", "1.2.3.4.5", "127.0.0.1.", "localhost.", "[fe80::1%25eth0]", "[::1%251]",
    "example..org", ".example.org", "-example.org", "exa*mple.org", "a" * 64 + ".org",
    "%31%32%37.0.0.1", "[127.0.0.1]", "[::1", "[v1.x]",
]  # fmt: skip
BROKEN = [
    "", "x", "//example.org/a", "https:example.org", "https:///a", "https://", "https://:443/",
    "http://example.org/", "ftp://example.org/", "file:///etc/passwd", "gopher://example.org/",
    "data:,x", "javascript:alert(1)", "HTTP://example.org/", "https://example.org:80/",
    "https://example.org:8443/", "https://example.org:0/", "https://example.org:99999/",
    "https://example.org:port/", "https://user@example.org/", "https://user:pw@example.org/",
    "https://@example.org/", "https://example.org\\@127.0.0.1/", "https://example.org/\\x",
    "https://exam ple.org/", " https://example.org/", "https://example.org/a b",
    "https://example.org/\n", "https://example.org/\r\nX: y", "https://example.org/\0",
    "https://exam\tple.org/", "https://\uff45xample.org/", "https://①②⑦.⓪.⓪.①/",
    "https://example。org/", "https://example.org/ü", "https://127.0.0.1:443@example.org:x/",
    "https://example.org/" + "a" * 2000,
]  # fmt: skip


@pytest.mark.parametrize("host", INSIDE)
def test_what_is_inside_is_not_asked(host):
    with pytest.raises(guard.NotAllowed, match="public internet"):
        guard.read(f"https://{host}/a")


@pytest.mark.parametrize("host", IN_DISGUISE)
def test_an_address_in_disguise_is_not_asked(host):
    with pytest.raises(guard.NotAllowed):
        guard.read(f"https://{host}/a")


@pytest.mark.parametrize("text", BROKEN)
def test_what_is_no_plain_https_address_is_not_asked(text):
    with pytest.raises(guard.NotAllowed):
        guard.read(text)


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("https://Example.ORG", "https://example.org/"),
        ("https://example.org:443/a%2Fb?x=%20&y#z", "https://example.org/a%2Fb?x=%20&y"),
        ("https://example.org?x", "https://example.org/?x"),
        ("https://8.8.8.8/a", "https://8.8.8.8/a"),
        ("https://[2606:4700::1111]/a", "https://[2606:4700::1111]/a"),
        ("https://xn--bcher-kva.example/a", "https://xn--bcher-kva.example/a"),
    ],
)
def test_what_is_public_is_read_as_it_will_be_asked(text, whole):
    assert guard.read(text).url == whole


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_whatever_is_special_by_the_standard_library_is_not_public_here(number):
    """Ours is a list of its own; the library's of any version is at most as long."""
    address = ip_address(number)

    if not address.is_global or address.is_multicast or address.is_reserved:
        assert not guard.is_public(address)


@settings(deadline=None)
@given(st.integers(0, 2**128 - 1) | st.integers(0x20010000 << 96, (0x20020001 << 96) - 1))
def test_the_same_of_ipv6(number):
    address = IPv6Address(number)
    carries = address.ipv4_mapped or address.sixtofour or address.teredo

    if carries or not address.is_global or address.is_multicast:
        assert not guard.is_public(address)


class Names:
    """Answers about names as told, one answer after the other, and counts the questions."""

    def __init__(self, *answers):
        self.answers, self.asked = list(answers), 0

    async def __call__(self, host, port):
        self.asked += 1
        answer = self.answers[min(self.asked, len(self.answers)) - 1]
        if isinstance(answer, Exception):
            raise answer
        return answer


PUBLIC = ["93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946"]


async def test_a_name_is_looked_up_once_and_gives_what_is_connected_to():
    """Who answers otherwise to a second question is never asked it."""
    names = Names(PUBLIC, ["127.0.0.1"])

    addresses = await guard.look_up(guard.read("https://rebinding.example/"), by=names)
    resolver = dialing.Pinned(addresses)
    found = [await resolver.resolve("rebinding.example", 443) for _ in range(3)]

    assert names.asked == 1
    assert [[each["host"] for each in some] for some in found] == [PUBLIC] * 3
    assert [each["family"] for each in found[0]] == [socket.AF_INET, socket.AF_INET6]


@pytest.mark.parametrize("inside", [host.strip("[]") for host in INSIDE])
async def test_one_address_inside_among_many_refuses_the_name(inside):
    names = Names([*PUBLIC, *[f"93.184.216.{n}" for n in range(40, 140)], inside])

    with pytest.raises(guard.NotAllowed, match="public internet"):
        await guard.look_up(guard.read("https://many.example/"), by=names)


@pytest.mark.parametrize(
    "answer", [[], OSError("no"), TimeoutError(), UnicodeError("label"), ["fe80::1%eth0"]]
)
async def test_a_name_that_leads_nowhere_is_refused(answer):
    with pytest.raises(guard.NotAllowed):
        await guard.look_up(guard.read("https://nowhere.example/"), by=Names(answer))


async def test_what_the_operator_lists_may_be_anywhere_and_nothing_beside_it(settings):
    settings.OUTSIDE_ORIGINS = ["http://files.internal:9000", "https://[::1]"]

    ours = guard.read("http://files.internal:9000/a")

    assert ours.is_ours
    assert await guard.look_up(ours, by=Names(["10.0.0.9"])) == ["10.0.0.9"]
    assert guard.read("https://[::1]/x").is_ours
    for other in ("https://files.internal:9000/", "http://files.internal/", "http://10.0.0.9:9000/",
                  "http://files.internal:9001/", "http://x.files.internal:9000/"):  # fmt: skip
        with pytest.raises(guard.NotAllowed):
            guard.read(other)


def test_a_refusal_tells_nothing_of_what_is_inside():
    with pytest.raises(guard.NotAllowed) as refused:
        guard.read("https://10.20.30.40/")

    assert "10.20" not in str(refused.value)
