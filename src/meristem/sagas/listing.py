"""Which sagas a list shows, and in which order: a statement made of what was asked for."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import Select, and_, exists, or_, select

from meristem.sagas.records import SagaState
from meristem.sagas.tables import NOT_DONE, SAGAS, SEARCH, STEPS, TRIES

if TYPE_CHECKING:
    from collections.abc import Sequence


def tries_of(ids: Sequence[str]) -> Select[Any]:
    """The rows of steps of some sagas that are tried again now, those that began first before the others."""
    answered = exists().where(STEPS.c.saga_id == TRIES.c.saga_id, STEPS.c.position == TRIES.c.position)
    return select(TRIES).where(TRIES.c.saga_id.in_(ids), ~answered).order_by(TRIES.c.started, TRIES.c.position)


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for: sagas in any of these states, of one name, begun `before` or `since`, with the `terms`.

    Of each of these one must fit. With `ids`, only those, or with `or_terms` those that have one of them. `after` is
    the last saga of a page, by when it began and its id: what follows is the next page.
    """

    states: tuple[SagaState, ...] = ()
    name: str | None = None
    before: datetime | None = None
    since: datetime | None = None
    after: tuple[datetime, str] | None = None
    terms: tuple[tuple[str, ...], ...] = ()
    ids: tuple[str, ...] | None = None
    or_terms: tuple[str, ...] = ()

    def statement(self) -> Select[Any]:
        """The sagas' rows, the newest first."""
        found = select(SAGAS).order_by(SAGAS.c.created.desc(), SAGAS.c.id.desc())
        if self.states:
            found = found.where(SAGAS.c.state.in_([each.value for each in self.states]))
            found = found if SagaState.DONE in self.states else found.where(NOT_DONE)
        if self.name is not None:
            found = found.where(SAGAS.c.name == self.name)
        if self.before is not None:
            found = found.where(SAGAS.c.created < self.before)
        if self.since is not None:
            found = found.where(SAGAS.c.created >= self.since)
        for any_of in self.terms:
            fits = SEARCH.c.term == any_of[0] if len(any_of) == 1 else SEARCH.c.term.in_(any_of)
            found = found.where(SAGAS.c.id.in_(select(SEARCH.c.saga_id).where(fits)))
        if self.ids is not None:
            has_term = SAGAS.c.id.in_(select(SEARCH.c.saga_id).where(SEARCH.c.term.in_(self.or_terms)))
            is_one = SAGAS.c.id.in_(self.ids)
            found = found.where(or_(is_one, has_term) if self.or_terms else is_one)
        if self.after is not None:
            created, saga_id = self.after
            of_that_moment = and_(SAGAS.c.created == created, SAGAS.c.id < saga_id)
            found = found.where(or_(SAGAS.c.created < created, of_that_moment), SAGAS.c.created <= created)
        return found
