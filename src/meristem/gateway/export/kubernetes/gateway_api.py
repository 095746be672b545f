"""The Kubernetes Gateway API as a proxy to which a policy can be exported."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from meristem.errors import ConfigurationError
from meristem.gateway.export.gaps import ExportTarget
from meristem.gateway.export.kubernetes.gateway_api_gaps import GAPS
from meristem.gateway.export.kubernetes.manifests import Manifests
from meristem.gateway.export.yaml_text import yaml_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from meristem.gateway.export.exported_policy import ClusterNames, ExportedPolicy
    from meristem.gateway.export.kubernetes.manifests import Manifest

LABEL: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
SUBDOMAIN: Final = re.compile(r"(?=.{1,253}\Z)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
EVERYWHERE: Final = ("0.0.0.0", "::")  # noqa: S104 - what a Gateway does anyway
NOTE: Final = """\
# For the Gateway API 1.5 or newer, of the standard channel. The edge behind keeps its whole table in force; name the
# Gateway in its trusted_proxies, else it takes the Gateway's address for that of all clients, and TLS for none.
"""


def _files(policy: ExportedPolicy) -> dict[str, str]:
    names = policy.cluster
    if names is None or (problem := next(_problems(policy, names), None)) is not None:
        raise ConfigurationError("gateway-api: the names in the cluster are missing" if names is None else problem)
    manifests = Manifests(policy, names)
    return {"gateway.yaml": _yaml([manifests.gateway()]), "routes.yaml": _yaml(manifests.routes())}


def _yaml(manifests: Iterable[Manifest]) -> str:
    return NOTE + "".join(f"---\n{yaml_text(each)}" for each in manifests)


def _problems(policy: ExportedPolicy, names: ClusterNames) -> Iterator[str]:
    """What cannot be written for Kubernetes, by the options that said it."""
    for each in policy.upstreams:
        if LABEL.fullmatch(each.host) is None or each.host.isdecimal():
            yield f"--upstream {each}: name the Service of the edge and its port, such as --upstream shop:8000"
    for option, endpoint in (("--http", policy.http), ("--https", policy.https)):
        if endpoint is not None and endpoint.host not in EVERYWHERE:
            yield f"{option} {endpoint}: a Gateway has addresses of its own; say the port alone, as 0.0.0.0:80 does"
    if policy.https is not None and policy.http.port == policy.https.port:
        yield f"--http and --https are both port {policy.http.port}; give one of them another"
    if policy.https is not None and names.tls_secret is None:
        yield "[gateway] tls: in a cluster certificates are in a Secret; name it by --tls-secret"
    for option, value, form in (
        ("--gateway-class", names.gateway_class, SUBDOMAIN),
        ("--namespace", names.namespace, LABEL),
        ("--tls-secret", names.tls_secret, SUBDOMAIN),
    ):
        if value is not None and form.fullmatch(value) is None:
            yield f"{option} {value!r} is no name of an object in Kubernetes: small letters, digits and -"


GATEWAY_API: Final = ExportTarget("the Gateway API", GAPS, _files)
