"""What the edge forwards: apps of other processes and mounted programs, each with the way to its replicas."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from meristem.context import Context
from meristem.discovery.environment import replicas_variable, url_variable
from meristem.errors import WiringError
from meristem.gateway.fast_forwarding import FastForwarding
from meristem.gateway.forwarder import Forwarder
from meristem.gateway.request_head import ForeignHead, OwnHead
from meristem.gateway.traced import Traced
from meristem.gateway.upstream import Upstream
from meristem.system.addresses import foreign_apps

if TYPE_CHECKING:
    from meristem.asgi import ASGIApp
    from meristem.gateway.request_head import UpstreamHead
    from meristem.runtime.assembly import Assembly
    from meristem.telemetry.http_requests import HttpRequests


class Forwarding(NamedTuple):
    """What is forwarded below one mount: the way there, the application that takes it, and the short way for most."""

    upstream: Upstream
    app: ASGIApp
    fast: FastForwarding


def forwardings(assembly: Assembly) -> dict[str, Forwarding]:
    """By mount what this process, the edge, hands on: apps of other processes, and programs.

    Raises WiringError where nothing tells where one of them is.
    """
    plan = assembly.blueprint.plan
    found: dict[str, Forwarding] = {}
    requests, sign = assembly.telemetry.forwarded(assembly.process.name), assembly.options.sign
    prove = None if sign is None else (lambda user: sign(Context(user=user)))
    foreign = foreign_apps(assembly.options.environment)
    for app in plan.apps:
        if app.name in assembly.process.apps:
            continue
        is_ours = app.name not in foreign
        upstream = _upstream(assembly, f"the app {app.name} lives in another process", app.name, tells=is_ours)
        head = OwnHead(app.name, prove) if is_ours else ForeignHead(app.mount, is_told=True)
        # Of a request to one of our own processes that one tells.
        figures = requests if is_ours else assembly.telemetry.requests(app.name)
        found[app.mount] = _forwarding(upstream, head, figures, is_told=not is_ours)
    for program in plan.programs:
        if program.mount is not None:
            text = f"the program {program.name} has the mount {program.mount}"
            upstream = _upstream(assembly, text, program.name, tells=False)
            figures = assembly.telemetry.requests(program.name)
            found[program.mount] = _forwarding(upstream, ForeignHead(program.mount), figures, is_told=True)
    return found


def _forwarding(upstream: Upstream, head: UpstreamHead, figures: HttpRequests, *, is_told: bool) -> Forwarding:
    app = Traced(Forwarder(upstream, head), figures, is_told=is_told)
    return Forwarding(upstream, app, FastForwarding(upstream, head, figures, is_told=is_told))


def _upstream(assembly: Assembly, text: str, name: str, *, tells: bool) -> Upstream:
    resolver = assembly.options.resolver
    if resolver is None or not resolver.knows(name):
        variable = replicas_variable(name) if tells else url_variable(name)
        raise WiringError(f"{text}, and nothing here tells where: set {variable}=http://host:port")
    return Upstream(name, resolver, tells=tells, patience=assembly.blueprint.placement.supervision.away)
