"""The files for nginx: a configuration, the policy, and the Lua that holds it."""

from __future__ import annotations

import re
from importlib.resources import files
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import urlsplit

from meristem.errors import ConfigurationError
from meristem.gateway.export.compressed_types import COMPRESSED_TYPES
from meristem.gateway.export.exported_policy import routes_of
from meristem.gateway.export.gaps import ExportTarget
from meristem.gateway.export.nginx.nginx_gaps import NGINX_GAPS
from meristem.gateway.export.nginx.nginx_policy import UNIX, asked_url, policy_text, secret_variables
from meristem.gateway.export.shared_lua import SHARED
from meristem.gateway.policy.gatekeeper import ELSE
from meristem.quantities import seconds_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from meristem.gateway.export.exported_policy import ExportedPolicy, HostPort
    from meristem.gateway.policy.gateway_table import GatewayTable
    from meristem.gateway.policy.route_table import GatewayRouteTable

LUA: Final = files(__package__) / "lua"
AT_ONCE: Final = 64  # connections to the edge that a worker keeps
UNWRITABLE: Final = re.compile(r"[\"'$\\\n\r{}]")
HOST: Final = re.compile(r"[A-Za-z0-9.:_\[\]-]+")
UNTIL_SILENT: Final = 3600  # seconds: a stream may be silent for long, and the edge has times of its own
HTML: Final = "text/html"  # of which nginx says that it is named twice: it always compresses that
MAIN: Final = """\
# An nginx that does nothing else. Start it in this folder:
#     nginx -p . -c nginx.conf
# Another one takes over load_module and env, and includes meristem.conf in its `http`; the folder lua is looked for in
# its prefix (-p).
load_module /usr/lib/nginx/modules/ndk_http_module.so;
load_module /usr/lib/nginx/modules/ngx_http_lua_module.so;
worker_processes auto;
pid nginx.pid;
error_log stderr notice;
{env}
events {{
    worker_connections 4096;
}}

http {{
    access_log off;
    client_body_temp_path body-temp;
    proxy_temp_path proxy-temp;
    fastcgi_temp_path fastcgi-temp;
    uwsgi_temp_path uwsgi-temp;
    scgi_temp_path scgi-temp;

    include meristem.conf;
}}
"""
HTTP: Final = """\
# What is decided about a request is decided in lua/, by the table lua/meristem/policy.lua.
lua_package_path "${{prefix}}lua/?.lua;;";
lua_shared_dict meristem_limits 32m;   # about 200,000 keys; of too many those are forgotten that came longest ago
lua_shared_dict meristem_crowds 8m;
lua_shared_dict meristem_bans 16m;
lua_shared_dict meristem_issuers {issuers}m;
lua_check_client_abort on;             # who leaves while waiting is not served
server_tokens off;
underscores_in_headers on;             # `x_team` is removed with `x-team`, so it must be seen
{trust}
map $http_upgrade $meristem_upgrade {{
    default "";
    ~*^websocket$ websocket;
}}
map $meristem_upgrade $meristem_connection {{
    default "";
    websocket upgrade;
}}
map $http_host $meristem_named_host {{
    "" $server_addr;                   # a client of HTTP/1.0 may name none, and the edge is asked by HTTP/1.1
    default $http_host;
}}
upstream meristem_edge {{
{upstreams}
    keepalive {at_once};
    keepalive_timeout 4s;
}}
{issuer_groups}
init_by_lua_block {{ require "meristem.gate" }}  # what is wrong with the policy is told when nginx starts
"""
SERVER: Final = """
server {{
    listen {listen};
    server_name "";
    absolute_redirect off;
    large_client_header_buffers 2 32k;
    set $meristem_target $request_uri;
    set $meristem_scheme $scheme;
    set $meristem_host $meristem_named_host;
    set $meristem_visit "";
{tls}{locations}{issuer_locations}}}
"""
LOCATION: Final = """
    location {name} {{
{access}        header_filter_by_lua_block {{ require("meristem.gate").answer() }}
        log_by_lua_block {{ require("meristem.gate").leave() }}
        proxy_pass http://meristem_edge$meristem_target;
        proxy_http_version 1.1;
        proxy_request_buffering off;
        proxy_buffering off;
        proxy_redirect off;
        proxy_ignore_headers X-Accel-Redirect X-Accel-Expires X-Accel-Limit-Rate X-Accel-Buffering X-Accel-Charset;
        proxy_set_header Host $meristem_host;
        proxy_set_header Upgrade $meristem_upgrade;
        proxy_set_header Connection $meristem_connection;
        proxy_set_header X-Forwarded-For $remote_addr;
        proxy_set_header X-Forwarded-Proto $meristem_scheme;
        proxy_set_header X-Forwarded-Host $meristem_host;
        proxy_set_header Forwarded "";
        proxy_read_timeout {timeout:g}s;
        proxy_send_timeout {timeout:g}s;
        client_max_body_size {body};
        {next_upstream}
{gzip}    }}
"""
ISSUER: Final = """
    location ^~ /.meristem/issuers/{name}/ {{  # asked by Lua alone
        internal;
        proxy_pass {scheme}://meristem_issuer_{name}/;
        proxy_http_version 1.1;
        proxy_pass_request_headers off;
        proxy_pass_request_body off;
        proxy_set_header Host {host};
        proxy_set_header Connection "";
        proxy_set_header Accept application/json;
        proxy_connect_timeout 5s;
        proxy_read_timeout 5s;
        proxy_ssl_name {hostname};
        proxy_ssl_server_name on;
        proxy_ssl_verify on;
        proxy_ssl_verify_depth 5;
        proxy_ssl_trusted_certificate /etc/ssl/certs/ca-certificates.crt;
    }}
"""


class _Terms(NamedTuple):
    """What nginx can only tell by location: routes of the same terms share one."""

    body: int
    timeout: float
    tries: int
    level: int
    least: int


def nginx_files(policy: ExportedPolicy) -> dict[str, str]:
    """The files of a policy for nginx, by their paths."""
    terms = {name: _terms(policy.table, each) for name, each in routes_of(policy.table).items()}
    kinds = [*dict.fromkeys(terms.values())]
    named = {each: (f"@meristem_{at}", f"@meristem_{at}_once") for at, each in enumerate(kinds)}
    text = "".join((_http(policy), *_servers(policy, named, terms[ELSE])))
    env = "".join(f"env {name};\n" for name in secret_variables(policy))
    return {
        "nginx.conf": MAIN.format(env=env),
        "meristem.conf": text,
        "lua/meristem/policy.lua": policy_text(policy, {name: named[each] for name, each in terms.items()}),
        **{
            f"lua/meristem/{each.name}": each.read_text(encoding="utf-8")
            for each in sorted([*LUA.iterdir(), *SHARED.values()], key=lambda each: each.name)
            if each.name.endswith(".lua")
        },
    }


def _terms(table: GatewayTable, route: GatewayRouteTable) -> _Terms:
    compression = table.compression if route.compression else None
    if compression is not None and "gzip" not in compression.codings:  # nginx has no other without a module more
        compression = None
    return _Terms(
        route.body_bytes or table.body_bytes or 0,
        UNTIL_SILENT if route.timeout is None else seconds_of(route.timeout),
        route.retries + 1,
        0 if compression is None else compression.level,
        0 if compression is None else compression.min_bytes,
    )


def _http(policy: ExportedPolicy) -> str:
    proxies = [f"set_real_ip_from {'unix:' if each == UNIX else each};\n" for each in policy.trusted_proxies]
    trust = "".join((*proxies, "real_ip_header X-Forwarded-For;\nreal_ip_recursive on;\n")) if proxies else ""
    groups = (
        f"upstream meristem_issuer_{name} {{ server {_server_of(url)}; }}\n" for name, url in _asked(policy).items()
    )
    return HTTP.format(
        issuers=4 + 2 * len(policy.table.issuers),
        trust=trust,
        upstreams="\n".join(f"    server {each};" for each in policy.upstreams),
        at_once=AT_ONCE,
        issuer_groups="".join(groups),
    )


def _servers(policy: ExportedPolicy, named: Mapping[_Terms, tuple[str, str]], terms_of_rest: _Terms) -> Iterator[str]:
    listeners: list[tuple[HostPort, str]] = [(policy.http, "")]
    found = None if policy.table.tls is None else policy.table.tls.files()
    if policy.https is not None and found is not None:
        certificate, key = found
        tls = (
            f"    ssl_certificate {_quoted(certificate)};\n"
            f"    ssl_certificate_key {_quoted(key)};\n"
            "    ssl_protocols TLSv1.2 TLSv1.3;\n    ssl_session_cache shared:meristem_tls:4m;\n"
        )
        listeners.append((policy.https, tls))
    entered = '        access_by_lua_block { require("meristem.gate").enter() }\n'
    for at, tls in listeners:
        # Lua looks at how long a body is, after what comes before that; here nothing is refused.
        locations = [_location("/", terms_of_rest._replace(body=0), access=entered)]
        for terms, (location, once) in named.items():
            locations += [_location(location, terms), _location(once, terms, once=True)]
        yield SERVER.format(
            listen=f"{at} ssl" if tls else at,
            tls=tls,
            locations="".join(locations),
            issuer_locations="".join(_issuer_location(name, url) for name, url in _asked(policy).items()),
        )


def _location(name: str, terms: _Terms, *, access: str = "", once: bool = False) -> str:
    again = f"proxy_next_upstream error timeout;\n        proxy_next_upstream_tries {terms.tries};"
    types = " ".join(each for each in COMPRESSED_TYPES if each != HTML)
    gzip = (
        f"        gzip on;\n        gzip_comp_level {terms.level};\n        gzip_min_length {terms.least};\n"
        f"        gzip_proxied any;\n        gzip_vary on;\n        gzip_types {types};\n"
    )
    return LOCATION.format(
        name=name,
        access=access,
        timeout=terms.timeout,
        body=terms.body,
        next_upstream="proxy_next_upstream off;" if once else again,
        gzip=gzip if terms.level else "",
    )


def _asked(policy: ExportedPolicy) -> dict[str, str]:
    """By issuer the URL that is asked for its keys."""
    found = {name: url for name, each in policy.table.issuers.items() if (url := asked_url(each))}
    for name, url in found.items():
        if HOST.fullmatch(urlsplit(url).netloc) is None:
            raise ConfigurationError(f"[gateway.issuers.{name}]: nginx can't be told of the host of {url}")
    return found


def _issuer_location(name: str, url: str) -> str:
    parts = urlsplit(url)
    return ISSUER.format(name=name, scheme=parts.scheme, host=parts.netloc, hostname=parts.hostname)


def _server_of(url: str) -> str:
    parts = urlsplit(url)
    host = parts.hostname or ""
    return f"{f'[{host}]' if ':' in host else host}:{parts.port or (443 if parts.scheme == 'https' else 80)}"


def _quoted(path: Path) -> str:
    """A path as nginx reads it; raises ConfigurationError for one that it would take for something else."""
    text = str(path.absolute())
    if UNWRITABLE.search(text):
        why = r"nginx can't be told of a path with quotes, braces, `$`, `\` or line ends"
        raise ConfigurationError(f"{text}: {why}; move the file")
    return f'"{text}"'


NGINX: Final = ExportTarget("nginx", NGINX_GAPS, nginx_files)
