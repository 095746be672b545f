"""An app whose interpreter has no Meristem: served there by a server that is added to it, on a socket of ours."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from meristem.supervision import foreign_server
from meristem.supervision.child import Command
from meristem.supervision.lifeline import LIFELINE
from meristem.supervision.programs import is_for_strangers
from meristem.supervision.readiness import accepts
from meristem.supervision.replica import Replica, ReplicaEnvironment

if TYPE_CHECKING:
    from collections.abc import Sequence


class ForeignApp(msgspec.Struct, frozen=True):
    """How an app is served: by which interpreter, with the server from which folder, and where it works.

    `paths` are imported from after its own folder; `threads` run it if it is a WSGI app.
    """

    python: str
    server: str
    target: str
    mount: str
    folder: Path
    paths: tuple[str, ...]
    threads: int

    def command(self, listen: str) -> Sequence[str]:
        """The command line that serves it on an inherited socket, `fd:7`."""
        served = [listen, self.server, self.target, self.mount, str(self.threads), *self.paths]
        return [self.python, str(Path(foreign_server.__file__)), *served]


class ForeignReplica(Replica):
    """One replica of such an app, which is ready when it takes connections; its server beats for it.

    It is given the variables of this system that name addresses, and no secret.
    """

    tells = False

    def __init__(self, name: str, replica: int, around: ReplicaEnvironment, app: ForeignApp) -> None:
        super().__init__(name, replica, around._replace(arguments=lambda _, __, listen: app.command(listen)), None)
        self._app = app

    def command(self, generation: int, *, successor: bool) -> Command:
        found = super().command(generation, successor=successor)
        # The lifeline alone, which the server takes out of the environment before it imports the app.
        given = {name: value for name, value in found.environment.items() if is_for_strangers(name) or name == LIFELINE}
        return Command(
            found.arguments,
            environment=given,
            directory=self._app.folder,
            descriptors=found.descriptors,
            confinement=found.confinement,
            beats=True,
        )

    async def ready(self, generation: int) -> bool:
        return await accepts(f"unix:{self.socket(generation)}")

    def hold(self, generation: int) -> None:
        # A socket that somebody has listened on takes connections at once: the next one could not be seen to be ready.
        self.dismiss(generation)
