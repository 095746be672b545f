"""`meristem gateway export`: the policy of a placement as files for other proxies."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from meristem.cli.exported_files import ExportedFiles
from meristem.cli.loading_system import load_blueprint, placement_option, system_option
from meristem.errors import ConfigurationError
from meristem.gateway.export.exported_policy import ClusterNames, ExportedPolicy, HostPort, matches_of
from meristem.gateway.export.file_heads import first_line
from meristem.gateway.export.targets.known_targets import TARGETS, exported
from meristem.runtime.gateway_identity import keys_file
from meristem.system.addresses import edge
from meristem.system.gateway_parts import part_paths
from meristem.system.state_directory import StateDirectory

if TYPE_CHECKING:
    from collections.abc import Sequence

HTTP: Final = 80
HTTPS: Final = 443
EDGE: Final = "127.0.0.1:8000"  # where `meristem run` serves the public
KUBERNETES: Final = "gateway-api"


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
    help="Where an edge of the system serves; may be given several times. For gateway-api a Service and its port.",
)
@click.option("--http", type=HostPortParameter(), default=f"0.0.0.0:{HTTP}", show_default=True, help="Where to listen.")
@click.option(
    "--https",
    type=HostPortParameter(),
    default=f"0.0.0.0:{HTTPS}",
    show_default=True,
    help="Where to listen by TLS, if there are certificates: the placement's, or for gateway-api --tls-secret.",
)
@click.option("--gateway-class", metavar="NAME", help="Of gateway-api, which needs it: the GatewayClass to be used.")
@click.option("--namespace", metavar="NAME", help="Of gateway-api: the namespace; without it kubectl's.")
@click.option("--tls-secret", metavar="NAME", help="Of gateway-api: the Secret with the certificate and its key.")
@click.option("--approximate", is_flag=True, help="Write what comes closest, where a proxy cannot do what is asked.")
@click.option("--check", is_flag=True, help="Write nothing; exit with 1 where files are not as they would be written.")
def export(
    proxy: str,
    out: Path,
    target: str | None,
    placement: Path | None,
    upstreams: Sequence[HostPort],
    http: HostPort,
    https: HostPort,
    *,
    gateway_class: str | None,
    namespace: str | None,
    tls_secret: str | None,
    approximate: bool,
    check: bool,
) -> None:
    """Write the gateway's policy for another proxy, that stands before the edge.

    The edge behind keeps its whole table in force. The same policy gives the same bytes. What the proxy cannot do is
    told, and then nothing is written unless --approximate is given. Files of an earlier export that are no longer
    needed are removed; those that this command has not written are left as they are.
    """
    cluster = _cluster(proxy, gateway_class, namespace, tls_secret)
    blueprint, directory = load_blueprint(target, placement, as_it_runs=True)
    plan, placed = blueprint.plan, blueprint.placement
    table = placed.gateway
    if table is None:
        told = "no placement is given, and none runs" if placement is None else f"{placement} has no [gateway]"
        raise ConfigurationError(f"{told}, so there is nothing to export; name one with a [gateway] by --placement")
    has_certificates = table.tls is not None or tls_secret is not None
    policy = ExportedPolicy(
        system=blueprint.system.name,
        table=table,
        matches=matches_of(table, part_paths(plan)),
        upstreams=(*upstreams,),
        http=http,
        https=https if has_certificates else None,
        trusted_proxies=placed.limits_of(edge(plan).name).trusted_proxies,
        keys_file=str(keys_file(table, directory, StateDirectory(directory, blueprint.system.name).path)),
        cluster=cluster,
    )
    made = exported(proxy, policy, approximate=approximate)
    files = ExportedFiles(out, made.files, partial(first_line, proxy, policy.system))
    if check:
        if differing := [*files.differing()]:
            click.echo("\n".join(differing), err=True)
            click.echo("export without --check to write them anew", err=True)
            raise SystemExit(1)
        click.echo(f"{out} is as the policy says")
        return
    written, removed = files.write()
    for path in written:
        click.echo(f"wrote {path}")
    for path in removed:
        click.echo(f"removed {path}, which an earlier export had written")
    for each in made.shortfalls:
        click.echo(f"approximately: {each}; instead {each.gap.instead}", err=True)


def _cluster(
    proxy: str, gateway_class: str | None, namespace: str | None, tls_secret: str | None
) -> ClusterNames | None:
    """The names in a cluster; raises UsageError where they are said of a proxy that stands in none, or are missing."""
    if proxy == KUBERNETES:
        if gateway_class is None:
            raise click.UsageError(
                "gateway-api needs --gateway-class NAME: which of the cluster's GatewayClasses makes the Gateway "
                "(kubectl get gatewayclasses)"
            )
        return ClusterNames(gateway_class, namespace, tls_secret)
    said = {"--gateway-class": gateway_class, "--namespace": namespace, "--tls-secret": tls_secret}
    if strange := [name for name, value in said.items() if value is not None]:
        raise click.UsageError(f"{strange[0]} is a name in a cluster, for {KUBERNETES} alone: leave it out for {proxy}")
    return None
