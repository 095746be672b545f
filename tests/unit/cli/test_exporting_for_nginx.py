"""`meristem gateway export nginx`: its files, what it refuses, and what it writes where approximations are allowed."""

import pytest

POLICY = """
[server]
trusted_proxies = ["10.0.0.0/8"]

[gateway.limits.visitors]
rate = "200/s"
burst = 100
delay = true

[gateway.routes.site]
limits = ["visitors"]

[gateway.issuers.main]
issuer = "https://login.example"
audience = "shop"
algorithms = ["HS256"]
"""
SHARED = POLICY.replace('rate = "200/s"', 'rate = "200/s"\nstore = "redis://redis.internal"')
ACME = (
    POLICY
    + """
[gateway.tls.acme]
directory = "https://acme.example/directory"
agree_to_terms = true
hosts = ["shop.example"]
"""
)


@pytest.fixture
def export(project, meristem):
    """Exports a policy for nginx into `out`."""

    async def run(policy: str, *options: str):
        (project / "place.toml").write_text(policy)
        return await meristem("gateway", "export", "nginx", "--placement", "place.toml", "--out", "out", *options)

    return run


async def test_the_same_policy_gives_the_same_bytes_for_nginx(project, export):
    first = await export(POLICY, "--upstream", "127.0.0.1:9000", "--http", "[::]:8080")
    assert (first.code, first.err) == (0, "")
    before = {each.relative_to(project): each.read_bytes() for each in (project / "out").rglob("*") if each.is_file()}
    named = {str(each) for each in before}
    assert {"out/nginx.conf", "out/meristem.conf", "out/lua/meristem/policy.lua", "out/lua/meristem/gate.lua"} <= named
    configuration = (project / "out" / "meristem.conf").read_text()
    assert "server 127.0.0.1:9000;" in configuration
    assert "listen [::]:8080;" in configuration
    assert "set_real_ip_from 10.0.0.0/8;" in configuration
    assert "_GATEWAY_MAIN_SECRET;" in (project / "out" / "nginx.conf").read_text()
    assert '["tolerance"] = 0.5' in (project / "out" / "lua" / "meristem" / "policy.lua").read_text()

    await export(POLICY, "--upstream", "127.0.0.1:9000", "--http", "[::]:8080")
    again = {each.relative_to(project): each.read_bytes() for each in (project / "out").rglob("*") if each.is_file()}
    assert again == before


async def test_files_that_nginx_reads_are_named_by_their_whole_paths(project, export):
    (project / "blocked.txt").write_text("192.0.2.0/24\n")
    rule = '[[gateway.firewall.rules]]\naction = "deny"\naddresses_file = "blocked.txt"\n'
    made = await export(rule + '[gateway.keys]\nfile = "keys.json"\n')
    assert made.code == 0
    policy = (project / "out" / "lua" / "meristem" / "policy.lua").read_text()
    assert f'["file"] = "{project / "blocked.txt"}"' in policy
    assert f'["keys"] = "{project / "keys.json"}"' in policy


async def test_what_nginx_cannot_do_is_refused_and_told_where_it_may_be_approximate(project, export):
    refused = await export(SHARED)
    assert refused.code != 0
    assert "[gateway.limits.visitors] store: nginx asks no Redis" in refused.err
    assert "--approximate" in refused.err
    assert not (project / "out").exists()

    allowed = await export(SHARED, "--approximate")
    assert allowed.code == 0
    assert "instead each nginx counts for itself" in allowed.err
    assert "each nginx counts for itself" in (project / "out" / "meristem.conf").read_text()


async def test_what_has_no_safe_stand_in_is_refused_in_any_case(project, export):
    refused = await export(ACME, "--approximate")
    assert refused.code != 0
    assert "[gateway.tls.acme]: nginx orders no certificates" in refused.err
    assert not (project / "out").exists()
