"""What a system runs beside its services: applications of other frameworks, and programs of any language."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

MODULE: Final = r"[^\W\d]\w*(\.[^\W\d]\w*)*"
TARGET: Final = re.compile(rf"^{MODULE}:{MODULE}$")
APPLICATION: Final = re.compile(rf"^({MODULE}|[^:]+\.py):{MODULE}(\(\))?$")
PATH: Final = re.compile(r"^/[^\s?#]*$")
VARIABLE: Final = re.compile(r"^[^\W\d]\w*$", re.ASCII)
PROBES: Final = ("tcp", "grpc")
PORTS: Final = range(1, 65536)


class App(msgspec.Struct, frozen=True):
    """Any ASGI or WSGI application, unmodified, under the path `mount`.

    `target` is the application itself or says where it is: `"hotels.web.app:app"`, or what makes it:
    `"hotels.web.app:create_app()"`. With a `folder` of its own it is imported from there, and works there; with
    `requirements`, a file of packages, or a `python`, an interpreter, it has those for itself. Paths are found from the
    project's folder. Such an app lives in a process of its own.

    `middleware` stands before it, the first outermost: what takes an ASGI application and gives one, or says by text
    where that is. Calls that a request of it makes have `timeout` seconds in all; without one each has its own limit.
    """

    name: str
    target: Any
    mount: str = "/"
    folder: str | os.PathLike[str] | None = None
    python: str | os.PathLike[str] | None = None
    requirements: str | os.PathLike[str] | None = None
    middleware: Sequence[Callable[[Any], Any] | str] = ()
    timeout: float | None = None

    def problem(self) -> str | None:
        """What its author has to mend; None for a sound one."""
        named = isinstance(self.target, str)
        if named and not APPLICATION.match(self.target):
            return (
                f'{self.target!r} names no application; write "package.module:app", or "package.module:create_app()" '
                "for a function that makes it"
            )
        places = {"folder": self.folder, "python": self.python, "requirements": self.requirements}
        given = [name for name, place in places.items() if place is not None]
        if given and not named:
            return f'with {given[0]}= it is imported elsewhere: name it by text, as in "app:app"'
        return (
            next(filter(None, map(_wrong_place, places, places.values())), None)
            or _wrong_mount(self.mount)
            or _wrong_middleware(self.middleware)
            or _wrong_timeout(self.timeout)
        )


class Program(msgspec.Struct, frozen=True):
    """A program in any language that runs beside the services.

    It is given `PORT`, a free port to listen on or the one that `port` names, and the address of every other part
    (`SEARCH_URL`). `{port}`, `{search.host}`, `{search.port}` and `{search.url}` are filled in wherever they stand in
    `command` and `environment`. `health` says when it is ready: a path that answers 2xx then, `"tcp"` for a port that
    takes connections, `"grpc"` for gRPC's health protocol. It works in `folder`, by default the project's. Each of its
    `replicas` has a port. With a `mount` the public reaches it below that path.
    """

    name: str
    command: Sequence[str]
    health: str | None = None
    environment: Mapping[str, str] = {}
    folder: str | os.PathLike[str] | None = None
    port: int | None = None
    replicas: int = 1
    mount: str | None = None

    def problem(self) -> str | None:
        """What its author has to mend; None for a sound one."""
        return (
            _wrong_command(self.command)
            or _wrong_health(self.health)
            or _wrong_environment(self.environment)
            or _wrong_place("folder", self.folder)
            or _wrong_number(self.port, self.replicas)
            or (None if self.mount is None else _wrong_mount(self.mount))
        )


def path_text(place: str | os.PathLike[str] | None) -> str | None:
    """A path as text, None for none."""
    return None if place is None else os.fspath(place)


def _wrong_place(name: str, place: Any) -> str | None:
    if place is None or (isinstance(place, (str, os.PathLike)) and os.fspath(place)):
        return None
    return f"{name}={place!r}: write a path"


def _wrong_mount(mount: Any) -> str | None:
    if isinstance(mount, str) and PATH.match(mount) and "//" not in mount and not {".", ".."} & {*mount.split("/")}:
        return None
    return f'mount={mount!r} is no path; write one from the root, as in mount="/shop"'


def _wrong_middleware(middleware: Any) -> str | None:
    if isinstance(middleware, str) or not isinstance(middleware, Sequence):
        return f'middleware={middleware!r}: write a list, as in middleware=["shop.web:Timing"]'
    for each in middleware:
        if not (callable(each) or (isinstance(each, str) and TARGET.match(each))):
            return (
                f"middleware: {each!r} takes no application; name a class or function that does, or say where it is: "
                '"shop.web:Timing"'
            )
    return None


def _wrong_timeout(timeout: Any) -> str | None:
    if timeout is None or (isinstance(timeout, (int, float)) and type(timeout) is not bool and timeout > 0):
        return None
    return f"timeout={timeout!r}: write how many seconds, more than 0"


def _wrong_command(command: Any) -> str | None:
    if isinstance(command, str):
        return f'its command is one text; write a list of its words: ["node", "main.js"], not {command!r}'
    if not isinstance(command, Sequence) or not command or not all(isinstance(each, str) for each in command):
        return f'its command is {command!r}; write a list of texts: ["node", "main.js"]'
    return None if command[0] else "its command begins with an empty text; write the name of the program there"


def _wrong_health(health: Any) -> str | None:
    if health is None or health in PROBES or (isinstance(health, str) and PATH.match(health)):
        return None
    return f'health={health!r}: write "tcp", "grpc", or a path that answers 2xx, as in "/health"'


def _wrong_environment(environment: Any) -> str | None:
    if not isinstance(environment, Mapping):
        return f'its environment is {environment!r}; write names and values: {{"MODE": "production"}}'
    for name, value in environment.items():
        if not isinstance(name, str) or not VARIABLE.match(name):
            return f"environment: {name!r} names no variable; write letters, digits and _"
        if name == "PORT":
            return f"environment: PORT is where it is to listen; write port={value} for one that is always the same"
        if not isinstance(value, str):
            return f'environment: {name} is {value!r}; write it as text: "{value}"'
    return None


def _wrong_number(port: Any, replicas: Any) -> str | None:
    if port is not None and (type(port) is not int or port not in PORTS):
        return f"port={port!r}: write one between {PORTS[0]} and {PORTS[-1]}, or leave it out for a free one"
    if type(replicas) is not int or replicas < 1:
        return f"replicas={replicas!r}: write how many of it run, 1 or more"
    return "one port is for one replica: leave port= out, or replicas=" if port is not None and replicas > 1 else None
