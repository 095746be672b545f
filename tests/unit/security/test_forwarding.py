"""The list of hops is walked from the right over trusted ones; what stands before them nobody believes."""

from __future__ import annotations

import pytest

from meristem.errors import ConfigurationError
from meristem.security.forwarding import ContradictionError, TrustedProxies, is_forwarded

PROXIES = TrustedProxies(["127.0.0.1", "10.0.0.0/8", "2001:db8::/32", "unix"])
HOME = ("203.0.113.7", 0)


def origin(peer, **fields):
    return PROXIES.origin(peer, [(name.replace("_", "-").encode(), value.encode()) for name, value in fields.items()])


@pytest.mark.parametrize(
    ("peer", "trusted"),
    [
        ("127.0.0.1", True),
        ("127.0.0.2", False),
        ("10.1.2.3", True),
        ("::ffff:10.1.2.3", True),
        ("11.0.0.1", False),
        ("2001:db8::5", True),
        ("2001:db9::5", False),
        (None, True),
        ("unknown", False),
    ],
)
def test_peers_are_trusted_by_address_and_network(peer, trusted):
    assert PROXIES.trusts(peer) is trusted
    assert not TrustedProxies([]).trusts(peer)


@pytest.mark.parametrize("entry", ["proxy.example", "10.0.0.1/8", "10.0.0.0/99", "", "*"])
def test_what_is_no_network_is_refused_with_what_to_write(entry):
    with pytest.raises(ConfigurationError, match="write an address"):
        TrustedProxies([entry])


@pytest.mark.parametrize(
    ("value", "client", "passed_on"),
    [
        ("203.0.113.7", HOME, "203.0.113.7"),
        ("203.0.113.7:4711", ("203.0.113.7", 4711), "203.0.113.7:4711"),
        ("203.0.113.7, 10.0.0.9", HOME, "203.0.113.7, 10.0.0.9"),
        ("1.1.1.1, 203.0.113.7, 10.0.0.9", HOME, "203.0.113.7, 10.0.0.9"),
        ("1.1.1.1,203.0.113.7", HOME, "203.0.113.7"),
        ("127.0.0.1, 203.0.113.7", HOME, "203.0.113.7"),
        ("10.0.0.1, 10.0.0.2", ("10.0.0.1", 0), "10.0.0.1, 10.0.0.2"),
        ("1.1.1.1, unknown, 10.0.0.2", ("10.0.0.2", 0), "10.0.0.2"),
        ("[2001:db9::1]:80", ("2001:db9::1", 80), "[2001:db9::1]:80"),
        ("2001:db9::1", ("2001:db9::1", 0), "2001:db9::1"),
        (" , 203.0.113.7 ,", HOME, "203.0.113.7"),
        ("nonsense", None, None),
        ("", None, None),
        ("203.0.113.7, " + "1.1.1.1, " * 5000 + "10.0.0.1", ("1.1.1.1", 0), "1.1.1.1, 10.0.0.1"),
    ],
)
def test_the_client_is_the_first_from_the_right_that_is_not_trusted(value, client, passed_on):
    found = origin("127.0.0.1", x_forwarded_for=value)

    assert found.client == client
    assert dict(found.fields).get(b"x-forwarded-for") == (passed_on and passed_on.encode())


@pytest.mark.parametrize(
    ("value", "client", "scheme", "host"),
    [
        ("for=203.0.113.7", HOME, None, None),
        ("for=203.0.113.7;proto=https;host=shop.example;by=10.0.0.1", HOME, "https", "shop.example"),
        ('For="203.0.113.7:4711" ; Proto=HTTPS', ("203.0.113.7", 4711), "https", None),
        ('for="[2001:db9::17]:47", for=10.0.0.1;proto=http', ("2001:db9::17", 47), None, None),
        ("for=1.1.1.1;proto=http;host=evil, for=203.0.113.7;proto=https;host=good", HOME, "https", "good"),
        ('for="203.0.113.7";host="a.b:8443"', HOME, None, "a.b:8443"),
        ("for=1.1.1.1, for=_hidden, for=10.0.0.2", ("10.0.0.2", 0), None, None),
        ("for=unknown;proto=https", None, None, None),
        ('for="203.0.113.7', None, None, None),
        ("for=203.0.113.7;host=a b", None, None, None),
        ('for=203.0.113.7;host="a/b";proto=gopher', HOME, None, None),
        ('for=1.1.1.1;x=", for=10.0.0.1", for=203.0.113.7', HOME, None, None),
        ('for="203.0\\.113.7"', HOME, None, None),
        (",,for=203.0.113.7,", HOME, None, None),
    ],
)
def test_the_standard_field_is_read_as_rfc_7239_writes_it(value, client, scheme, host):
    found = origin("10.0.0.1", forwarded=value)

    assert (found.client, found.scheme, found.host) == (client, scheme, host)
    assert all(name != b"forwarded" or b"1.1.1.1" not in text for name, text in found.fields)


@pytest.mark.parametrize(
    ("hops", "schemes", "scheme"),
    [
        ("203.0.113.7", "https", "https"),
        ("203.0.113.7, 10.0.0.1", "https", "https"),
        ("203.0.113.7, 10.0.0.1", "https, http", "https"),
        ("203.0.113.7", "https, http", "http"),
        ("1.1.1.1, 203.0.113.7, 10.0.0.1", "ftp, https, http", "https"),
        ("203.0.113.7", "gopher", None),
        ("", "https", "https"),
    ],
)
def test_the_scheme_is_what_the_farthest_trusted_proxy_says(hops, schemes, scheme):
    found = origin("127.0.0.1", x_forwarded_for=hops, x_forwarded_proto=schemes, x_forwarded_host="shop.example")

    assert (found.scheme, found.host) == (scheme, "shop.example")


def test_of_a_peer_that_is_not_trusted_nothing_gets_through():
    found = origin(
        "203.0.113.7",
        accept="a",
        forwarded="for=1.1.1.1",
        x_forwarded_for="1.1.1.1",
        x_forwarded_proto="https",
        x_forwarded_prefix="/x",
        x_real_ip="1.1.1.1",
    )

    assert found == (None, None, None, [(b"accept", b"a")])


def test_other_words_of_a_trusted_peer_get_through():
    found = origin(None, accept="a", x_forwarded_port="443", x_real_ip="1.1.1.1")

    assert dict(found.fields) == {b"accept": b"a", b"x-forwarded-port": b"443", b"x-real-ip": b"1.1.1.1"}


def test_a_client_that_adds_the_field_which_its_proxy_does_not_know_is_found_out():
    assert origin("127.0.0.1", forwarded="for=203.0.113.7:1", x_forwarded_for="203.0.113.7").client == HOME
    for spoofed in ("for=1.1.1.1", "for=unknown"):
        with pytest.raises(ContradictionError):
            origin("127.0.0.1", forwarded=spoofed, x_forwarded_for="203.0.113.7")


def test_of_a_standard_field_that_is_long_nothing_counts():
    long = "for=192.0.2.1," * 600

    assert origin("127.0.0.1", forwarded=f"{long}for=203.0.113.7").client is None
    assert origin("127.0.0.1", forwarded="for=192.0.2.1," * 500 + "for=203.0.113.7").client == HOME
    assert origin("127.0.0.1", forwarded=f"{long}for=1.1.1.1", x_forwarded_for="203.0.113.7").client == HOME


def test_lines_of_one_field_are_one_list():
    fields = [(b"x-forwarded-for", b"1.1.1.1"), (b"x-forwarded-for", b"203.0.113.7"), (b"x-forwarded-for", b"10.0.0.1")]

    assert PROXIES.origin("127.0.0.1", fields).client == HOME


@pytest.mark.parametrize("peer", ["1.1.1.1", "10.1.2.3"])
@pytest.mark.parametrize("name", [b"x-meristem-user", b"x_meristem_user", b"x-meristem_roles", b"x-meristem-anything"])
def test_who_sends_a_request_is_believed_of_nobody_not_even_of_a_trusted_proxy(peer, name):
    fields = [(b"x-forwarded-for", b"2.2.2.2"), (name, b"root"), (b"x-meristematic", b"1")]
    found = TrustedProxies(["10.0.0.0/8"]).origin(peer, fields)
    assert is_forwarded(name)
    assert name not in dict(found.fields)
    assert dict(found.fields)[b"x-meristematic"] == b"1"
