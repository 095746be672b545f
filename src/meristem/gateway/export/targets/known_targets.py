"""The proxies for which a policy can be written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from meristem.gateway.export.envoy.configuration import ENVOY
from meristem.gateway.export.file_heads import headed
from meristem.gateway.export.gaps import refuse, shortfalls
from meristem.gateway.export.kubernetes.gateway_api import GATEWAY_API
from meristem.gateway.export.nginx.nginx_configuration import NGINX

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from meristem.gateway.export.exported_policy import ExportedPolicy
    from meristem.gateway.export.gaps import ExportTarget, Shortfall

TARGETS: Final[Mapping[str, ExportTarget]] = {"nginx": NGINX, "envoy": ENVOY, "gateway-api": GATEWAY_API}


class Exported(NamedTuple):
    """The files of a policy by their paths, and what of it they hold only approximately."""

    files: Mapping[str, str]
    shortfalls: Sequence[Shortfall]


def exported(target: str, policy: ExportedPolicy, *, approximate: bool = False) -> Exported:
    """A policy as files for one of `TARGETS`; raises ConfigurationError for what that cannot hold.

    Each file begins with a comment on where it is from, and on what of the policy it holds only approximately.
    """
    chosen = TARGETS[target]
    found = shortfalls(policy, chosen.gaps)
    refuse(found, chosen.proxy, approximate=approximate)
    made = chosen.files(policy)
    files = {name: headed(text, name, target, policy.system, found) for name, text in made.items()}
    return Exported(files, found)
