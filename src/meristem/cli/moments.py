"""Moments as commands take them: a time, or how long ago."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import click

from meristem.quantities import seconds_of


class Moment(click.ParamType[datetime]):
    """A time of day, or how long ago: `2h`, `7d`, `2026-11-28`, `2026-11-28T06:00`; UTC where nothing else is said."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        try:
            moment = _moment(value)
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is no time: write an age (30 min, 2h, 7d) or a time (2026-11-28T06:00)", param, ctx)
        return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _moment(text: str) -> datetime:
    try:
        age = seconds_of(text)
    except ValueError:
        return datetime.fromisoformat(text)
    return datetime.now(UTC) - timedelta(seconds=age)
