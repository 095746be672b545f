"""Exported manifests, and what the Gateway API's own schemas and types say of them."""

from __future__ import annotations

import copy
import json
import random
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from meristem.gateway.export.exported_policy import ClusterNames, ExportedPolicy, HostPort, matches_of
from meristem.gateway.export.targets.known_targets import exported
from meristem.gateway.policy.gateway_table import GatewayTable
from meristem.gateway.policy.header_table import AnswerHeaderTable, CorsTable
from meristem.gateway.policy.route_table import GatewayRouteTable, RedirectTable
from meristem.gateway.policy.tls_table import TlsTable
from tests.interop.nodejs import installed
from tests.unit.gateway.export.test_exported_routes import PARTS
from tests.unit.gateway.export.test_gateway_api_routes import some_policy

HERE = Path(__file__).parent / "kubernetes"
TYPED = """\
import type {{ IGateway }} from "@kubernetes-models/gateway-api/gateway.networking.k8s.io/v1/Gateway";
import type {{ IHTTPRoute }} from "@kubernetes-models/gateway-api/gateway.networking.k8s.io/v1/HTTPRoute";
export const gateways: IGateway[] = {gateways};
export const routes: IHTTPRoute[] = {routes};
"""
Manifest = dict[str, Any]
pytestmark = pytest.mark.xdist_group("gateway-api")  # the packages are installed once


@pytest.fixture(scope="session")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return installed(HERE, tmp_path_factory.mktemp("kubernetes") / "tools", seconds=110)


def manifests_of(table: GatewayTable) -> list[Manifest]:
    policy = ExportedPolicy(
        system="shop",
        table=table,
        matches=matches_of(table, PARTS),
        upstreams=(HostPort("shop", 8000), HostPort("shop-b", 8000)),
        http=HostPort("0.0.0.0", 80),
        https=HostPort("0.0.0.0", 443),
        cluster=ClusterNames("any", "shop", "shop-tls"),
    )
    files = exported("gateway-api", policy, approximate=True).files
    return [each for text in files.values() for each in yaml.safe_load_all(text)]


@pytest.fixture(scope="session")
def manifests() -> list[Manifest]:
    """Of tables by chance, and of one that has all there is."""
    chance = random.Random(29)
    found = [each for _ in range(20) for each in manifests_of(some_policy(chance, by_segments=False)[0].table)]
    table = GatewayTable(
        hosts=("shop.example", "*.shop.example"),
        https=True,
        tls=TlsTable("c.pem", "k.pem"),
        headers=AnswerHeaderTable({"x-team": "shop"}),
        cors=CorsTable(("https://*.shop.example:8443",), headers=("x-a",), credentials=True, expose=("x-b",)),
        routes={
            "pay": GatewayRouteTable(operations=("shop.v1.Payments/*",), timeout="2s", methods=("GET", "POST")),
            "img": GatewayRouteTable(path="/img*"),
            "old": GatewayRouteTable(hosts=("old.shop.example",), redirect="https://www.shop.example:8443/new"),
            "gone": GatewayRouteTable(path="/gone/*", redirect=RedirectTable("/", 302, keep_path=False)),
        },
    )
    return [*manifests_of(table), *found]


def ran(tools: Path, *command: str, told: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=tools, input=told, capture_output=True, text=True, timeout=100, check=False
    )  # fmt: skip


def found_wrong(tools: Path, manifests: list[Manifest]) -> list[str]:
    """What the schemas say, and the types: these know every field, and which there is not."""
    schemas = ran(tools, "node", "validate.mjs", told=json.dumps(manifests))
    assert schemas.returncode == 0, schemas.stderr
    kinds = {kind: [each for each in manifests if each["kind"] == kind] for kind in ("Gateway", "HTTPRoute")}
    source = TYPED.format(gateways=json.dumps(kinds["Gateway"]), routes=json.dumps(kinds["HTTPRoute"]))
    (tools / "manifests.ts").write_text(source)
    types = ran(tools, "node_modules/.bin/tsc", "-p", ".")
    return [*schemas.stdout.splitlines(), *types.stdout.splitlines()]


def test_the_schemas_find_nothing_wrong_with_what_is_exported(tools, manifests):
    assert len(manifests) > 50
    assert found_wrong(tools, manifests) == []


def no_number(manifests: list[Manifest]) -> None:
    manifests[0]["spec"]["listeners"][0]["port"] = "eighty"


def no_kind_of_match(manifests: list[Manifest]) -> None:
    manifests[1]["spec"]["rules"][0]["matches"][0]["path"]["type"] = "Prefix"


def no_host(manifests: list[Manifest]) -> None:
    manifests[1]["spec"]["hostnames"] = ["10.0.0.1:80"]


def no_field(manifests: list[Manifest]) -> None:
    rule = manifests[1]["spec"]["rules"][0]
    rule["match"] = rule.pop("matches")


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (no_number, "port must be integer"),
        (no_kind_of_match, "path/type must be equal to one of"),
        (no_host, "hostnames/0 must match pattern"),
        (no_field, "'match' does not exist in type 'IHTTPRouteRule'"),
    ],
)
def test_they_do_find_what_is_wrong(tools, manifests, spoil, told):
    changed = copy.deepcopy(manifests[:4])
    spoil(changed)
    assert any(told in each.replace('"', "").replace("''", "'") for each in found_wrong(tools, changed))
