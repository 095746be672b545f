"""Responses as bytes of HTTP/1.1."""

import pytest

from meristem.transports.http import responses
from meristem.transports.http.responses import JSON, Response

NOSNIFF = (b"x-content-type-options", b"nosniff")


@pytest.mark.parametrize(
    ("response", "head"),
    [
        (
            Response(200, JSON, b"{}"),
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2",
        ),
        (
            Response(201, JSON, b"{}", (NOSNIFF,)),
            b"HTTP/1.1 201 Created\r\ncontent-type: application/json\r\n%b: %b\r\ncontent-length: 2" % NOSNIFF,
        ),
        (
            Response(404, b"", b"", [NOSNIFF]),
            b"HTTP/1.1 404 Not Found\r\nx-content-type-options: nosniff\r\ncontent-length: 0",
        ),
        (Response(204, b"", b""), b"HTTP/1.1 204 No Content"),
        (Response(204, b"", b"", (NOSNIFF,)), b"HTTP/1.1 204 No Content\r\nx-content-type-options: nosniff"),
        (Response(599, b"", b"x"), b"HTTP/1.1 599 Error\r\ncontent-length: 1"),
    ],
)
@pytest.mark.parametrize("close", [False, True])
def test_the_head_says_what_the_body_is_when_it_was_made_and_whether_more_is_answered(
    response, head, close, monkeypatch
):
    monkeypatch.setattr(responses, "date_line", lambda: b"date: now\r\n")
    end = b"\r\ndate: now\r\n" + (b"connection: close\r\n" if close else b"") + b"\r\n"

    assert response.head(close=close) == head + end
    assert response.http1(close=close) == head + end + response.body


def test_the_same_fields_with_another_status_have_another_head():
    first, second = (Response(status, JSON, b"", (NOSNIFF,)).head(close=False) for status in (200, 201))
    assert (first[:15], second[:15]) == (b"HTTP/1.1 200 OK", b"HTTP/1.1 201 Cr")
