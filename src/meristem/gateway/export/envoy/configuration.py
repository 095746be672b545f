"""Envoy as a proxy to which a policy can be exported: one static configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from meristem.gateway.export.envoy.endpoints import EDGE, cluster
from meristem.gateway.export.envoy.envoy_gaps import GAPS
from meristem.gateway.export.envoy.listeners import listeners
from meristem.gateway.export.envoy.token_verification import key_clusters
from meristem.gateway.export.gaps import ExportTarget
from meristem.gateway.export.yaml_text import yaml_text

if TYPE_CHECKING:
    from meristem.gateway.export.exported_policy import ExportedPolicy

NOTE: Final = """\
# Tried with Envoy 1.40. The edge behind keeps its whole table in force; name Envoy in its trusted_proxies, else it
# takes Envoy's address for that of all clients, and TLS for none.
"""


def _files(policy: ExportedPolicy) -> dict[str, str]:
    clusters = [cluster(EDGE, policy.upstreams), *key_clusters(policy.table.issuers)]
    known = {"static_resources": {"listeners": [*listeners(policy)], "clusters": clusters}}
    return {"envoy.yaml": NOTE + yaml_text(known)}


ENVOY: Final = ExportTarget("Envoy", GAPS, _files)
