"""`meristem gateway`: what became of requests at the gateway of a running system, whom it keeps out, its export."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, TypeVar

import click

from meristem.cli.gateway_export import export
from meristem.cli.loading_system import json_option, system_argument, system_option
from meristem.cli.output import counted, print_json, print_table
from meristem.cli.running_operators import ask_running
from meristem.cli.running_systems import one_of, running_systems
from meristem.cli.verb_groups import VerbGroup
from meristem.errors import OperationError
from meristem.operators.gateway_contract import GatewayControl
from meristem.quantities import seconds_of
from meristem.telemetry.metrics import quantile

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from meristem.gateway.certificate_view import CertificateView
    from meristem.gateway.policy.refusals import RefusalView


Told = TypeVar("Told")
NOTHING_RUNS: Final = "no system runs from here; start one with: meristem run"
NO_CONTRACT: Final = "does not answer its operators; does its placement say [operator] dashboard = false?"
DRY: Final = " (dry run)"
MOST_REFUSALS: Final = 20
NO_GATEWAY: Final = "its placement has no [gateway]"
name_option = click.option("--name", help="Which system, where several run from here; `meristem ps` shows them.")


@click.group(cls=VerbGroup)
def gateway() -> None:
    """Show what became of requests at the gateway, keep people out, and write its policy for other proxies."""


gateway.add_command(export)


@gateway.command("status")
@system_argument
@name_option
@json_option
def status(target: str | None, *, name: str | None, as_json: bool) -> None:
    """Show the routes, the limits, the certificate, and the latest requests that were refused, each with the reason."""
    view = _asked(target, name, lambda gateway: gateway.overview())
    if as_json:
        print_json(view)
        return
    _say_what_is_silent(view.silent)
    if not view.is_there:
        click.echo(NO_GATEWAY)
        return
    rows = [
        [each.name, f"{each.admitted:,}", _listed(each.statuses), _quantiles(each.durations),
         f"{sum(each.refused.values()):,}", _by(each.refused, each.would_refuse)]
        for each in view.routes
    ]  # fmt: skip
    heads = ["route", "admitted", "answers", "p50 / p99", "refused", "by"]
    print_table("Routes", heads, rows, "no routes")
    limits = [
        [each.name, each.rate, f"{each.burst}", " and ".join(each.by), f"{each.keys:,}", f"{each.waiting}",
         ", ".join(f"{one.key} {one.share:.0%}" for one in each.fullest[:3])]
        for each in view.limits
    ]  # fmt: skip
    if limits:
        click.echo()
        print_table("Limits", ["limit", "rate", "burst", "by", "keys", "waiting", "fullest"], limits, "")
    if view.certificate is not None:
        click.echo()
        _say_certificate(view.certificate)
    if latest := _latest(view.latest):
        click.echo()
        print_table("Refused last", ["when (UTC)", "times", "who", "what", "route", "why"], latest[:MOST_REFUSALS], "")


@gateway.command("bans")
@system_argument
@name_option
@json_option
def bans(target: str | None, *, name: str | None, as_json: bool) -> None:
    """Show the addresses that are banned, until when, and for what."""
    view = _asked(target, name, lambda gateway: gateway.overview())
    if as_json:
        print_json(view.bans)
        return
    _say_what_is_silent(view.silent)
    rows = [[each.address, _shown(each.since), _shown(each.until), each.why] for each in view.bans]
    print_table("", ["address", "since (UTC)", "until", "why"], rows, "no address is banned")
    if view.banned > len(rows):
        click.echo(f"the latest {len(rows):,} of {view.banned:,}")


@gateway.command("unban")
@click.argument("address")
@system_option
@name_option
def unban(target: str | None, address: str, *, name: str | None) -> None:
    """Let an address in again, in every replica of the edge; of IPv6 its network of 64 bits."""
    found = _asked(target, name, lambda gateway: gateway.unban(address))
    _say_what_is_silent(found.silent)
    click.echo(f"{address} may come in again" if found.replicas else f"{address} was not banned")


@gateway.command("ban")
@click.argument("address")
@system_option
@name_option
@click.option("--for", "lasts", default="10 min", show_default=True, help="For how long: 10 min, 1h, 7d.")
@click.option("--why", default="by hand", show_default=True, help="What is told of it where bans are listed.")
def ban(target: str | None, address: str, *, name: str | None, lasts: str, why: str) -> None:
    """Keep an address out for a time, in every replica of the edge; of IPv6 its network of 64 bits."""
    try:
        seconds = seconds_of(lasts)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    found = _asked(target, name, lambda gateway: gateway.ban(address, seconds, why))
    _say_what_is_silent(found.silent)
    click.echo(
        f"{address} is banned until {_shown(time.time() + seconds)} UTC, in {counted(found.replicas, 'replica')}"
    )


def _asked(target: str | None, name: str | None, question: Callable[[GatewayControl], Awaitable[Told]]) -> Told:
    state, running = one_of(running_systems(target), name, NOTHING_RUNS)
    found = ask_running(running, GatewayControl, question)
    if found is None:
        raise OperationError(f"{state.path.name} {NO_CONTRACT}")
    return found


def _say_certificate(certificate: CertificateView) -> None:
    hosts = ", ".join(certificate.hosts) or "no host"
    until = "there is none yet" if certificate.until is None else f"until {_shown(certificate.until)} UTC"
    click.echo(f"Certificate for {hosts}: {until}, from {certificate.source}")
    if certificate.failures and certificate.failed_at is not None and certificate.next_at is not None:
        click.echo(
            f"  {counted(certificate.failures, 'attempt')} failed, the last at {_shown(certificate.failed_at)} UTC: "
            f"{certificate.failure}; the next is at {_shown(certificate.next_at)} UTC"
        )


def _say_what_is_silent(silent: list[str]) -> None:
    if silent:
        click.echo(f"silent, so not among these: {', '.join(silent)}", err=True)


def _by(refused: dict[str, int], would: dict[str, int]) -> str:
    told = [_listed(refused)] if refused else []
    return ", ".join((*told, *(f"{name} {count:,} (dry run)" for name, count in would.items())))


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())


def _latest(refusals: Iterable[RefusalView]) -> list[list[str]]:
    """The latest first; those that are alike but for their time are one, or a client that goes on would be all."""
    seen: dict[tuple[str, ...], list[float]] = {}
    for each in refusals:
        why = each.why + DRY * each.dry_run
        seen.setdefault((each.client, f"{each.method} {each.path}", each.route, why), []).append(each.time)
    return [[_shown(max(times)), f"{len(times):,}", *told] for told, times in seen.items()]


def _quantiles(durations: list[int]) -> str:
    """In milliseconds, as they are at most until the answers began."""
    if not any(durations):
        return ""
    found = [quantile(durations, each) * 1000 for each in (0.5, 0.99)]
    return " / ".join(f"{each:.3g}" if each < 1000 else f"{each:,.0f}" for each in found) + " ms"


def _shown(moment: float) -> str:
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M:%S}"
