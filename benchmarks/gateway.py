"""What the gateway costs before one upstream, beside nginx with the same policy in Lua and a proxy on aiohttp.

Of nginx there are two: with the few lines of Lua that this one policy takes at least, and with all that
`meristem gateway export nginx` writes for it.

    python -m benchmarks.gateway [--rounds 10] [--seconds 3] [--json]

Each is a reverse proxy on one core, with a limit for each address that nobody reaches here, the fields that tell how it
stands, and safe fields for browsers; wrk and the upstream (nginx, which answers 34 bytes) share the other core. 64
requests are in flight on connections that are kept. None writes an access log. In one work every client repeats its
request, in the other no path comes twice. Told are requests a second, processor time of the proxy for each, and p99.

It needs `wrk`, and nginx with its module for Lua (Debian: `wrk`, `nginx-light`, `libnginx-mod-http-lua`).
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from benchmarks.figures import Spread, short, spreads
from benchmarks.machine import CLIENT, SERVER, cpu_seconds, descendants, free_port
from benchmarks.peers import setup
from benchmarks.processes import output_of, python, started

IN_FLIGHT: Final = 64
RATE: Final = 1_000_000  # a second
BURST: Final = 1_000_000
MODULES: Final = Path("/usr/lib/nginx/modules")
BODY: Final = '{"city":"Lisbon","hotels":[1,2,3]}'
SAFE: Final = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "strict-origin-when-cross-origin",
    "x-frame-options": "SAMEORIGIN",
    "cross-origin-opener-policy": "same-origin",
}
WORKS: Final = {
    "the same": "",
    "all different": "local n = 0\nfunction request() n = n + 1; return wrk.format('GET', '/hotels/' .. n) end\n",
}
SYSTEM: Final = """
from meristem import Program, System

system = System("gateway", programs=[Program("site", ["true"], mount="/")])
"""
PLACEMENT: Final = f"""
[telemetry]
access_log = false

[gateway.limits.each]
rate = "{RATE}/s"
burst = {BURST}

[gateway.routes.all]
limits = ["each"]
"""
NGINX: Final = """
daemon off; worker_processes 1; pid {folder}/{name}.pid; error_log stderr notice; {modules}
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 1000000000; client_body_temp_path {folder}/{name}-body;
  proxy_temp_path {folder}/{name}-proxy; fastcgi_temp_path {folder}/{name}-f; uwsgi_temp_path {folder}/{name}-u;
  scgi_temp_path {folder}/{name}-s;
{rest}
}}
"""
UPSTREAM: Final = """
  server {{ listen 127.0.0.1:{port} backlog=1024; default_type application/json; return 200 '{body}'; }}
"""
LUA: Final = """
  lua_shared_dict limits 10m;
  upstream site {{ server {upstream}; keepalive 128; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=1024;
    location / {{
      access_by_lua_block {{
        local limits, now, key = ngx.shared.limits, ngx.now(), ngx.var.binary_remote_addr
        local due = limits:get(key) or now
        if due < now then due = now end
        if due - now > {burst} / {rate} then ngx.header["Retry-After"] = "1"; return ngx.exit(429) end
        limits:set(key, due + 1 / {rate}, 60)
        ngx.header["RateLimit"] = string.format('"each";r=%d;t=1', ({burst} / {rate} - (due - now)) * {rate})
      }}
{safe}
      proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header X-Forwarded-For $remote_addr;
      proxy_pass http://site;
    }}
  }}
"""


class Proxy(NamedTuple):
    """A proxy that runs, and the processes that it is."""

    port: int
    pids: list[int]


def missing() -> str | None:
    """Why this cannot be measured here."""
    if absent := [each for each in ("wrk", "nginx") if shutil.which(each) is None]:
        return f"there is no {' and no '.join(absent)} on this machine"
    if not (MODULES / "ngx_http_lua_module.so").exists():
        return "nginx has no module for Lua here (Debian: libnginx-mod-http-lua)"
    return setup.missing("aiohttp")


@contextmanager
def nginx(folder: Path, name: str, rest: str, *, core: int, modules: str = "") -> Iterator[int]:
    """An nginx with one worker; gives the pid of its master."""
    path = folder / f"{name}.conf"
    path.write_text(NGINX.format(folder=folder, name=name, rest=rest, modules=modules))
    command = ["nginx", "-c", str(path), "-p", str(folder), "-e", "stderr"]
    with started(command, core=core, folder=folder, ready="start worker process ") as running:
        yield running.pid


@contextmanager
def proxied_by_nginx(folder: Path, upstream: str) -> Iterator[Proxy]:
    port = free_port()
    safe = "\n".join(f'      add_header {name} "{value}";' for name, value in SAFE.items())
    rest = LUA.format(port=port, upstream=upstream, rate=RATE, burst=BURST, safe=safe)
    modules = " ".join(f"load_module {MODULES}/{each};" for each in ("ndk_http_module.so", "ngx_http_lua_module.so"))
    with nginx(folder, "proxy", rest, core=SERVER, modules=modules) as pid:
        yield Proxy(port, descendants(pid))


@contextmanager
def proxied_by_exported(folder: Path, upstream: str) -> Iterator[Proxy]:
    """The same policy as it is exported for nginx, with one worker."""
    port, made = free_port(), folder / "exported"
    written(folder)
    command = python("meristem", "gateway", "export", "nginx", "--system", "gateway_system.py")
    command += ["--placement", "gateway.toml", "--out", "exported", "--upstream", upstream]
    output_of([*command, "--http", f"127.0.0.1:{port}"], core=CLIENT, folder=folder)
    main = made / "nginx.conf"
    main.write_text(main.read_text().replace("worker_processes auto;", "worker_processes 1; daemon off;"))
    command = ["nginx", "-p", f"{made}/", "-c", "nginx.conf", "-e", "stderr"]
    with started(command, core=SERVER, folder=made, ready="start worker process ") as running:
        yield Proxy(port, descendants(running.pid))


def written(folder: Path) -> None:
    """Write the system and its policy."""
    (folder / "gateway_system.py").write_text(SYSTEM)
    (folder / "gateway.toml").write_text(PLACEMENT)


@contextmanager
def proxied_by_meristem(folder: Path, upstream: str) -> Iterator[Proxy]:
    port = free_port()
    written(folder)
    command = python("meristem", "process", "gateway_system.py", "--placement", "gateway.toml")
    command += ["--public", f"tcp://127.0.0.1:{port}"]
    with started(command, core=SERVER, folder=folder, variables={"SITE_URL": f"http://{upstream}"}) as running:
        yield Proxy(port, [running.pid])


@contextmanager
def proxied_by_aiohttp(folder: Path, upstream: str) -> Iterator[Proxy]:
    port = free_port()
    command = python("benchmarks.peers.aiohttp_proxy", str(port), f"http://{upstream}")
    with started(command, core=SERVER, folder=folder) as running:
        yield Proxy(port, [running.pid])


PROXIES: Final[dict[str, Callable[..., object]]] = {
    "Meristem": proxied_by_meristem,
    "nginx + Lua": proxied_by_nginx,
    "nginx, exported": proxied_by_exported,
    "aiohttp": proxied_by_aiohttp,
}


def loaded(proxy: Proxy, folder: Path, script: str, seconds: float) -> dict[str, float]:
    """What one proxy does for so long; raises ValueError where it answered anything but 200."""
    command = ["wrk", "-t1", f"-c{IN_FLIGHT}", f"-d{seconds:g}s", "--latency"]
    if script:
        (folder / "load.lua").write_text(script)
        command += ["-s", str(folder / "load.lua")]
    before = cpu_seconds(proxy.pids)
    told = output_of([*command, f"http://127.0.0.1:{proxy.port}/hotels"], core=CLIENT, folder=folder)
    spent = cpu_seconds(proxy.pids) - before
    if "Non-2xx" in told or "Socket errors" in told:
        raise ValueError(f"not all was answered: {told}")
    number = int(_found(r"(\d+) requests in", told))
    p99 = (
        float(_found(r"99%\s+([\d.]+)", told))
        * {"us": 0.001, "ms": 1.0, "s": 1000.0}[_found(r"99%\s+[\d.]+(us|ms|s)", told)]
    )
    return {"a second": float(_found(r"Requests/sec:\s+([\d.]+)", told)), "µs": spent / number * 1e6, "p99 ms": p99}


def _found(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    if match is None:
        raise ValueError(f"wrk says nothing of {pattern}: {text}")
    return match[1]


def run(rounds: int, seconds: float) -> dict[str, dict[str, Spread]]:
    """By work the figures of all, and how many times the others are ours, round by round."""
    turns: dict[str, list[dict[str, float]]] = {work: [] for work in WORKS}
    with tempfile.TemporaryDirectory(prefix="bench-") as name, ExitStack() as stack:
        folder, port = Path(name), free_port()
        stack.enter_context(nginx(folder, "site", UPSTREAM.format(port=port, body=BODY), core=CLIENT))
        proxies = {each: stack.enter_context(made(folder, f"127.0.0.1:{port}")) for each, made in PROXIES.items()}  # type: ignore[call-overload]
        for number in range(rounds + 1):
            order = list(proxies) if number % 2 else [*reversed(proxies)]
            for work, script in WORKS.items():
                told = {each: loaded(proxies[each], folder, script, seconds) for each in order}
                if number:  # the first one warms up
                    turns[work].append(_turn(told))
    return {work: spreads(found) for work, found in turns.items()}


def _turn(told: dict[str, dict[str, float]]) -> dict[str, float]:
    turn = {f"{name}, {figure}": value for name, figures in told.items() for figure, value in figures.items()}
    ours = told["Meristem"]
    for name, figures in told.items():
        if name != "Meristem":
            turn[f"times {name}, a second"] = ours["a second"] / figures["a second"]
            turn[f"times {name}, by processor time"] = figures["µs"] / ours["µs"]
    return turn


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--json", action="store_true", help="Print JSON.")
    given = parser.parse_args()
    if (why := missing()) is not None:
        parser.error(why)
    found = run(given.rounds, given.seconds)
    if given.json:
        print(json.dumps(found))
        return
    for work, figures in found.items():
        print(f"requests that are {work}")
        for name, each in sorted(figures.items()):
            print(f"  {name:<40} {short(each.median)} ({short(each.low)} to {short(each.high)})")


if __name__ == "__main__":
    main()
