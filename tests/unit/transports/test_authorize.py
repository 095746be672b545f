"""Who may call what: the same for every protocol, since all ask here."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

import pytest

from meristem import CallError, Code, Contract, operation, safe
from meristem.contracts.contract import operations
from meristem.transports.authorize import Authorizer


class Desk(Contract, Protocol, package="authorize.v1"):
    @safe(http="GET /news")
    async def news(self) -> str: ...

    @operation(public=True)
    async def ring(self) -> None: ...

    @operation(public=True)
    async def hand_in(self, pages: AsyncIterator[str]) -> int: ...

    @operation
    async def open(self) -> None: ...

    @operation
    async def file(self, pages: AsyncIterator[str]) -> int: ...

    @operation
    async def scan(self, page: AsyncIterator[bytes]) -> int: ...


DESK = operations(Desk)
OUTSIDE = Authorizer(lambda _: None, None, trusted=False)


@pytest.mark.parametrize("name", ["news", "ring", "hand_in"])
def test_what_is_public_anybody_calls(name):
    assert OUTSIDE.principal(DESK[name], None) is None
    assert DESK[name].public


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("open", "publish it with public=True or http=… in its contract"),
        ("file", "with public=True in its contract"),
        ("scan", "publish it with public=True or http=… in its contract"),
    ],
)
def test_what_is_not_is_refused_with_the_way_to_publish_it(name, how):
    with pytest.raises(CallError, match="is internal") as caught:
        OUTSIDE.principal(DESK[name], None)

    assert caught.value.code is Code.PERMISSION_DENIED
    assert how in caught.value.message
