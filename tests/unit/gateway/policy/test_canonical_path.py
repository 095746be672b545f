"""A path has one spelling: the one that is looked at is the one that is served, and what has two is refused."""

from __future__ import annotations

from urllib.parse import unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meristem.gateway.policy.canonical_path import UnsoundPathError, canonical_path


@pytest.mark.parametrize(
    ("sent", "served", "seen"),
    [
        (b"/admin/x", b"/admin/x", b"/admin/x"),
        (b"/%61dmin/x", b"/admin/x", b"/admin/x"),
        (b"//admin///x", b"/admin/x", b"/admin/x"),
        (b"/./admin/./x", b"/admin/x", b"/admin/x"),
        (b"/y/../admin/x", b"/admin/x", b"/admin/x"),
        (b"/y/%2e%2E/admin/x", b"/admin/x", b"/admin/x"),
        (b"/../../admin/x", b"/admin/x", b"/admin/x"),
        (b"/admin/..", b"/", b"/"),
        (b"/a/b/..", b"/a/", b"/a/"),
        (b"/a/b/", b"/a/b/", b"/a/b/"),
        (b"/admin%2fx", b"/admin%2Fx", b"/admin/x"),
        (b"/admin%5cx", b"/admin%5Cx", b"/admin/x"),
        (b"/admin\\x", b"/admin\\x", b"/admin/x"),
        (b"/admin;v=1/x", b"/admin;v=1/x", b"/admin/x"),
        (b"/%2561dmin/x", b"/%2561dmin/x", b"/%61dmin/x"),
        (b"/caf%C3%A9", b"/caf%C3%A9", b"/caf\xc3\xa9"),
        (b"/.well-known/x", b"/.well-known/x", b"/.well-known/x"),
        (b"*", b"*", b"*"),
    ],
)
def test_each_spelling_becomes_one(sent: bytes, served: bytes, seen: bytes):
    assert canonical_path(sent) == (served, seen)
    assert canonical_path(served) == (served, seen), "in canonical form it stays as it is"


@pytest.mark.parametrize(
    "sent",
    [b"/x%2f..%2fadmin/", b"/%2Fadmin/", b"/x/..%5cadmin", b"/x\\..\\admin", b"/x/..;/admin/", b"/x/;/admin/",
     b"/admin%00/x", b"/%zz", b"/100%", b"/%c0%afadmin", b"/%ff"],
)  # fmt: skip
def test_what_has_two_readings_is_refused(sent: bytes):
    with pytest.raises(UnsoundPathError):
        canonical_path(sent)


PIECES = st.sampled_from(
    ["/", "//", ".", "..", "%2e", "%2E", "%2f", "%5c", "\\", ";", "%3b", "admin", "%61dmin", "a", "%25", "%252e", "x"]
)


@settings(deadline=None)
@given(st.lists(PIECES, max_size=12))
def test_what_an_app_reads_out_of_it_lies_where_the_policy_has_looked(pieces: list[str]):
    """Whoever decodes what is served, and then resolves dots and slashes, comes to what was seen."""
    try:
        served, seen = canonical_path(b"/" + "".join(pieces).encode())
    except UnsoundPathError:
        return
    for reading in (unquote(served.decode()), unquote(served.decode()).replace("\\", "/")):
        where = [each.partition(";")[0] for each in reading.split("/")]
        resolved: list[str] = []
        for each in where:
            if each == "..":
                resolved[-1:] = []
            elif each not in ("", "."):
                resolved.append(each)
        if "\\" not in reading:
            assert resolved == [each for each in seen.decode().split("/") if each]
