"""What is drawn on covers, in the accent's colour: a few motifs for each shelf, and no two drawings alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import cos, pi, sin
from typing import Final, TypeVar

from bookshop.contracts.catalogue import Category

T = TypeVar("T")
WIDTH, TOP, BOTTOM = 200, 150, 300  # the part of a cover that is below its words


class Dice:
    """Numbers that follow from what a cover is drawn for, so that it looks the same each time."""

    def __init__(self, seed: bytes) -> None:
        self._seed, self._at = seed, 0

    def between(self, low: float, high: float) -> float:
        """The next number."""
        self._at += 1
        return low + (high - low) * self._seed[self._at % len(self._seed)] / 255

    def choice(self, among: Sequence[T]) -> T:
        """One of several."""
        return among[int(self.between(0, len(among) - 0.001))]


def windows(dice: Dice) -> str:
    """A house by night in which few are awake."""
    columns, rows = 5, 5
    lit = {(int(dice.between(0, 4.99)), int(dice.between(0, 4.99))) for _ in range(4)}
    panes = [
        _box(30 + 30 * column, 164 + 27 * row, 19, 19, 1.0 if (column, row) in lit else 0.16)
        for column in range(columns)
        for row in range(rows)
    ]
    return "".join(panes)


def moon(dice: Dice) -> str:
    """A moon behind the ridge of a moor."""
    x, y, radius = dice.between(70, 150), dice.between(198, 212), dice.between(26, 36)
    near, far = dice.between(232, 246), dice.between(214, 228)
    return (
        _circle(x, y, radius)
        + _path(f"M0 {far:.0f}C50 {far - 22:.0f} 90 {far + 16:.0f} 200 {far - 14:.0f}V300H0Z", 0.35)
        + _path(f"M0 {near:.0f}C60 {near + 20:.0f} 130 {near - 24:.0f} 200 {near + 8:.0f}V300H0Z", 0.6)
    )


def keyhole(dice: Dice) -> str:
    """A keyhole, and what little light falls through it."""
    x, spread = dice.between(92, 124), dice.between(34, 60)
    return (
        _path(f"M{x - 9:.0f} 222L{x - spread:.0f} 300H{x + spread:.0f}L{x + 9:.0f} 222Z", 0.3)
        + _circle(x, 194, 21)
        + _path(f"M{x - 8:.0f} 206L{x - 17:.0f} 252H{x + 17:.0f}L{x + 8:.0f} 206Z")
    )


def stairs(dice: Dice) -> str:
    """Steps that lead down, or up."""
    count, is_down = int(dice.between(5, 8.9)), dice.between(0, 1) < 0.5
    wide, high = WIDTH / count, (BOTTOM - 176) / count
    steps = [
        _box(WIDTH - wide * (at + 1) if is_down else wide * at, BOTTOM - high * (at + 1), wide + 0.5, high * (at + 1))
        for at in range(count)
    ]
    return f'<g opacity=".85">{"".join(steps)}</g>'


def orbit(dice: Dice) -> str:
    """A planet with its moons."""
    x, y, radius = dice.between(88, 118), dice.between(216, 232), dice.between(22, 32)
    tilt = dice.between(-38, 38)
    rings = [_ellipse(x, y, radius * far, radius * far * 0.32, tilt, 1.6) for far in (1.75, 2.35, 2.95)]
    turn = dice.between(0, 2 * pi)
    moons = [_moon_of(x, y, radius * far, tilt, turn * far, size) for far, size in ((2.35, 5.5), (2.95, 3.5))]
    return "".join([*rings, _circle(x, y, radius), *moons])


def sunrise(dice: Dice) -> str:
    """A sun in bands above the edge of a world."""
    x, radius = dice.between(80, 130), dice.between(52, 64)
    bands = []
    for at in range(7):
        y = 178 + at * 15
        half = max(0.0, radius**2 - (y + 5 - 236) ** 2) ** 0.5
        bands.append(_box(x - half, y, 2 * half, 11 - at * 1.1))
    return f"{''.join(bands)}{_path('M0 286Q100 262 200 286V300H0Z', 0.5)}"


def stars(dice: Dice) -> str:
    """A sky, and the way of a ship through it."""
    sky = [
        _circle(dice.between(22, 190), dice.between(156, 288), dice.between(0.8, 2.6), dice.between(0.5, 1))
        for _ in range(26)
    ]
    bend = dice.between(160, 210)
    way = (
        f'<path d="M20 292Q{bend:.0f} 286 176 168" fill="none" stroke="currentColor" stroke-width="1.6" '
        f'stroke-dasharray="1 6" stroke-linecap="round"/>'
    )
    return "".join([*sky, way, _path("M176 152l6 22-6-4-6 4z")])


def waves(dice: Dice) -> str:
    """A sea, one wave behind the other."""
    drawn = []
    for at in range(5):
        y, swell, shift = 190 + at * 22, dice.between(6, 13), dice.between(-40, 0)
        steps = f"M{shift:.0f} {y}" + f"q25 {-swell:.0f} 50 0t50 0" * 3 + "V300H-50Z"
        drawn.append(_path(steps, 0.22 + 0.08 * at))
    return "".join(drawn)


def hills(dice: Dice) -> str:
    """Fields under a sun, and a path between them."""
    y = [dice.between(206, 220), dice.between(230, 244), dice.between(256, 268)]
    sun = _circle(dice.between(50, 160), dice.between(180, 190), dice.between(12, 20))
    return "".join(
        [
            sun,
            _path(f"M0 {y[0]:.0f}Q60 {y[0] - 30:.0f} 130 {y[0] + 4:.0f}T200 {y[0] - 8:.0f}V300H0Z", 0.3),
            _path(f"M0 {y[1] + 10:.0f}Q90 {y[1] - 28:.0f} 200 {y[1] + 6:.0f}V300H0Z", 0.45),
            _path(f"M0 {y[2] - 10:.0f}Q70 {y[2] + 22:.0f} 200 {y[2] - 12:.0f}V300H0Z", 0.75),
        ]
    )


def leaf(dice: Dice) -> str:
    """A stem with leaves, each a little larger than the one above."""
    x, count = dice.between(92, 118), 5
    lean = dice.between(-14, 14)
    stem = (
        f'<path d="M{x:.0f} 300Q{x:.0f} 230 {x + lean:.0f} 168" fill="none" stroke="currentColor" stroke-width="2.2"/>'
    )
    leaves = []
    for at in range(count):
        y, size = 184 + at * 23, 20 + at * 5
        foot = x + lean * (1 - at / count) ** 2
        for side in (-1, 1):
            tip = foot + side * size
            leaves.append(
                _path(
                    f"M{foot:.0f} {y + 8:.0f}Q{foot + side * size * 0.3:.0f} {y - 14:.0f} {tip:.0f} {y - 12:.0f}"
                    f"Q{tip - side * 2:.0f} {y + 8:.0f} {foot:.0f} {y + 8:.0f}Z",
                    0.55 + 0.09 * at,
                )
            )
    return "".join([stem, *leaves])


def circles(dice: Dice) -> str:
    """Stones that lie on each other in balance."""
    y, drawn = 292.0, []
    for at in range(5):
        wide, high = 58 - at * 9 + dice.between(-4, 4), 13 - at * 1.2
        y -= high
        x = 104 + dice.between(-7, 7)
        drawn.append(
            f'<ellipse cx="{x:.1f}" cy="{y:.1f}" rx="{wide:.1f}" ry="{high:.1f}" opacity="{0.55 + 0.11 * at:.2f}"/>'
        )
        y -= high * 0.9
    return "".join(drawn)


def rays(dice: Dice) -> str:
    """Light from below."""
    x, count = dice.between(70, 130), int(dice.between(9, 14.9))
    drawn = []
    for at in range(count):
        low, high = pi * at / count, pi * (at + 0.5) / count
        corners = [(x - 150 * cos(each), 300 - 128 * sin(each)) for each in (low, high)]
        drawn.append(
            _path(f"M{x:.0f} 300L{corners[0][0]:.0f} {corners[0][1]:.0f} {corners[1][0]:.0f} {corners[1][1]:.0f}Z", 0.5)
        )
    return "".join([*drawn, _circle(x, 300, 34)])


MOTIFS: Final[dict[Category, Sequence[Callable[[Dice], str]]]] = {
    Category.MYSTERY: (windows, moon, keyhole, stairs),
    Category.SCIENCE_FICTION: (orbit, sunrise, stars, waves),
    Category.SELF_HELP: (hills, leaf, circles, rays),
}


def _moon_of(x: float, y: float, far: float, tilt: float, turn: float, size: float) -> str:
    along, across, lean = far * cos(turn), far * 0.32 * sin(turn), tilt * pi / 180
    return _circle(x + along * cos(lean) - across * sin(lean), y + along * sin(lean) + across * cos(lean), size)


def _ellipse(x: float, y: float, wide: float, high: float, tilt: float, stroke: float) -> str:
    return (
        f'<ellipse cx="{x:.1f}" cy="{y:.1f}" rx="{wide:.1f}" ry="{high:.1f}" fill="none" stroke="currentColor" '
        f'stroke-width="{stroke}" opacity=".75" transform="rotate({tilt:.0f} {x:.1f} {y:.1f})"/>'
    )


def _circle(x: float, y: float, radius: float, opacity: float = 1.0) -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}"{_faint(opacity)}/>'


def _box(x: float, y: float, width: float, height: float, opacity: float = 1.0) -> str:
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"{_faint(opacity)}/>'


def _path(steps: str, opacity: float = 1.0) -> str:
    return f'<path d="{steps}"{_faint(opacity)}/>'


def _faint(opacity: float) -> str:
    return "" if opacity == 1.0 else f' opacity="{opacity:.2f}"'
