"""`meristem gateway export`: what it writes into a folder, what it leaves as it is, and what it says."""

import os

import click
import pytest
import yaml

from meristem.cli.exported_files import ExportedFiles
from meristem.cli.gateway_export import _cluster
from meristem.errors import OperationError

POLICY = """
[gateway.routes.post]
path = "/api/post/*"

[gateway.routes.old]
hosts = ["old.example"]
redirect = "https://shop.example"
"""
LIMITED = """
[gateway.limits.visitors]
rate = "200/s"

[gateway.routes.site]
path = "/*"
limits = ["visitors"]
"""
FOR_CLUSTER = ("--gateway-class", "any", "--upstream", "shop:8000")


@pytest.fixture
def export(project, meristem):
    """Exports the policy of `place.toml` for the Gateway API."""
    (project / "place.toml").write_text(POLICY)

    async def run(*options: str, out: str = "out", proxy: str = "gateway-api"):
        said = ("--placement", "place.toml", "--out", out)
        return await meristem("gateway", "export", proxy, *said, *FOR_CLUSTER, *options)

    return run


async def test_the_same_policy_gives_the_same_bytes_and_tells_where_they_are_from(project, export):
    first = await export()
    assert (first.code, first.err) == (0, "")
    assert first.out.splitlines() == ["wrote out/gateway.yaml", "wrote out/routes.yaml"]
    before = {each.name: each.read_bytes() for each in (project / "out").iterdir()}
    assert {*before} == {"gateway.yaml", "routes.yaml"}
    for content in before.values():
        assert content.startswith(
            b"# Written by `meristem gateway export gateway-api` from the [gateway] of the system"
        )

    await export()
    assert {each.name: each.read_bytes() for each in (project / "out").iterdir()} == before


async def test_files_have_the_rights_of_other_files(project, export):
    mask = os.umask(0o022)
    os.umask(mask)
    await export()
    assert (project / "out" / "routes.yaml").stat().st_mode & 0o777 == 0o666 & ~mask


async def test_check_tells_which_files_are_not_fresh_and_writes_nothing(project, export):
    missing = await export("--check")
    assert missing.code == 1
    assert missing.err.splitlines()[:2] == ["out/gateway.yaml is missing", "out/routes.yaml is missing"]
    assert not (project / "out").exists()

    await export()
    fresh = await export("--check")
    assert (fresh.code, fresh.err) == (0, "")

    (project / "place.toml").write_text(POLICY.replace("/api/post/*", "/api/posts/*"))
    changed = await export("--check")
    assert changed.code == 1
    assert changed.err.splitlines() == ["out/routes.yaml differs", "export without --check to write them anew"]
    assert "/api/posts" not in (project / "out" / "routes.yaml").read_text()


async def test_what_no_export_writes_any_more_goes_and_what_others_wrote_stays(project, export):
    await export()
    out = project / "out"
    (out / "earlier.yaml").write_bytes((out / "routes.yaml").read_bytes())
    (out / "ours.yaml").write_text("kind: Service\n")

    stale = await export("--check")
    assert (stale.code, stale.err.splitlines()[0]) == (1, "out/earlier.yaml is of an earlier export")
    told = await export()
    assert "removed out/earlier.yaml, which an earlier export had written" in told.out
    assert {each.name for each in out.iterdir()} == {"gateway.yaml", "routes.yaml", "ours.yaml"}


async def test_a_file_of_somebody_else_is_not_written_over(project, export):
    (project / "out").mkdir()
    (project / "out" / "routes.yaml").write_text("kind: HTTPRoute\n")
    told = await export()
    assert told.code == 1
    assert "out/routes.yaml was not written by this export, so it is left as it is" in told.err
    assert {each.name: each.read_text() for each in (project / "out").iterdir()} == {"routes.yaml": "kind: HTTPRoute\n"}


async def test_a_folder_that_cannot_be_written_is_told(project, export):
    (project / "out").mkdir()
    (project / "out" / "routes.yaml").mkdir()
    told = await export()
    assert told.code == 1
    assert "out/routes.yaml was not written by this export" in told.err
    assert [each.name for each in (project / "out").iterdir()] == ["routes.yaml"]
    assert "is a file" in (await export(out="place.toml")).err
    below = await export(out="place.toml/out")
    assert below.code == 1
    assert "cannot write place.toml/out/gateway.yaml: Not a directory; make room" in below.err


def test_where_one_file_cannot_be_written_none_is(tmp_path):
    (tmp_path / "parts").write_text("a file where a folder should be")
    files = ExportedFiles(
        tmp_path, {"first.conf": "# ours\n1", "parts/second.conf": "# ours\n2"}, lambda name: "# ours"
    )
    (tmp_path / "first.conf").write_text("# ours\n0")
    with pytest.raises(OperationError, match=r"parts/second\.conf"):
        files.write()
    assert (tmp_path / "first.conf").read_text() == "# ours\n0"
    assert {each.name for each in tmp_path.iterdir()} == {"parts", "first.conf"}


async def test_what_a_proxy_cannot_do_is_refused_unless_it_may_be_approximate(project, export):
    (project / "place.toml").write_text(LIMITED)
    refused = await export()
    assert refused.code == 1
    assert "the Gateway API cannot hold this policy" in refused.err
    assert "[gateway.routes.site] limits: a Gateway counts no requests" in refused.err
    assert "--approximate" in refused.err
    assert not (project / "out").exists()

    told = await export("--approximate")
    assert told.code == 0
    sentence = "[gateway.routes.site] limits: a Gateway counts no requests; instead it is left to the edge behind"
    assert f"approximately: {sentence}" in told.err
    for each in (project / "out").iterdir():
        text = each.read_text()
        assert sentence in text.replace("\n#   ", " ")
        assert [*yaml.safe_load_all(text)]


@pytest.mark.parametrize(
    ("placement", "told"),
    [
        ("", "place.toml has no [gateway], so there is nothing to export"),
        ('[gateway.routes.a]\napp = "nothing"', "no app or program 'nothing' is mounted"),
        ('[gateway.routes.a]\noperations = ["shop.post.v1.Post.idl"]', "there is no operation 'shop.post.v1.Post.idl'"),
        ("[gateway.tls]\ncertificate = 'c.pem'\nkey = 'k.pem'", "name it by --tls-secret"),
    ],
)
async def test_a_placement_that_cannot_be_exported_says_why(project, export, placement, told):
    (project / "place.toml").write_text(placement)
    answer = await export()
    assert answer.code == 1
    assert told in answer.err
    assert not (project / "out").exists()


async def test_without_a_placement_it_says_how_to_name_one(meristem):
    told = await meristem("gateway", "export", "gateway-api", "--out", "out", *FOR_CLUSTER)
    assert told.code == 1
    assert "no placement is given, and none runs, so there is nothing to export" in told.err
    assert "by --placement" in told.err


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--gateway-class", "Any!"), "--gateway-class 'Any!' is no name of an object in Kubernetes"),
        (("--namespace", "a.b"), "--namespace 'a.b' is no name"),
        (("--upstream", "10.0.0.1:80"), "--upstream 10.0.0.1:80: name the Service of the edge and its port"),
        (("--http", "127.0.0.1:80"), "--http 127.0.0.1:80: a Gateway has addresses of its own"),
        (("--tls-secret", "tls", "--https", "0.0.0.0:80"), "--http and --https are both port 80"),
        (("--http", "eighty"), "'eighty' is no host and port"),
    ],
)
async def test_an_option_that_cannot_be_meant_is_refused(export, options, told):
    answer = await export(*options)
    assert answer.code in {1, 2}
    assert told in answer.err


async def test_the_gateway_api_needs_the_name_of_a_class(meristem):
    told = await meristem("gateway", "export", "gateway-api", "--out", "out")
    assert told.code == 2
    assert "gateway-api needs --gateway-class NAME" in told.err


def test_names_in_a_cluster_are_refused_for_a_proxy_that_stands_in_none():
    with pytest.raises(click.UsageError, match="--tls-secret is a name in a cluster, for gateway-api alone: leave it"):
        _cluster("nginx", None, None, "shop-tls")


async def test_names_in_the_cluster_are_in_the_manifests(project, export):
    await export("--namespace", "hall", "--tls-secret", "hall-tls")
    gateway, *routes = [
        each
        for name in ("gateway.yaml", "routes.yaml")
        for each in yaml.safe_load_all((project / "out" / name).read_text())
    ]
    assert gateway["spec"]["gatewayClassName"] == "any"
    assert gateway["spec"]["listeners"][1]["tls"]["certificateRefs"] == [{"kind": "Secret", "name": "hall-tls"}]
    assert {each["metadata"]["namespace"] for each in (gateway, *routes)} == {"hall"}


async def test_for_envoy_one_file_is_written_that_tells_what_it_does_not_hold(project, meristem):
    (project / "place.toml").write_text(LIMITED.replace('"200/s"', '"200/s"\nburst = 10\ndelay = true'))
    command = ("gateway", "export", "envoy", "--placement", "place.toml", "--out", "out", "--http", "127.0.0.1:8080")
    refused = await meristem(*command)
    sentence = "[gateway.limits.visitors] delay: Envoy refuses what is too much, and lets nothing wait"
    assert refused.code == 1
    assert sentence in refused.err
    assert not (project / "out").exists()

    told = await meristem(*command, "--approximate", "--upstream", "[::1]:8000")
    assert (told.code, told.out) == (0, "wrote out/envoy.yaml\n")
    assert f"approximately: {sentence}; instead what is within the burst goes on at once" in told.err
    text = (project / "out" / "envoy.yaml").read_text()
    assert text.startswith("# Written by `meristem gateway export envoy` from the [gateway] of the system ")
    made = yaml.safe_load(text)["static_resources"]
    assert made["listeners"][0]["address"]["socket_address"] == {"address": "127.0.0.1", "port_value": 8080}
    assert [each["name"] for each in made["clusters"]] == ["edge"]
