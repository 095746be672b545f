"""A real nginx with what is exported for it."""

from __future__ import annotations

import asyncio
import os
import shutil
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from meristem.gateway.export.exported_policy import HostPort
from meristem.gateway.export.targets.known_targets import exported
from tests.interop.exports.fronts import ENVIRONMENT, Front, Ground, free_port, opened, written

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin")
MODULES = Path("/usr/lib/nginx/modules")


def missing() -> str | None:
    """Why nginx can't be run here with Lua."""
    if NGINX is None:
        return "nginx is not installed"
    return None if (MODULES / "ngx_http_lua_module.so").exists() else "nginx has no module for Lua here"


async def checked(folder: Path) -> str:
    """What nginx itself says of its configuration."""
    command = [str(NGINX), "-t", "-p", f"{folder}/", "-c", "nginx.conf", "-e", "stderr"]
    running = await asyncio.create_subprocess_exec(*command, stderr=PIPE)
    _, told = await running.communicate()
    return told.decode()


@asynccontextmanager
async def nginx_front(
    known: Ground,
    *,
    approximate: bool = False,
    workers: int = 2,
    log: str = "access_log off;",
    tls_port: int | None = None,
    environment: Mapping[str, str] = ENVIRONMENT,
) -> AsyncIterator[Front]:
    """An nginx before the part behind; `log` are the directives of its access log, at `tls_port` it speaks TLS."""
    port, folder = free_port(), known.folder / "nginx"
    policy = known.policy(port)
    if tls_port is not None:
        policy = msgspec.structs.replace(policy, https=HostPort("127.0.0.1", tls_port))
    files = dict(exported("nginx", policy, approximate=approximate).files)
    # A test needs no more than two workers, and as root they are somebody else, who can't look into its folder.
    user = "user root;\n" if os.getuid() == 0 else ""
    main = files["nginx.conf"].replace("worker_processes auto;", f"{user}worker_processes {workers};\ndaemon off;")
    files["nginx.conf"] = main.replace("access_log off;", log)
    written(files, folder)
    said = await checked(folder)
    assert "test is successful" in said, said
    with (folder / "error.log").open("wb") as told:
        command = [str(NGINX), "-p", f"{folder}/", "-c", "nginx.conf", "-e", "stderr"]
        running = await asyncio.create_subprocess_exec(*command, stderr=told, env={**os.environ, **environment})
        try:
            await opened(port, running, folder / "error.log")
            yield Front(port, known)
        finally:
            if running.returncode is None:
                running.terminate()
            await running.wait()
