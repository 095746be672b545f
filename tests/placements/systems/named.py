"""The other systems with their services named by text: `systems.named:bouncing` is `systems.bouncing:system`."""

import importlib

from meristem import System
from meristem.system.description import path_of


def __getattr__(name: str) -> System:
    if name.startswith("_"):
        raise AttributeError(name)
    system: System = importlib.import_module(f"systems.{name}").system
    parts = {part: getattr(system, part) for part in ("apps", "authenticate", "middleware", "outgoing")}
    return System(system.name, services=[path_of(each) for each in system.services], **parts)
