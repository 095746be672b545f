"""An answer goes out in the coding that its client likes best, by the weights that it gives."""

import pytest

from meristem.transports.http.content_codings import chosen_coding

ALONE = (b"gzip",)
SEVERAL = (b"zstd", b"br", b"gzip")


@pytest.mark.parametrize(
    ("accepted", "is_gzip"),
    [(b"gzip", True), (b"x-gzip", True), (b"GZIP;Q=1.0", True), (b"*", True), (b"br;q=1, *;q=0.1", True), (b"", False),
     (b"gzip;q=0", False), (b"gzip;q=0.000", False), (b"identity", False), (b"*;q=0", False), (b"gzip;q=2", False),
     (b"identity;q=1, gzip;q=0.5", False), (b"gzip;q=0, *", False), (b"gzip; q=0.001", True), (b"deflate", False),
     (b"deflate;q=0,gzip ; q=0.001", True), (b"not-gzip", False)],
)  # fmt: skip
def test_weights_are_kept_to(accepted: bytes, is_gzip: bool):
    assert (chosen_coding(accepted, ALONE) is not None) is is_gzip


@pytest.mark.parametrize(
    ("accepted", "chosen"),
    [(b"gzip, deflate, br, zstd", b"zstd"), (b"gzip, br", b"br"), (b"gzip;q=1, br;q=0.9", b"gzip"), (b"*", b"zstd"),
     (b"*, zstd;q=0", b"br"), (b"br;q=0.5, identity;q=0.6, gzip;q=0.6", b"gzip"), (b"br;q=0.5, identity", None),
     (b"deflate", None)],
)  # fmt: skip
def test_of_equals_the_first_is_chosen(accepted: bytes, chosen: bytes | None):
    assert chosen_coding(accepted, SEVERAL) == chosen
