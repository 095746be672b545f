"""One server, as all databases of this process see it: how many connections they have on it together."""

from __future__ import annotations

from typing import ClassVar, Protocol


class Share(Protocol):
    """What one database has of the server's connections."""

    @property
    def size(self) -> int:
        """Connections that are open, or are being opened."""
        ...

    @property
    def is_waiting(self) -> bool:
        """Whether somebody waits for a connection, and one more would help."""
        ...

    def give_up_one(self) -> bool:
        """Close an idle connection, if there is one."""
        ...

    def grow(self) -> None:
        """Open a connection for who waits longest."""
        ...


class ServerLimit:
    """Bounds the connections of this process to one server, over all databases of all its services.

    A database may have more than its equal share while nobody needs it; up to its share it gets what another one has
    beyond, as soon as that is idle. So none starves, and connections are closed and opened only where they must be.
    """

    _known: ClassVar[dict[object, ServerLimit]] = {}

    def __init__(self, key: object, limit: int) -> None:
        self._key = key
        self._limit = limit
        self._shares: list[Share] = []

    @classmethod
    def join(cls, key: object, limit: int, share: Share) -> ServerLimit:
        """The limit of this server, for a database that will leave it; of several limits the lowest holds."""
        server = cls._known.get(key)
        if server is None:
            server = cls._known[key] = ServerLimit(key, limit)
        server._limit = min(server._limit, limit)
        server._shares.append(share)
        return server

    def leave(self, share: Share) -> None:
        """Give the share up; to be called once for each `join`."""
        self._shares.remove(share)
        if not self._shares:
            self._known.pop(self._key, None)
        self.freed()

    @property
    def _equal(self) -> int:
        return max(1, self._limit // len(self._shares))

    @property
    def _is_full(self) -> bool:
        return sum(each.size for each in self._shares) >= self._limit

    def admits(self, share: Share) -> bool:
        """Whether a database may open one more connection now; another one may have to give one up for it."""
        if not self._is_full:
            return True
        if share.size >= self._equal:
            return False
        others = sorted((each for each in self._shares if each.size > self._equal), key=lambda each: -each.size)
        return any(each.give_up_one() for each in others)

    def wants_back(self, share: Share) -> bool:
        """Whether a connection that becomes idle is to be closed, for a database that has less than its share."""
        return (
            share.size > self._equal
            and self._is_full
            and any(each.is_waiting and each.size < self._equal for each in self._shares)
        )

    def freed(self) -> None:
        """A connection was closed: let the database that has the fewest, of those that wait, open one."""
        waiting = [each for each in self._shares if each.is_waiting]
        if waiting and not self._is_full:
            min(waiting, key=lambda each: each.size).grow()
