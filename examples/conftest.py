"""What the tests of all examples share: apps run as in life, behind a real server on a free port, and a mail server."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from aiosmtpd.smtp import SMTP, Envelope


class _Server(uvicorn.Server):
    """A server in a thread that says when it is ready."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()


@contextmanager
def _serving(app: Any, **options: Any) -> Iterator[str]:
    server = _Server(uvicorn.Config(app, log_level="warning", ws="none", **options))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        assert server.ready.wait(60), "the server did not start"
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(60)
            assert not thread.is_alive(), "the server did not stop"


@pytest.fixture
def serve_app() -> Iterator[Callable[..., str]]:
    """`serve_app(app)` serves an ASGI app until the test ends and gives its address."""
    with ExitStack() as stack:
        yield lambda app, **options: stack.enter_context(_serving(app, **options))


@contextmanager
def _bank(folder: Path) -> Iterator[str]:
    from thirdparties.bank.app import create_app  # noqa: PLC0415 - only the tests that use it wait for FastAPI

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BANK_DATABASE", str(folder / "bank.db"))
        patch.setenv("BANK_SLOW_SECONDS", "1")
        with _serving(create_app()) as address:
            yield address


@pytest.fixture
def bank(tmp_path: Path) -> Iterator[str]:
    """The address of a bank that answers a slow card after one second."""
    with _bank(tmp_path) as address:
        yield address


@pytest.fixture(scope="module")
def module_bank(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The same for all tests of a module."""
    with _bank(tmp_path_factory.mktemp("bank")) as address:
        yield address


class Post:
    """A mail server that keeps what it is given; `refusing` makes it answer every letter with that line."""

    def __init__(self) -> None:
        self.letters: asyncio.Queue[EmailMessage] = asyncio.Queue()
        self.refusing = ""
        self.refused = 0
        self.url = ""

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's
        if self.refusing:
            self.refused += 1
            return self.refusing
        assert isinstance(envelope.content, bytes)
        letter = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(letter, EmailMessage)
        self.letters.put_nowait(letter)
        return "250 OK"


@pytest.fixture
async def post() -> AsyncIterator[Post]:
    """A real SMTP server in the test's own loop."""
    office = Post()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(office, loop=loop), "127.0.0.1", 0)
    office.url = f"smtp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield office
    server.close()
    await server.wait_closed()
