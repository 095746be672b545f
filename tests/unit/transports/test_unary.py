"""The answerer of unary calls, with a protocol that is no HTTP: tuples of a name and a value."""

from __future__ import annotations

import asyncio
import threading
from types import SimpleNamespace
from typing import Any, Protocol

import msgspec
import pytest

from meristem.context import Identity
from meristem.contracts.call import Call
from meristem.contracts.contract import Contract, operations
from meristem.contracts.operation import operation, safe
from meristem.errors import CallError, Code, Fault
from meristem.transports.authorize import Authorizer
from meristem.transports.metadata import context_of
from meristem.transports.unary import answer


class Sold(Fault):
    """Somebody else was quicker."""


class Stall(Contract, Protocol, package="market.v1"):
    @safe(raises=[Sold], http="GET /price")
    async def price(self, thing: str) -> int: ...

    @operation
    async def count(self) -> int: ...


class Note(msgspec.Struct):
    """A request: what is asked, and the proofs of who asks."""

    text: str = "pear"
    token: str | None = None
    bearer: str | None = None
    heavy: bool = False
    user: Identity | None = None


class NoteCodec:
    """Reads notes; `read_by` says for whom it did."""

    def __init__(self, name: str, handler: Any) -> None:
        self.operation = operations(Stall)[name]
        self.handler = handler
        self.read_by: list[Any] = []
        self.threads: list[threading.Thread] = []

    def read(self, request: Note, principal: Any, user: Identity | None) -> Call:
        self.threads.append(threading.current_thread())
        self.read_by.append((principal and principal.service, user and user.subject))
        if not request.text:
            raise CallError(Code.INVALID_ARGUMENT, "it is empty", may_have_happened=False)
        return Call(self.operation, request.text, context_of(principal, user, None, None, None, None, None))

    def reply(self, _request: Note, reply: Any) -> tuple[str, Any]:
        return "reply", reply

    def failure(self, _request: Note, error: Fault | CallError) -> tuple[str, Any]:
        return "error", error.code if isinstance(error, CallError) else type(error)


async def people(token: str) -> Identity | None:
    return Identity(token) if token == "anna" else None


def services(token: str) -> Any:
    return SimpleNamespace(service=token, user=None) if token == "till" else None


OUTSIDE = Authorizer(services, people, trusted=False)


def giving(result: Any) -> Any:
    async def handler(call: Call) -> Any:
        if isinstance(result, BaseException):
            raise result
        return result(call) if callable(result) else result

    return handler


async def test_a_reply_is_written_by_the_codec():
    codec = NoteCodec("price", giving(lambda call: len(call.request)))

    assert await answer(codec, Note("pear"), OUTSIDE) == ("reply", 4)


@pytest.mark.parametrize(
    ("raised", "told"),
    [
        (Sold(), Sold),
        (CallError(Code.NOT_FOUND, "no pears"), Code.NOT_FOUND),
        (ZeroDivisionError("secret"), Code.INTERNAL),
    ],
)
async def test_what_leaves_of_an_error_is_declared_or_nothing(raised, told):
    assert await answer(NoteCodec("price", giving(raised)), Note(), OUTSIDE) == ("error", told)


async def test_a_message_that_does_not_fit_is_an_answer():
    assert await answer(NoteCodec("price", giving(1)), Note(""), OUTSIDE) == ("error", Code.INVALID_ARGUMENT)


@pytest.mark.parametrize("token", [None, "forged"])
async def test_the_message_of_who_may_not_call_is_not_read(token):
    codec = NoteCodec("count", giving(1))

    assert await answer(codec, Note("", token), OUTSIDE) == ("error", Code.PERMISSION_DENIED)
    assert codec.read_by == []


async def test_the_message_of_who_shows_a_wrong_bearer_token_is_not_read():
    codec = NoteCodec("price", giving(1))

    assert await answer(codec, Note("", bearer="eve"), OUTSIDE) == ("error", Code.UNAUTHENTICATED)
    assert codec.read_by == []


@pytest.mark.parametrize(
    ("note", "read_by"),
    [
        (Note(), (None, None)),
        (Note(bearer="anna"), (None, "anna")),
        (Note(token="till"), ("till", None)),
        (Note(token="till", bearer="eve"), ("till", None)),  # a service speaks for its user by its own token
    ],
)
async def test_the_codec_learns_who_calls(note, read_by):
    codec = NoteCodec("price", giving(1))

    assert await answer(codec, note, OUTSIDE) == ("reply", 1)
    assert codec.read_by == [read_by]


async def test_on_an_address_that_is_trusted_nobody_needs_a_token_where_none_are_made():
    trusted, public = Authorizer(None, None, trusted=True), Authorizer(None, None, trusted=False)

    assert await answer(NoteCodec("count", giving(1)), Note(), trusted) == ("reply", 1)
    assert await answer(NoteCodec("count", giving(1)), Note(), public) == ("error", Code.PERMISSION_DENIED)


async def test_a_bearer_token_means_nothing_where_nobody_signs_in():
    nobody = Authorizer(services, None, trusted=False)

    assert await answer(NoteCodec("price", giving(1)), Note(bearer="eve"), nobody) == ("reply", 1)


async def test_cancellation_is_no_answer():
    with pytest.raises(asyncio.CancelledError):
        await answer(NoteCodec("price", giving(asyncio.CancelledError())), Note(), OUTSIDE)


async def test_a_heavy_message_is_read_by_one_thread_apart_and_its_error_is_an_answer():
    codec = NoteCodec("price", giving(1))
    notes = [Note(heavy=True), Note("", heavy=True), Note(heavy=True)]

    answers = await asyncio.gather(*(answer(codec, note, OUTSIDE) for note in notes), answer(codec, Note(), OUTSIDE))

    assert answers == [("reply", 1), ("error", Code.INVALID_ARGUMENT), ("reply", 1), ("reply", 1)]
    here = threading.current_thread()
    assert (len(set(codec.threads)), codec.threads.count(here)) == (2, 1)


async def test_of_whom_a_policy_has_found_out_the_bearer_token_is_not_asked():
    codec = NoteCodec("price", giving(1))
    seen = Note(bearer="somebody's", user=Identity("anna", tenant="acme"))

    assert await answer(codec, seen, OUTSIDE) == ("reply", 1)
    assert codec.read_by == [(None, "anna")]
