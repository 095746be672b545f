"""The body of a request on its way from the client to an upstream, and the news that the client has left."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from meristem.asgi import until_disconnected

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meristem.asgi import Receive
    from meristem.gateway.connection import UpstreamConnection
    from meristem.gateway.request_head import BodyForm

MOST_KEPT: Final = 64 * 1024  # bytes of a body that are kept, so that it can be sent to another replica
PATIENCE: Final = 1.0  # seconds for an upstream that may not know the question whether a body is wanted


class BodySender:
    """Takes in no more than the upstream takes; what it has sent it can send again, as long as that is little."""

    def __init__(self, receive: Receive, form: BodyForm, *, asks_in_vain: bool) -> None:
        self._receive = receive
        self._form = form
        self._patience = PATIENCE if asks_in_vain else None
        self._kept: list[bytes] | None = []
        self._size = 0
        self._is_read = not form.is_there  # nothing more comes
        self.has_left = self.is_sent = False

    @property
    def is_repeatable(self) -> bool:
        """Whether all that was taken in can be sent once more."""
        return self._kept is not None

    async def run(self, connection: UpstreamConnection) -> None:
        """Send the body, then wait for the client to leave, and cut the connection when it does."""
        if self._form.is_there and not await self._send(connection):
            return
        await until_disconnected(self._receive)
        self._leave(connection)

    async def _send(self, connection: UpstreamConnection) -> bool:
        """Send the body; False when the answer is there before, or the client has left."""
        self.is_sent = False
        if self._form.expects and not await connection.continued(self._patience):
            return False
        for part in self._kept or ():
            self._write(connection, part)
        while not self._is_read:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self._leave(connection)
                return False
            self._is_read = not message.get("more_body", False)
            if part := message.get("body", b""):
                self._keep(part)
                self._write(connection, part)
                await connection.writable()
        if self._form.is_chunked:
            connection.write(b"0\r\n\r\n")
        self.is_sent = True
        return True

    def _keep(self, part: bytes) -> None:
        self._size += len(part)
        if self._size > MOST_KEPT:
            self._kept = None
        elif self._kept is not None:
            self._kept.append(part)

    def _write(self, connection: UpstreamConnection, part: bytes) -> None:
        for each in self._framed(part):
            connection.write(each)

    def _framed(self, part: bytes) -> Sequence[bytes]:
        if not self._form.is_chunked:
            return (part,)
        return (
            (b"%x\r\n" % len(part), part, b"\r\n") if len(part) > MOST_KEPT else (b"%x\r\n%b\r\n" % (len(part), part),)
        )

    def _leave(self, connection: UpstreamConnection) -> None:
        self.has_left = True
        connection.close()
