"""A system with one app that takes and gives as many bytes as it is asked to."""

from typing import Any

from meristem import App, System

PART = b"x" * 65536


async def store(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Counts a body of POST; to GET, gives the bytes that the query asks for."""
    while scope["type"] == "lifespan":
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
    wanted, taken, more = int(scope["query_string"] or b"0"), 0, True
    while more and scope["method"] == "POST":
        message = await receive()
        taken += len(message.get("body", b""))
        more = message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"x-taken", b"%d" % taken)]})
    for _ in range(wanted // len(PART)):
        await send({"type": "http.response.body", "body": PART, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


system = System("store", apps=[App("store", store, mount="/store")])
