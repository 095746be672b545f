"""Serves one app on an inherited socket: a file that the app's own interpreter runs, which need not have Meristem.

It holds to what Python 3.7 knows. Arguments: the listening socket (`fd:7`), the folder of the server's packages, the
app (`app:create_app()`), its mount, how many threads a WSGI app gets, and the folders to import from.
"""

from __future__ import annotations

import contextlib
import faulthandler
import importlib
import inspect
import logging
import os
import signal
import socket
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Callable

TURN = 0.5  # seconds at most between two signs of life


def main() -> None:
    """Serve until it is asked to end."""
    listen, packages, target, mount, threads = sys.argv[1:6]
    hold()
    beat = heartbeat()
    # The folder of this file is none of the app's; its own packages go before those of the server.
    sys.path[:1] = [str(Path.cwd())]
    sys.path += [*sys.argv[6:], packages]
    listening = socket.socket(fileno=int(listen.partition(":")[2]))
    app = load(target)
    prefix = mount.rstrip("/")
    if speaks_asgi(app):
        serve_asgi(app, listening, prefix, beat)
    else:
        serve_wsgi(app, listening, prefix, int(threads), beat)


def hold() -> None:
    """End by SIGTERM when who started this process is gone: then the other end of the first descriptor is closed."""
    descriptor = int(os.environ.pop("MERISTEM_LIFELINE").split(",")[0])

    def watch() -> None:
        os.read(descriptor, 1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


def heartbeat() -> Callable[[], None]:
    """What tells who started this process that its loop turns, by a byte in the second descriptor."""
    descriptor = int(os.environ.pop("MERISTEM_HEARTBEAT"))
    os.set_inheritable(descriptor, False)
    faulthandler.enable()
    faulthandler.register(signal.SIGUSR2)  # what hangs is asked where it stands

    def beat() -> None:
        with contextlib.suppress(OSError):  # the supervisor is slow, or gone
            os.write(descriptor, b".")

    return beat


def load(target: str) -> Any:
    """The object that `module:app` names, or what `module:create_app()` returns."""
    place, _, attribute = target.partition(":")
    if place.endswith(".py"):
        file = Path(place).resolve()
        sys.path.insert(0, str(file.parent))
        place = file.stem
    found: Any = importlib.import_module(place)
    for name in attribute.replace("()", "").split("."):
        found = getattr(found, name)
    return found() if target.endswith("()") else found


def speaks_asgi(app: Any) -> bool:
    """Whether calling it gives a coroutine, or it takes scope, receive and send."""
    if any(inspect.iscoroutinefunction(inspect.unwrap(each)) for each in (app, type(app).__call__)):
        return True
    try:
        parameters = inspect.signature(app, follow_wrapped=False).parameters.values()
    except ValueError:
        return False
    taken = [each for each in parameters if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)]
    return len([each for each in taken if each.default is each.empty]) == 3


def mounted(app: Any, prefix: str) -> Any:
    """The app below its mount, which `root_path` tells: `path` is the whole path, as ASGI 3 has it.

    Starlette before 0.33, and so FastAPI on it, looks for its routes in `path` as it stands.
    """
    starlette = sys.modules.get("starlette")
    version = getattr(starlette, "__version__", "1.0").split(".")
    is_whole = (int(version[0]), int(version[1])) >= (0, 33)

    async def inside(scope: Any, receive: Any, send: Any) -> None:
        if prefix and scope["type"] in ("http", "websocket"):
            scope = dict(scope, root_path=prefix)
            if is_whole:
                scope["path"] = prefix + scope["path"]
                scope["raw_path"] = quote(prefix).encode() + (scope.get("raw_path") or b"")
        await app(scope, receive, send)

    return inside


def serve_asgi(app: Any, listening: socket.socket, prefix: str, beat: Callable[[], None]) -> None:
    """By uvicorn. Nobody but this user's edge reaches the socket, so what it tells of the client is believed."""
    uvicorn = importlib.import_module("uvicorn")
    config = uvicorn.Config(
        mounted(app, prefix),
        interface="asgi3",
        lifespan="auto",
        access_log=False,
        proxy_headers=True,
        forwarded_allow_ips="*",
    )
    logging.getLogger("uvicorn.error").addFilter(tells_no_query)
    server = uvicorn.Server(config)
    turn = server.on_tick

    async def turned(counter: int) -> bool:
        beat()
        ends: bool = await turn(counter)
        return ends

    server.on_tick = turned  # called ten times a second
    server.run(sockets=[listening])
    if not server.started:  # it has said why
        sys.exit(3)


def tells_no_query(record: logging.LogRecord) -> bool:
    """Whether a line of uvicorn's is to be kept: of each handshake it tells the query, which may have a token in it."""
    return '"WebSocket %s"' not in str(record.msg)


def serve_wsgi(app: Any, listening: socket.socket, prefix: str, threads: int, beat: Callable[[], None]) -> None:
    """By waitress, which believes what the edge tells of the client, too."""
    waitress = importlib.import_module("waitress")

    def end(*_: object) -> None:
        raise SystemExit(0)

    signal.signal(signal.SIGTERM, end)
    server = waitress.create_server(
        app,
        sockets=[listening],
        threads=threads,
        url_prefix=prefix,
        trusted_proxy="*",
        trusted_proxy_headers={"x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"},
        clear_untrusted_proxy_headers=True,
        ident=None,
        max_request_body_size=1 << 40,  # the edge bounds it
        asyncore_loop_timeout=TURN,
    )
    readable = server.readable

    def turned() -> bool:
        beat()
        accepts: bool = readable()
        return accepts

    server.readable = turned  # asked in each turn of the loop
    server.run()


if __name__ == "__main__":
    main()
