"""The sagas that this process works on, and those that it takes over because nobody does."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
from typing import Any

from meristem.errors import StorageError
from meristem.failure_log import log_failure
from meristem.lifecycle import Background
from meristem.sagas.crash_loops import BESIDE, DEADLY, SagaTrials
from meristem.sagas.engine_parts import EngineParts
from meristem.sagas.facts import Fact, SagaBegan, SagaLost
from meristem.sagas.journal import Journal, at_rest
from meristem.sagas.journal_writer import BegunElsewhereError, JournalWriter, LostLeaseError
from meristem.sagas.patches import unknown_patches
from meristem.sagas.records import SagaRow, SagaState
from meristem.sagas.runner import SagaRunner
from meristem.sagas.saga import Definition

logger = logging.getLogger(__name__)


class RunnerPool:
    """Has a runner for each saga that is worked on here.

    `resolve` is told what a saga came to, `poke` that another look is due, `rested` each time that work on one ends.
    """

    def __init__(
        self,
        service: str,
        instance: object,
        definitions: Mapping[str, Definition],
        journal: Journal,
        *,
        emit: Callable[[Fact], None],
        resolve: Callable[[str, SagaRow | Exception], None],
        poke: Callable[[], None],
        rested: Callable[[], None],
        trials: Callable[..., SagaTrials],
    ) -> None:
        self._service = service
        self._instance = instance
        self._definitions = definitions
        self._journal = journal
        self._emit = emit
        self._resolve = resolve
        self._poke = poke
        self._rested = rested
        self._background = Background(f"sagas of {service}")
        self._runners: dict[str, SagaRunner] = {}
        self.trials = trials(is_busy=lambda: bool(self._runners), ended=poke)
        self._parts: EngineParts | None = None
        self._orphans: set[str] = set()  # held here, but not worked on since their journal failed
        self._unknown: set[str] = set()  # of a newer release, said so once in the log
        self._working: set[asyncio.Task[None]] = set()  # on one saga each

    def start(self, parts: EngineParts) -> None:
        """Take work from now on."""
        self._parts = parts

    async def stop(self) -> bool:
        """Interrupt what runs, each at its last journaled step; whether it had taken work at all."""
        had_started = self._parts is not None
        await self._background.stop()
        self._parts = None
        return had_started

    @property
    def is_idle(self) -> bool:
        """Whether no saga runs here, and none is to be taken up again."""
        return not (self._working or self._orphans)

    def works_beside(self, pausing: Collection[str]) -> bool:
        """Whether other sagas than those that pause run here, or are to be taken up again."""
        return len(self._working) > len(pausing) or bool(self._orphans)

    def works_on(self, saga_id: str) -> bool:
        """Whether a saga runs here."""
        return saga_id in self._runners

    def adopt(self, saga_id: str) -> None:
        """Look at a saga once more at the next take-over, whatever the journal then finds claimable."""
        self._orphans.add(saga_id)

    async def take_over(self, claimable: Iterable[str]) -> None:
        """Go on with those sagas, and with what was left because its journal had failed."""
        for saga_id in dict.fromkeys([*self._orphans, *claimable]):
            if saga_id not in self.trials:
                await self._take_over(saga_id)

    def nudge(self) -> None:
        """An event may have come for any that waits."""
        for runner in list(self._runners.values()):
            runner.nudge()

    def lose(self) -> None:
        """This replica was taken for dead: what runs here ends, and is taken up anew by whichever is first."""
        for runner in list(self._runners.values()):
            runner.lose()
        self._poke()

    async def drive(
        self, definition: Definition, saga: SagaRow, writer: JournalWriter, *, new: bool, busy: bool
    ) -> None:
        """Work on a saga; whatever happens to this work, the journal says how to go on."""
        if self._parts is None:
            return
        runner = self._runners[saga.id] = SagaRunner(self._parts, definition, self._instance, saga, writer)
        if not new:
            self._emit(SagaBegan(saga.id, saga.name, resumed=True))
        try:
            await runner.drive(new=new, busy=busy)
        except BegunElsewhereError:
            raise
        except LostLeaseError:
            logger.warning("saga %s %s is let go: it was cancelled, or another replica has it", saga.name, saga.id)
            self._emit(SagaLost(saga.id, saga.name))
            return
        except StorageError as error:
            log_failure(
                logger, error, "saga %s %s: its journal failed; it is taken up again in a moment", saga.name, saga.id
            )
            self._orphans.add(saga.id)
            if not writer.is_begun:
                self._resolve(saga.id, error)
            return
        finally:
            del self._runners[saga.id]
            self.trials.survived(saga.id)
        self._emit(runner.ended())
        if at_rest(saga):
            self._resolve(saga.id, saga)
        else:
            self._poke()  # an event may have come while it went to sleep

    async def _take_over(self, saga_id: str) -> None:
        orphan = saga_id in self._orphans
        self._orphans.discard(saga_id)
        try:
            await self._look_at(saga_id, orphan=orphan)
        except StorageError:
            # It is held here still, or by a claim whose confirmation was lost: nobody would ever find it claimable.
            self._orphans.add(saga_id)
            raise

    async def _try(self, saga_id: str) -> bool:
        """Go on with a saga whose process ended several times, alone; False when it is no more one of those."""
        saga = await self._journal.load(saga_id)
        if saga is None or at_rest(saga) or self._journal.ends(saga) < BESIDE or saga_id in self._runners:
            return False
        return not await self._journal.is_held_elsewhere(saga) and await self._claim(saga)

    async def _claim(self, saga: SagaRow) -> bool:
        busy = saga.state is SagaState.RUNNING  # a waiting one had nothing under way when it went to sleep
        if not await self._journal.claim(saga):
            return False
        writer = JournalWriter(self._journal, saga)
        writer.on_survived = partial(self.trials.survived, saga.id)
        work = self.drive(self._definitions[saga.name], saga, writer, new=False, busy=busy)
        self.work(work, f"{saga.name} {saga.id}")
        return True

    async def _look_at(self, saga_id: str, *, orphan: bool) -> None:
        saga = await self._journal.load(saga_id)
        if saga is None or at_rest(saga) or (orphan and saga.member != self._journal.lease.member):
            return
        # Worked on here, and yet claimable: its lease lapsed, since it could not be renewed, or the fence was raised.
        if (runner := self._runners.get(saga_id)) is not None:
            if saga.fence != runner.saga.fence:
                runner.lose()
            return
        definition = self._definitions.get(saga.name)
        patches = [] if definition is None else unknown_patches(definition, saga)
        if definition is None or saga.version > definition.version or patches:
            if saga_id not in self._unknown:
                self._unknown.add(saga_id)
                missing = f"the patch {patches[0]!r}" if patches else "it"
                logger.warning(
                    "saga %s %s, version %s, is left to a newer release of %s: this one does not have %s",
                    saga.name, saga_id, saga.version, self._service, missing,
                )  # fmt: skip
            return
        if BESIDE <= (ends := self._journal.ends(saga)) < DEADLY:
            self.spawn(self.trials.run(saga, ends, self._try), f"trial of {saga.name} {saga_id}")
        else:
            await self._claim(saga)

    def work(self, work: Any, name: str) -> None:
        """Run what works on one saga; the pool is not idle until it ends."""
        if (task := self.spawn(work, name)) is not None:
            self._working.add(task)
            task.add_done_callback(self._worked)

    def _worked(self, task: asyncio.Task[None]) -> None:
        self._working.discard(task)
        self._rested()

    def spawn(self, work: Any, name: str) -> asyncio.Task[None] | None:
        """In the context of the engine's start: a saga belongs to no call and to no unit of work."""
        if self._parts is None:
            work.close()
            return None
        return self._parts.variables.copy().run(self._background.spawn, work, name)
