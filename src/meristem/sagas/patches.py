"""Which changes of its code a saga takes: those that it began with, and those that it came to afterwards."""

from __future__ import annotations

from msgspec.structs import replace

from meristem.contracts.codec import encode
from meristem.errors import MisuseError
from meristem.sagas.journal_writer import JournalWriter
from meristem.sagas.ordering import Ordering
from meristem.sagas.origin import origin_of
from meristem.sagas.records import SagaRow
from meristem.sagas.saga import Definition


class Patches:
    """The patches of one execution.

    A new saga's row names all that its code has. An older one takes a patch that it comes to after the last answer of
    its journal, and its row names that one from its next commit on, before anything that follows from it can be seen.
    What lies before that answer it has done already, by the code of then. A saga that `is_ending` takes none.
    """

    def __init__(
        self, definition: Definition, saga: SagaRow, writer: JournalWriter, ordering: Ordering, *, is_ending: bool
    ) -> None:
        self._definition = definition
        self._saga = saga
        self._writer = writer
        self._ordering = ordering
        self._is_ending = is_ending
        self._answers: dict[str, bool] = {}  # each patch is asked for once: a loop goes on as it began

    def takes(self, name: str) -> bool:
        """Whether the saga takes this patch, now and in every replay."""
        if name not in self._definition.patches:
            raise MisuseError(
                f"the saga {self._definition.name} asks for the patch {name!r} without saying so: write "
                f"@saga(patches=[{name!r}])"
            )
        if name not in self._answers:
            self._answers[name] = origin_of(self._saga).takes(name) or self._takes_now(name)
        return self._answers[name]

    def _takes_now(self, name: str) -> bool:
        # Without a new answer, the function may have come by here before, and a call that it made have no answer yet.
        if self._is_ending or not self._ordering.is_live:
            return False
        origin = origin_of(self._saga)
        self._saga.context = encode(replace(origin, patches=(*origin.patches, name))).decode()
        self._writer.buffer_context(self._saga)
        return True


def unknown_patches(definition: Definition, saga: SagaRow) -> list[str]:
    """The patches that may have changed the saga's path and of which the code knows nothing."""
    known = {*definition.patches, *definition.deprecated_patches}
    return [each for each in origin_of(saga).patches if each not in known]
