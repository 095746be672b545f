"""A real authority that issues by ACME: Caddy's own, which looks for hosts where a table of its own says."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import socket
import ssl
from typing import TYPE_CHECKING

from meristem.supervision.ports import free_port

if TYPE_CHECKING:
    from pathlib import Path

CADDY = shutil.which("caddy")
UNSHARE = shutil.which("unshare")
SITE = """
{{
	admin off
	auto_https disable_redirects
	skip_install_trust
	storage file_system {folder}/store
}}
https://localhost:{port} {{
	bind 127.0.0.1
	tls internal
	acme_server
}}
"""


def why_not(address: str) -> str | None:
    """Why there can be no such authority here, which asks hosts at port 80 of an address of this machine alone."""
    if CADDY is None or UNSHARE is None:
        return "needs Caddy: apt-get install caddy util-linux"
    if os.geteuid() != 0:
        return "needs to be root, for a table of hosts of its own and for port 80"
    with socket.socket() as probe:
        try:
            probe.bind((address, 80))
        except OSError as error:
            return f"needs port 80 of {address}: {error}"
    return None


class CaddyAuthority:
    """Issues for `hosts`, which it finds at `address`, for 12 hours each."""

    def __init__(self, folder: Path, address: str, hosts: str) -> None:
        self._folder = folder
        self._port = free_port()
        self._process: asyncio.subprocess.Process | None = None
        self.directory = f"https://localhost:{self._port}/acme/local/directory"
        self.root = folder / "store/pki/authorities/local/root.crt"
        (folder / "hosts").write_text(f"127.0.0.1 localhost\n{address} {hosts}\n")
        (folder / "Caddyfile").write_text(SITE.format(folder=folder, port=self._port).lstrip())

    async def start(self) -> None:
        """Returns when it answers."""
        run = f"mount --bind {self._folder}/hosts /etc/hosts && exec {CADDY} run --config Caddyfile --adapter caddyfile"
        homes = {f"XDG_{each}_HOME": str(self._folder) for each in ("CONFIG", "DATA")}
        with (self._folder / "log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                str(UNSHARE), "--mount", "--propagation", "private", "sh", "-c", run,
                cwd=self._folder, env=os.environ | homes, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        async with asyncio.timeout(30):
            while True:
                try:
                    trusted = ssl.create_default_context(cafile=self.root)
                    _, writer = await asyncio.open_connection("localhost", self._port, ssl=trusted)
                except OSError:
                    await asyncio.sleep(0.05)
                else:
                    writer.close()
                    return

    async def stop(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()
            await self._process.wait()

    @property
    def orders(self) -> int:
        """How many certificates it has been asked for."""
        told = (self._folder / "log").read_text()
        return len(set(re.findall(r'\\"finalize\\":\\"([^"\\]+)', told)))
