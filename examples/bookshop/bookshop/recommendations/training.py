"""Trains in a worker process, so that nobody who asks for recommendations waits for it."""

from __future__ import annotations

from typing import final

import numpy as np

from bookshop.contracts.training import Trained, Training
from bookshop.recommendations.evaluation import measure
from bookshop.recommendations.model import Model
from meristem import Service


@final
class TrainingService(Training, Service):
    """Measures a model, then trains it on all that there is."""

    async def train(self, purchases: bytes, shelves: dict[int, int]) -> Trained:
        rows = np.frombuffer(purchases, "<i4").reshape(-1, 2)
        return Trained(model=Model.train(rows).dump(), quality=measure(rows, shelves))
