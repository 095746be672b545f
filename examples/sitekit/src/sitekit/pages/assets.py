"""Addresses of style sheets and scripts, which change when their content does, so that browsers may keep them."""

from __future__ import annotations

from functools import cache
from hashlib import sha256
from pathlib import Path

from quart import Quart, current_app, request, url_for
from quart.wrappers import Response

OURS = Path(__file__).parent / "static"
FOLDERS = ("static", "kit.static")  # the endpoints of the app's own files, and of those that stand beside this one


def asset(name: str) -> str:
    """The address of a file in the app's `static/`, or of one that all sites have."""
    endpoint = "static" if (_own() / name).is_file() else "kit.static"
    return url_for(endpoint, filename=name, v=_version(_folder(endpoint) / name))


def _own() -> Path:
    return Path(current_app.static_folder or OURS)


def _folder(endpoint: str) -> Path:
    return _own() if endpoint == "static" else OURS


@cache
def _version(file: Path) -> str:
    return sha256(file.read_bytes()).hexdigest()[:12]


async def _keep(response: Response) -> Response:
    if request.endpoint in FOLDERS and response.status_code == 200:
        name = (request.view_args or {})["filename"]
        # a style sheet can't ask for the version of a typeface, which never changes under its name
        known = name.endswith(".woff2") or request.args.get("v") == _version(_folder(request.endpoint) / name)
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable" if known else "no-cache"
    return response


def install(app: Quart) -> None:
    """Teach the templates `asset(name)`."""
    app.jinja_env.globals["asset"] = asset
    app.after_request(_keep)
