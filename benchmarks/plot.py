"""Draws what a run found: `docs/images/benchmarks.png`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl

from benchmarks import echo, rest
from benchmarks.figures import Spread, short
from benchmarks.results import Findings

# Okabe and Ito's colours: told apart by people who see colours differently, and in grey.
BLUE, ORANGE, GREY, DARK = "#0072B2", "#E69F00", "#B0B0B0", "#404040"


def draw(found: Findings, path: Path) -> None:
    """Draw the panels that the run has figures for."""
    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415 - after the backend is chosen

    panels = _panels(found)
    if not panels:
        return
    heights = [0.36 * len(rows) + 0.75 for _, rows in panels]
    figure, axes = plt.subplots(
        len(panels), 1, figsize=(9.5, sum(heights)), height_ratios=heights, squeeze=False, layout="constrained"
    )
    for axis, (title, rows) in zip(axes[:, 0], panels, strict=True):
        _panel(axis, title, rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150, facecolor="white")
    plt.close(figure)


Row = tuple[str, Spread, str]


def _panels(found: Findings) -> list[tuple[str, list[Row]]]:
    panels: list[tuple[str, list[Row]]] = []
    if found.calls is not None:
        for work, title in (("echo 64", "Echo of a small message"), ("list 64", "List of 100 messages")):
            rows = [
                (name, each[work]["per_second"], _colour(name))
                for name, each in found.calls.figures.items()
                if work in each
            ]
            panels.append((f"{title}: calls per second, 64 in flight (logarithmic)", _sorted(rows)))
    if found.rest is not None:
        for work, title in (("echo 64", "REST echo of a small message"), ("list 64", "REST list of 100 messages")):
            served = [(name, rest.served(each[work]), _colour(name)) for name, each in found.rest.figures.items()]
            rows = [(name, each, colour) for name, each, colour in served if each is not None]
            panels.append((f"{title}: requests per second of the server's CPU", _sorted(rows)))
    if found.hotels is not None:
        for journey, title in (("search 16", "Hotel searches"), ("book 16", "Hotel bookings, to the last mail,")):
            rows = [(name, each[journey]["per_second"], _colour(name)) for name, each in found.hotels.figures.items()]
            panels.append((f"{title} per second, 16 in flight", _sorted(rows)))
    return [panel for panel in panels if panel[1]]


def _sorted(rows: list[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: row[1].median)


def _colour(name: str) -> str:
    return BLUE if name.startswith("Meristem") else ORANGE if name == echo.LIMIT else GREY


def _panel(axis: Any, title: str, rows: list[Row]) -> None:
    names, spreads, colours = zip(*rows, strict=True)
    medians = [each.median for each in spreads]
    reach = [[each.median - each.low for each in spreads], [each.high - each.median for each in spreads]]
    axis.barh(names, medians, color=colours, height=0.68, xerr=reach, ecolor=DARK, capsize=2, error_kw={"lw": 0.9})
    if max(medians) > 20 * min(medians):
        axis.set_xscale("log")
        axis.set_xlim(min(medians) / 3, max(each.high for each in spreads) * 4)
    else:
        title = title.replace(" (logarithmic)", "")
        axis.set_xlim(0, max(each.high for each in spreads) * 1.18)
    for place, each in enumerate(spreads):
        axis.annotate(
            short(each.median), (each.high, place), xytext=(6, 0), textcoords="offset points", va="center", fontsize=9
        )
    axis.set_title(title, loc="left", fontsize=11, fontweight="bold")
    axis.spines[["top", "right", "left"]].set_visible(False)
    axis.tick_params(axis="y", length=0, labelsize=9.5)
    axis.tick_params(axis="x", labelsize=8.5)
    axis.grid(axis="x", color="#E4E4E4", lw=0.8)
    axis.set_axisbelow(True)
