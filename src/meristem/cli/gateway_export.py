"""`meristem gateway export`: the policy of a placement as files for nginx, Envoy or the Kubernetes Gateway API."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from meristem.cli.loading_system import load_blueprint, placement_option, system_option
from meristem.cli.output import writing
from meristem.errors import ConfigurationError
from meristem.gateway.export.exported_policy import ExportedPolicy, HostPort, matches_of
from meristem.gateway.export.targets import TARGETS, exported
from meristem.runtime.gateway_identity import keys_file
from meristem.system.addresses import edge
from meristem.system.gateway_parts import part_paths
from meristem.system.state_directory import StateDirectory

if TYPE_CHECKING:
    from collections.abc import Sequence

HTTP: Final = 80
HTTPS: Final = 443
EDGE: Final = "127.0.0.1:8000"  # where `meristem run` serves the public


class HostPortParameter(click.ParamType[HostPort]):
    """`HOST:PORT`, of IPv6 `[HOST]:PORT`."""

    name = "HOST:PORT"

    def convert(self, value: str, parameter: click.Parameter | None, context: click.Context | None) -> HostPort:
        host, _, port = value.rpartition(":")
        if not (host and port.isdecimal() and port.isascii() and 0 < int(port) < 65536) or "/" in host:
            self.fail(f"{value!r} is no host and port such as 127.0.0.1:8000", parameter, context)
        return HostPort(host.removeprefix("[").removesuffix("]"), int(port))


@click.command("export")
@click.argument("proxy", type=click.Choice([*TARGETS]))
@click.option(
    "-o", "--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="The folder for the files."
)
@system_option
@placement_option
@click.option(
    "--upstream",
    "upstreams",
    type=HostPortParameter(),
    multiple=True,
    default=[EDGE],
    show_default=True,
    help="Where an edge of the system serves; may be given several times.",
)
@click.option("--http", type=HostPortParameter(), default=f"0.0.0.0:{HTTP}", show_default=True, help="Where to listen.")
@click.option(
    "--https",
    type=HostPortParameter(),
    default=f"0.0.0.0:{HTTPS}",
    show_default=True,
    help="Where to listen by TLS, if the placement has certificates.",
)
@click.option("--approximate", is_flag=True, help="Write what comes closest, where a proxy cannot do what is asked.")
def export(
    proxy: str,
    out: Path,
    target: str | None,
    placement: Path | None,
    upstreams: Sequence[HostPort],
    http: HostPort,
    https: HostPort,
    *,
    approximate: bool,
) -> None:
    """Write the gateway's policy for another proxy, that stands before the edge.

    The same policy gives the same bytes. What the proxy cannot do is told, and then nothing is written.
    """
    blueprint, directory = load_blueprint(target, placement, as_it_runs=True)
    plan, placed = blueprint.plan, blueprint.placement
    table = placed.gateway
    if table is None:
        raise ConfigurationError(
            "the placement has no [gateway], so there is nothing to export; give one by --placement"
        )
    policy = ExportedPolicy(
        system=blueprint.system.name,
        table=table,
        matches=matches_of(table, part_paths(plan)),
        upstreams=(*upstreams,),
        http=http,
        https=None if table.tls is None else https,
        trusted_proxies=placed.limits_of(edge(plan).name).trusted_proxies,
        keys_file=str(keys_file(table, directory, StateDirectory(directory, blueprint.system.name).path)),
    )
    made = exported(proxy, policy, approximate=approximate)
    for name, text in made.files.items():
        path = out / name
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        click.echo(f"wrote {path}")
    for each in made.shortfalls:
        click.echo(f"approximately: {each}; instead {each.gap.instead}", err=True)
