"""The parts of the WSGI bridge where the network's own order would hide a fault."""

import asyncio
import gzip
import io
import threading

import pytest

from meristem.hosting.wsgi.application import WSGIRequest
from meristem.hosting.wsgi.channel import WINDOW, Channel, ClientDisconnectedError
from meristem.hosting.wsgi.files import FileWrapper
from meristem.hosting.wsgi.upload import UploadAbortedError, receive_body
from meristem.hosting.wsgi.worker_threads import WorkerThreads
from tests.unit.hosting.conftest import PATIENCE


async def test_half_a_body_is_never_taken_for_a_whole_one():
    events = iter(({"type": "http.request", "body": b"half", "more_body": True}, {"type": "http.disconnect"}))

    async def receive():
        return next(events)

    with pytest.raises(UploadAbortedError):
        await receive_body(receive, 1000, declared=0)


async def test_a_thread_that_waits_for_a_client_hears_that_it_left():
    channel = Channel(asyncio.get_running_loop())
    channel.put((200, []), b"x" * WINDOW, end=False)
    waiting = asyncio.create_task(asyncio.to_thread(channel.put, None, b"more", end=False))
    await asyncio.sleep(0.05)
    assert not waiting.done()

    channel.abandon()
    with pytest.raises(ClientDisconnectedError):
        await asyncio.wait_for(waiting, PATIENCE)


async def test_a_request_whose_client_left_before_its_thread_began_is_not_answered():
    called = []
    body = io.BytesIO()
    environ = {"REQUEST_METHOD": "GET", "SCRIPT_NAME": "", "PATH_INFO": "/"}
    request = WSGIRequest(lambda *_: called.append(True) or [], environ, body, "web")
    request.channel.abandon()
    await asyncio.to_thread(request.run)

    assert not called
    assert body.closed


class Held:
    """A job that ends when it is let go."""

    label = "GET /held"

    def __init__(self) -> None:
        self.begun, self.go = threading.Event(), threading.Event()

    def run(self) -> None:
        self.begun.set()
        self.go.wait(PATIENCE)


async def test_who_leaves_the_queue_leaves_the_place_to_others():
    threads = WorkerThreads("web", most=1, waiting=1)
    first, leaves, last = Held(), Held(), Held()
    assert threads.submit(first)
    assert threads.submit(leaves)
    assert not threads.submit(last)
    assert not threads.withdraw(first)  # it is at work

    assert threads.withdraw(leaves)
    assert threads.submit(last)
    first.go.set()
    assert await asyncio.to_thread(last.begun.wait, PATIENCE)
    last.go.set()
    await threads.stop(PATIENCE)

    assert not leaves.begun.is_set()


def test_what_only_looks_like_a_file_has_no_length_on_disk(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(gzip.compress(b"x" * 1000))
    with path.open("rb") as plain, gzip.open(path) as packed, io.BufferedReader(gzip.open(path)) as both:
        plain.seek(10)
        assert FileWrapper(plain).rest() == path.stat().st_size - 10
        assert [FileWrapper(each).rest() for each in (packed, both, io.BytesIO(b"x"))] == [None] * 3
