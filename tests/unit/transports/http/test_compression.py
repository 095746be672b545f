"""gzip: nothing of a body is dropped without a word, and nothing is packed for who refuses that."""

import gzip

import pytest

from meristem.errors import CallError, Code
from meristem.transports.http.compression import is_packed, packed, unpacked

ONE, TWO = gzip.compress(b'{"sum":1}'), gzip.compress(b'{"sum":2}')
LARGE = b"a" * 5000


@pytest.mark.parametrize("body", [ONE + TWO, ONE + b"\0", ONE + b"more"], ids=["a second member", "padding", "a text"])
def test_what_follows_the_gzip_of_a_body_is_refused_rather_than_dropped(body):
    assert unpacked(b"gzip", ONE, 1000) == b'{"sum":1}'
    with pytest.raises(CallError, match="more than one gzip") as refused:
        unpacked(b"gzip", body, 1000)

    assert (refused.value.code, refused.value.may_have_happened) == (Code.INVALID_ARGUMENT, False)


@pytest.mark.parametrize("accepted", [b"gzip", b"br, GZIP;q=0.5", b"deflate;q=0,gzip ; q=0.001", b"gzip;q=1.000"])
def test_a_client_that_accepts_gzip_is_sent_it(accepted):
    assert is_packed({b"accept-encoding": accepted}, LARGE)
    assert not is_packed({b"accept-encoding": accepted}, LARGE[:1000])
    assert gzip.decompress(packed(LARGE)) == LARGE


@pytest.mark.parametrize("accepted", [b"", b"br", b"gzip;q=0", b"br, gzip; q=0.000", b"GZIP;Q=0", b"not-gzip"])
def test_a_client_that_does_not_accept_gzip_or_refuses_it_is_sent_the_body_as_it_is(accepted):
    assert not is_packed({b"accept-encoding": accepted}, LARGE)
