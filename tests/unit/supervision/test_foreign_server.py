"""The server of an app whose interpreter has no Meristem."""

import asyncio
import logging

from uvicorn.config import Config
from uvicorn.protocols.websockets.wsproto_impl import WSProtocol
from uvicorn.server import ServerState

from meristem.supervision.foreign_server import tells_no_query


class Wire(asyncio.Transport):
    """A transport to a client at a Unix socket that reads nothing."""

    def get_extra_info(self, name: str, default: object = None) -> object:
        return default

    def write(self, data: bytes | bytearray | memoryview) -> None: ...

    def close(self) -> None: ...

    def is_closing(self) -> bool:
        return False


class Heard(logging.Handler):
    """What a logger was told."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


async def test_its_log_has_no_query_of_a_websocket_and_all_that_the_app_says(monkeypatch):
    accepted = asyncio.Event()

    async def app(scope, receive, send):
        logging.getLogger("uvicorn.error").info("the app says %s", "hello")
        await send({"type": "websocket.accept"})
        accepted.set()

    heard = Heard()
    logger = logging.getLogger("uvicorn.error")
    # At the logger itself: another test of this process may have configured what is above it.
    monkeypatch.setattr(logger, "disabled", False)
    logger.addHandler(heard)
    level = logger.level
    logger.setLevel(logging.INFO)
    logger.addFilter(tells_no_query)
    try:
        config = Config(app, log_config=None, lifespan="off", ws="wsproto")
        config.load()
        protocol = WSProtocol(config=config, server_state=ServerState(), app_state={})
        protocol.connection_made(Wire())
        protocol.data_received(
            b"GET /chat?token=s3cret HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
            b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\r\n"
        )
        await asyncio.wait_for(accepted.wait(), 60)
        protocol.connection_lost(None)
    finally:
        logger.removeFilter(tells_no_query)
        logger.removeHandler(heard)
        logger.setLevel(level)

    assert heard.messages == ["the app says hello"]
