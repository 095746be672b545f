"""A path finds what was put there; a placeholder stands for a segment, or for a part of one."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meristem.errors import WiringError
from meristem.transports.http.rest.router import Router


@pytest.fixture
def router() -> Router[str]:
    made: Router[str] = Router()
    for path in (
        "/invoices/{id}", "/invoices/{id}.pdf", "/invoices/latest.pdf", "/invoices/{id}.pdf/pages",
        "/days/{begin}..{end}", "/days/{begin}", "/files/{name}.{ending}", "/v{number}/{id}", "/a-{id}-b",
    ):  # fmt: skip
        made.add("GET", path, path)
    return made


@pytest.mark.parametrize(
    ("path", "found", "bound"),
    [
        ("/invoices/7", "/invoices/{id}", ["7"]),
        ("/invoices/7.pdf", "/invoices/{id}.pdf", ["7"]),
        ("/invoices/7%2Epdf", "/invoices/{id}.pdf", ["7"]),
        ("/invoices/a.b.pdf", "/invoices/{id}.pdf", ["a.b"]),
        ("/invoices/a%2Fb.pdf", "/invoices/{id}.pdf", ["a/b"]),
        ("/invoices/latest.pdf", "/invoices/latest.pdf", []),
        ("/invoices/.pdf", "/invoices/{id}", [".pdf"]),
        ("/invoices/7.pdf/pages", "/invoices/{id}.pdf/pages", ["7"]),
        ("/days/1..2", "/days/{begin}..{end}", ["1", "2"]),
        ("/days/1..2..3", "/days/{begin}..{end}", ["1..2", "3"]),
        ("/days/1..", "/days/{begin}", ["1.."]),
        ("/files/a.tar.gz", "/files/{name}.{ending}", ["a.tar", "gz"]),
        ("/files/a.b.", "/files/{name}.{ending}", ["a", "b."]),
        ("/v2/x", "/v{number}/{id}", ["2", "x"]),
        ("/a-x-b", "/a-{id}-b", ["x"]),
    ],
)
def test_a_path_finds_its_value_and_what_the_placeholders_stand_for(router, path, found, bound):
    assert router.find(path) == ({"GET": found}, bound)


@pytest.mark.parametrize("path", ["/files/plain", "/files/.gz", "/v/x", "/a-b", "/a--b", "/invoices/7.pdf/x"])
def test_a_path_that_nothing_stands_at_is_not_found(router, path):
    assert router.find(path) == ({}, [])


@given(st.lists(st.sampled_from(["-", "..", "x", "-x"]), min_size=1, max_size=2), st.text("-.xy", max_size=8))
def test_placeholders_share_a_segment_as_a_greedy_pattern_would(between, segment):
    router: Router[str] = Router()
    router.add("GET", "/" + "".join(f"{{p{at}}}{word}" for at, word in enumerate(between)) + "{last}", "here")
    wanted = re.fullmatch("(.+)" + "".join(re.escape(word) + "(.+)" for word in between), segment)

    verbs, bound = router.find("/" + segment)

    if wanted is not None and verbs:
        assert "".join(f"{part}{word}" for part, word in zip(bound, [*between, ""], strict=True)) == segment
    assert (wanted is None) <= (not verbs)


def test_a_long_segment_is_matched_at_once():
    router: Router[str] = Router()
    router.add("GET", "/{a}-{b}-{c}-{d}.x", "here")

    assert router.find("/" + "-" * 1_000_000) == ({}, [])


def test_one_route_is_given_once():
    router: Router[str] = Router()
    router.add("GET", "/{a}.pdf", "one")
    router.add("PUT", "/{b}.pdf", "two")

    with pytest.raises(WiringError, match="share this route"):
        router.add("GET", "/{c}.pdf", "three")


@pytest.fixture
def rooms() -> Router[str]:
    made: Router[str] = Router()
    for verb, path in (
        ("GET", "/rooms"),
        ("POST", "/rooms"),
        ("GET", "/rooms/free"),
        ("GET", "/rooms/{number}"),
        ("GET", "/rooms/{number}/beds"),
        ("GET", "/rooms/free/{day}"),
        ("GET", "/100%"),
    ):
        made.add(verb, path, f"{verb} {path}")
    return made


@pytest.mark.parametrize(
    ("path", "found", "placeholders"),
    [
        ("/rooms", {"GET": "GET /rooms", "POST": "POST /rooms"}, []),
        ("/rooms/", {"GET": "GET /rooms", "POST": "POST /rooms"}, []),
        ("/r%6Foms", {"GET": "GET /rooms", "POST": "POST /rooms"}, []),
        ("/rooms/free", {"GET": "GET /rooms/free"}, []),
        ("/rooms/fre", {"GET": "GET /rooms/{number}"}, ["fre"]),
        ("/rooms/a%20b", {"GET": "GET /rooms/{number}"}, ["a b"]),
        ("/rooms/a%2Fb/beds", {"GET": "GET /rooms/{number}/beds"}, ["a/b"]),
        ("/rooms/free/beds", {"GET": "GET /rooms/free/{day}"}, ["beds"]),
        ("/100%25", {"GET": "GET /100%"}, []),
        ("/rooms//beds", {}, []),
        ("//rooms", {}, []),
        ("/rooms//", {}, []),
        ("/rooms/7/chairs", {}, []),
        ("/", {}, []),
    ],
)
def test_words_go_before_placeholders_and_each_segment_is_decoded(rooms, path, found, placeholders):
    assert rooms.find(path) == (found, placeholders)


@pytest.mark.parametrize("path", ["/rooms/%ff", "/rooms/%C3", "/rooms/%C3%28", "/r%ffms"])
def test_escapes_that_are_no_text_are_not_guessed_at(rooms, path):
    with pytest.raises(UnicodeDecodeError):
        rooms.find(path)
