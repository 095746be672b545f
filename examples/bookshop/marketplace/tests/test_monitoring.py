"""The interceptors in running processes: the tutorial's service, which logs what it raises, and who calls it."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from bookshop.contracts.recommendations import BookCategory, RecommendationRequest, Recommendations
from bookshop.interceptors.client import client_interceptors
from grpc import aio

from meristem import CallError, Code, connect
from tests.suites.served import PATIENCE

PROGRAM = Path(__file__).parents[1] / "recommendations.py"


class Foreign:
    """The program, its address, and what it has written once it has ended."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._lines: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._listens = threading.Event()
        self._reader.start()
        assert self._listens.wait(PATIENCE), self.text
        found = re.search(r"listens at port (\d+)", self.text)
        assert found is not None, self.text
        self.target = f"127.0.0.1:{found[1]}"

    @property
    def text(self) -> str:
        return "".join(self._lines)

    def end(self) -> str:
        """End it; what it has written."""
        self._process.terminate()
        self._process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        return self.text

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.append(line)
            if "listens at port" in line:
                self._listens.set()
        self._listens.set()


@pytest.fixture
def foreign(stubs: Any) -> Iterator[Foreign]:
    """The tutorial's service as a program."""
    modules = str(Path(stubs.pb2.__file__).parent)
    with subprocess.Popen(
        [sys.executable, str(PROGRAM), "127.0.0.1:0"],
        env=os.environ | {"PYTHONPATH": modules}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    ) as process:  # fmt: skip
        try:
            yield Foreign(process)
        finally:
            process.kill()


async def test_both_ends_log_one_status_and_only_the_server_knows_why(
    foreign: Foreign, stubs: Any, caplog: pytest.LogCaptureFixture
) -> None:
    ask = stubs.pb2.RecommendationRequest
    expected = {
        grpc.StatusCode.NOT_FOUND: ask(category=7, max_results=3),
        grpc.StatusCode.INVALID_ARGUMENT: ask(max_results=-1),
    }
    async with aio.insecure_channel(foreign.target, interceptors=client_interceptors()) as channel:
        client = stubs.grpc.RecommendationsStub(channel)
        with caplog.at_level(logging.INFO, "bookshop.interceptors"):
            for code, request in expected.items():
                with pytest.raises(aio.AioRpcError) as raised:
                    await client.Recommend(request, timeout=PATIENCE)
                assert raised.value.code() is code
                assert raised.value.details() == "Recommendations.Recommend failed; the log says why"
        assert len((await client.Recommend(ask(max_results=9), timeout=PATIENCE)).recommendations) == 3
    said = [each.getMessage() for each in caplog.records if each.name == "bookshop.interceptors.client"]
    assert [each.partition(" after ")[0] for each in said] == [
        "Recommendations.Recommend was answered NOT_FOUND",
        "Recommendations.Recommend was answered INVALID_ARGUMENT",
    ]
    written = foreign.end()
    assert "INFO bookshop.interceptors.server: Recommendations.Recommend answered NOT_FOUND\nTraceback" in written
    assert "KeyError: 7" in written
    assert "INFO bookshop.interceptors.server: Recommendations.Recommend answered INVALID_ARGUMENT" in written
    assert "ValueError: Sample larger than population or is negative" in written


async def test_our_client_reads_the_statuses_of_a_monitored_server(foreign: Foreign) -> None:
    async with connect(f"grpc://{foreign.target}") as system:
        with pytest.raises(CallError) as raised:
            await system.client(Recommendations).recommend(RecommendationRequest(category=BookCategory(7)))
    assert raised.value.code is Code.NOT_FOUND
