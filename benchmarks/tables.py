"""Figures as tables of Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from benchmarks.figures import Spread, short


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; the first column holds words, the others figures."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(each.replace("|", "\\|") for each in line) + " |" for line in lines)


def cell(found: Spread | None) -> str:
    """A figure with its spread, where there were several rounds."""
    if found is None:
        return "-"
    return short(found.median) + (f" ({short(found.low)} to {short(found.high)})" if found.rounds > 1 else "")


def skipped(reasons: Mapping[str, str]) -> list[str]:
    """What is missing, and why."""
    return [f"Not measured: {name}, because {reason}." for name, reason in reasons.items()]
