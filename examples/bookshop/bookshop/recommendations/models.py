"""The models that were trained: kept for all replicas, the latest that is of use is taken by each."""

from __future__ import annotations

import logging
from datetime import datetime
from typing import TYPE_CHECKING

from bookshop.recommendations import tables
from bookshop.recommendations.model import Model
from meristem import Clock, Database, Message

if TYPE_CHECKING:
    from bookshop.contracts.training import Trained

logger = logging.getLogger(__name__)

KEPT = 3


class LastTrained(Message):
    """When the last model was trained, and how many purchases there were."""

    trained: datetime
    purchases: int


class KeptModel(Message):
    """A model of the table."""

    version: int
    model: bytes


class Models:
    """The table of models."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def last(self) -> LastTrained | None:
        """The last training, whatever came of it."""
        return await self._database.fetch_one(tables.LAST_TRAINED, into=LastTrained)

    async def newer(self, known: int) -> tuple[int, Model] | None:
        """The latest model that beats "most sold", with its version, if that is above the known one."""
        kept = await self._database.fetch_one(tables.NEWER_MODEL, {"known": known}, into=KeptModel)
        return None if kept is None else (kept.version, Model.load(kept.model))

    async def keep(self, trained: Trained, purchases: int) -> None:
        """Keep a model and say what it is worth; one that "most sold" beats is never taken."""
        quality = trained.quality
        is_better = quality.model >= quality.most_sold
        row = {
            "trained": self._clock.now(),
            "purchases": purchases,
            "hit_rate": quality.model,
            "most_sold_rate": quality.most_sold,
            "model": trained.model,
        }
        async with self._database.begin() as tx:
            version = await tx.fetch_value(tables.KEEP_MODEL, row)
            if is_better:
                await tx.execute(tables.FORGET_MODELS, {"first": version - KEPT + 1})
        logger.log(
            logging.INFO if is_better else logging.WARNING,
            "model %d has a purchase that it wasn't shown among its first %d for %.1f %% of %d customers, "
            "most sold for %.1f %%%s",
            version,
            quality.at,
            100 * quality.model,
            quality.customers,
            100 * quality.most_sold,
            "" if is_better else ": it is not taken",
        )
