"""`meristem keys`: API keys for the gateway, made, listed and revoked; running edges know at once."""

from __future__ import annotations

import re
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from meristem.cli.loading_system import json_option, load_blueprint, placement_option, system_option
from meristem.cli.output import print_json, print_table
from meristem.cli.verb_groups import VerbGroup
from meristem.errors import ConfigurationError
from meristem.gateway.identity.api_keys import ApiKey, new_key, read_keys, write_keys
from meristem.gateway.identity.key_ring import read_used
from meristem.hints import meant
from meristem.private_files import locked, make_folder
from meristem.quantities import seconds_of
from meristem.runtime.gateway_identity import USED, keys_file
from meristem.system.state_directory import StateDirectory

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
SCOPE: Final = re.compile(r"[!#-\[\]-~]+")  # RFC 6749, section 3.3


@click.group(cls=VerbGroup)
def keys() -> None:
    """Make, list and revoke the API keys by which programs of others come in through the gateway."""


@keys.command("add")
@click.argument("name")
@system_option
@placement_option
@click.option("--scopes", default="", help="What the key is good for, by commas: orders:read,orders:write.")
@click.option("--roles", default="", help="The roles of its holder, by commas.")
@click.option("--tenant", default="", help="The tenant for which its holder acts.")
@click.option(
    "--expires", default=None, help="When it ends: 90d, or a day such as 2030-12-31; never, if nothing is said."
)
def add(
    name: str, target: str | None, placement: Path | None, scopes: str, roles: str, tenant: str, expires: str | None
) -> None:
    """Make a key and show it, this once: only a digest of it is kept."""
    if NAME.fullmatch(name) is None:
        raise click.UsageError(f"{name!r}: a key is named by small letters, digits, '.', '_' and '-'")
    granted = _words(scopes)
    if wrong := next((each for each in granted if SCOPE.fullmatch(each) is None), None):
        raise click.UsageError(f"{wrong!r}: a scope is visible ASCII without spaces, quotes and backslashes")
    ends = None if expires is None else _end(expires)
    with _changing(target, placement) as (path, known):
        if any(each.name == name for each in known):
            raise click.UsageError(f"there is a key {name!r}; revoke it first, or give this one another name")
        made, key = new_key(name, scopes=granted, roles=_words(roles), tenant=tenant, expires=ends)
        known.append(made)
    click.echo(key)
    click.echo(f"This is shown once: only its digest is kept, in {path}. It is sent as `X-API-Key: …`.", err=True)


@keys.command("list")
@system_option
@placement_option
@json_option
def list_keys(target: str | None, placement: Path | None, *, as_json: bool) -> None:
    """Show the keys, what each is good for, and when an edge on this machine has last seen it."""
    path, state = _place(target, placement)
    used = read_used(state / USED)
    found = [(each, used.get(each.id)) for each in read_keys(path)]
    if as_json:
        print_json([_told(each, last) for each, last in found])
        return
    now = datetime.now(UTC)
    rows = [
        [
            each.name, each.id + "…", each.tenant, f"{each.created:%Y-%m-%d}", _ending(each, now),
            "" if last is None else f"{datetime.fromtimestamp(last, UTC):%Y-%m-%d %H:%M:%S}",
            " ".join((*each.scopes, *(f"role:{role}" for role in each.roles))),
        ]
        for each, last in found
    ]  # fmt: skip
    columns = ["name", "begins with", "tenant", "made", "ends", "last used", "good for"]
    print_table(f"API keys in {path}", columns, rows, f"There are no API keys in {path}.")


@keys.command("revoke")
@click.argument("name")
@system_option
@placement_option
def revoke(name: str, target: str | None, placement: Path | None) -> None:
    """Take a key away: from now on it proves nothing."""
    with _changing(target, placement) as (_, known):
        left = [each for each in known if each.name != name]
        if len(left) == len(known):
            raise ConfigurationError(f"there is no API key {name!r}{meant(name, [each.name for each in known])}")
        known[:] = left
    click.echo(f"{name} is revoked.")


@contextmanager
def _changing(target: str | None, placement: Path | None) -> Iterator[tuple[Path, list[ApiKey]]]:
    """The file and its keys, which are written when the block ends well; nobody else changes them meanwhile."""
    path, _ = _place(target, placement)
    make_folder(path.parent)
    with locked(path):
        known = read_keys(path)
        yield path, known
        try:
            write_keys(path, known)
        except OSError as error:
            raise ConfigurationError(f"the file of API keys {path} can't be written: {error.strerror}") from None


def _place(target: str | None, placement: Path | None) -> tuple[Path, Path]:
    """The file of a system's keys, and the folder of what it remembers."""
    blueprint, directory = load_blueprint(target, placement, as_it_runs=True)
    state = StateDirectory(directory, blueprint.system.name).path
    return keys_file(blueprint.placement.gateway, directory, state), state


def _words(text: str) -> tuple[str, ...]:
    return tuple(each for part in text.split(",") if (each := part.strip()))


def _end(text: str) -> datetime:
    now = datetime.now(UTC).replace(microsecond=0)
    try:
        try:
            ends = now + timedelta(seconds=seconds_of(text))
        except ValueError:
            ends = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise click.UsageError(
            f"--expires: {text!r} is neither a time, such as 90d, nor a day, such as 2030-12-31"
        ) from None
    ends = ends if ends.tzinfo is not None else ends.replace(tzinfo=UTC)
    if ends <= now:
        raise click.UsageError(f"--expires: {text} is over already")
    return ends


def _ending(key: ApiKey, now: datetime) -> str:
    if key.expires is None:
        return "never"
    return f"{key.expires:%Y-%m-%d}" + (", over" if key.has_expired(now) else "")


def _told(key: ApiKey, last: int | None) -> dict[str, object]:
    """A key for programs: without its digest, of which nobody needs to know."""
    return {
        "name": key.name, "id": key.id, "scopes": key.scopes, "roles": key.roles, "tenant": key.tenant,
        "created": key.created, "expires": key.expires,
        "last_used": None if last is None else datetime.fromtimestamp(last, UTC),
    }  # fmt: skip
