"""Addresses of style sheets and scripts, which change when their content does, so that browsers may keep them."""

from __future__ import annotations

from functools import cache
from hashlib import sha256
from pathlib import Path

from quart import Quart, request, url_for
from quart.wrappers import Response

STATIC = Path(__file__).parent / "static"


def asset(name: str) -> str:
    """The address of a file in `static/`."""
    return url_for("static", filename=name, v=_version(name))


@cache
def _version(name: str) -> str:
    return sha256((STATIC / name).read_bytes()).hexdigest()[:12]


async def _keep(response: Response) -> Response:
    if request.endpoint == "static" and response.status_code == 200:
        name = (request.view_args or {})["filename"]
        # a style sheet can't ask for the version of a typeface, which never changes under its name
        known = name.endswith(".woff2") or request.args.get("v") == _version(name)
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable" if known else "no-cache"
    return response


def install(app: Quart) -> None:
    """Teach the templates `asset(name)`."""
    app.jinja_env.globals["asset"] = asset
    app.after_request(_keep)
