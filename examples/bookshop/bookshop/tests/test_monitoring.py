"""What goes wrong in a service has a status and a line in the log, by itself and in running processes."""

from __future__ import annotations

import asyncio
import logging
from types import SimpleNamespace
from typing import Any, Protocol

import pytest
from bookshop.monitoring import monitor, status_of

from meristem import CallError, Code, Contract, Fault, Service, StorageError, System, safe
from meristem.testing import running


class Sold(Fault, code=Code.FAILED_PRECONDITION):
    """The book is sold."""


class Desk(Contract, Protocol, package="bookshop.tests.desk.v1"):
    """A desk at which everything goes wrong."""

    @safe(raises=[Sold])
    async def ask(self, what: str) -> str: ...


ERRORS: dict[str, Exception] = {
    "missing": KeyError("isbn 9780141439"),
    "wrong": ValueError("no such month"),
    "late": TimeoutError(),
    "away": ConnectionRefusedError("10.0.0.7:5432"),
    "bug": AttributeError("'NoneType' object has no attribute 'title'"),
    "sold": Sold(),
    "refused": CallError(Code.RESOURCE_EXHAUSTED, "the desk is full"),
}
STATUS = {
    "missing": Code.NOT_FOUND,
    "wrong": Code.INVALID_ARGUMENT,
    "late": Code.DEADLINE_EXCEEDED,
    "away": Code.UNAVAILABLE,
    "bug": Code.INTERNAL,
    "refused": Code.RESOURCE_EXHAUSTED,
}


class DeskService(Desk, Service):
    async def ask(self, what: str) -> str:
        if what in ERRORS:
            raise ERRORS[what]
        return "here you are"


desk = System("desk", services=[DeskService], middleware=[monitor])
CALL: Any = SimpleNamespace(operation=SimpleNamespace(label="Desk.ask"))


async def handled(error: BaseException | None) -> Any:
    """What becomes of an error, or an answer, that passes the middleware."""

    async def handler(_call: Any) -> str:
        if error is not None:
            raise error
        return "here you are"

    return await monitor(handler)(CALL)


async def test_an_answer_passes_and_leaves_no_line(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "bookshop.monitoring"):
        assert await handled(None) == "here you are"
    assert caplog.records == []


@pytest.mark.parametrize("which", ["missing", "wrong", "late", "away", "bug"])
async def test_an_exception_becomes_a_status_and_its_text_stays_in_the_log(
    caplog: pytest.LogCaptureFixture, which: str
) -> None:
    with caplog.at_level(logging.INFO, "bookshop.monitoring"), pytest.raises(CallError) as raised:
        await handled(ERRORS[which])
    assert raised.value.code is STATUS[which]
    assert raised.value.__cause__ is ERRORS[which]
    assert raised.value.message == "Desk.ask failed; the log says why"
    (line,) = caplog.records
    assert line.getMessage() == f"Desk.ask answered {STATUS[which].value}"
    assert line.exc_info is not None
    assert line.exc_info[1] is ERRORS[which]
    assert line.levelno == {"late": logging.WARNING, "away": logging.WARNING, "bug": logging.ERROR}.get(
        which, logging.INFO
    )


@pytest.mark.parametrize("error", [Sold(), CallError(Code.NOT_FOUND, "no"), StorageError("locked")])
async def test_what_is_an_answer_already_stays_what_it_is(error: Exception) -> None:
    with pytest.raises(type(error)) as raised:
        await handled(error)
    assert raised.value is error


async def test_a_call_that_is_given_up_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "bookshop.monitoring"), pytest.raises(asyncio.CancelledError):
        await handled(asyncio.CancelledError())
    assert caplog.records == []


def test_what_python_has_no_class_for_is_internal() -> None:
    assert status_of(ZeroDivisionError()) is Code.INTERNAL
    assert status_of(UnicodeDecodeError("utf-8", b"", 0, 1, "bad")) is Code.INVALID_ARGUMENT


async def test_running_processes_answer_by_statuses_and_log_what_happened(caplog: pytest.LogCaptureFixture) -> None:
    async with running(desk, where="processes") as app:
        client = app.client(Desk)
        assert await client.ask("something else") == "here you are"
        for which, code in STATUS.items():
            with pytest.raises(CallError) as raised:
                await client.ask(which)
            assert raised.value.code is code, which
            assert "isbn" not in str(raised.value)
        with pytest.raises(Sold):
            await client.ask("sold")
    logged = "\n".join(record.getMessage() for record in caplog.records)
    assert "Desk.ask answered internal" in logged
    assert "'NoneType' object has no attribute 'title'" in logged
    assert "Desk.ask answered unavailable" in logged
