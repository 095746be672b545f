"""Draws each hotel as a house in its town at some hour of the evening: always the same for the same hotel."""

from functools import lru_cache
from hashlib import sha256
from random import Random
from typing import NamedTuple

from markupsafe import Markup
from quart import Quart

WIDTH, HEIGHT, GROUND = 400, 260, 214


class Hour(NamedTuple):
    """The colours of an hour: sky from above to the horizon, sun or moon, what stands far, near, and the ground."""

    sky: tuple[str, str, str]
    disc: str
    far: str
    near: str
    ground: str
    dark: bool


HOURS = (
    Hour(("#20406b", "#5d7fa8", "#f3c9a5"), "#fff1d6", "#56749a", "#35527a", "#263c58", dark=True),
    Hour(("#14294d", "#3d4f86", "#e79a86"), "#ffe3bd", "#4a5488", "#2c3767", "#1d2648", dark=True),
    Hour(("#0c1b33", "#16325a", "#2f5b86"), "#f4f1de", "#234a72", "#153253", "#0d2039", dark=True),
    Hour(("#5fa3c4", "#a9d0da", "#f5e7cf"), "#fff8e7", "#93b9bd", "#5d9190", "#3e6f68", dark=False),
    Hour(("#3d6f86", "#e0a27f", "#f8d9ab"), "#fff4d8", "#b98a79", "#84645f", "#57484c", dark=False),
    Hour(("#0e3a44", "#2b6f72", "#e8c58f"), "#ffeec2", "#2f686a", "#1c4b51", "#12343b", dark=True),
)
WALLS = ("#f2e6d3", "#e9d3bf", "#d98e6b", "#c9a27a", "#e6c77e", "#b8c4bc", "#cfd6d8", "#a65d4e", "#8aa39b", "#ecdcc8")
ROOFS = ("#8d4434", "#5a3d3a", "#3e4a57", "#2f5552", "#6d5a4b")
LIT, UNLIT_DAY = "#ffd27a", "#4b6474"


@lru_cache(maxsize=512)
def hotel_picture(name: str, city: str) -> Markup:
    """The outside of a hotel. Offers carry no id, so its name and city are what stands for it everywhere."""
    mark = sha256(f"{name.casefold()}|{city.casefold()}".encode()).hexdigest()
    dice = Random(mark)  # noqa: S311 - a drawing
    hour = dice.choice(HOURS)
    parts = [_sky(dice, hour), _distance(dice, hour), _neighbours(dice, hour), _house(dice, hour)]
    return _drawing([*parts, _street(dice, hour)], keep="xMidYMid")


@lru_cache(maxsize=64)
def town_picture(city: str, width: int = WIDTH) -> Markup:
    """A city seen from afar; `width` makes it a panorama, lower so that its sky has room for words."""
    dice = Random(sha256(f"town|{city.casefold()}|{width}".encode()).hexdigest())  # noqa: S311 - a drawing
    wide = width > WIDTH
    hour = HOURS[1] if wide else dice.choice(HOURS)
    heights = ((30, 66), (18, 46), (6, 24)) if wide else ((60, 118), (34, 84), (14, 52))
    rows = [
        _roofline(dice, fill, *span, hour, width, lit)
        for fill, span, lit in zip((hour.far, hour.near, hour.ground), heights, (0.0, 0.32, 0.42), strict=True)
    ]
    return _drawing([_sky(dice, hour, width), *rows], width, "xMaxYMax")


@lru_cache(maxsize=512)
def room_picture(name: str, room: str) -> Markup:
    """The inside of a room: a bed, a lamp, a window."""
    mark = sha256(f"room|{name.casefold()}|{room.casefold()}".encode()).hexdigest()
    dice = Random(mark)  # noqa: S311 - a drawing
    hour = dice.choice(HOURS)
    wall, cover, wood = (
        dice.choice(("#dcd6c8", "#c8d3cd", "#d9c6b3", "#b9c5cf", "#d8cfd2")),
        dice.choice(ROOFS),
        "#7a5a45",
    )
    beds = dice.choice((1, 1, 2))
    parts = [_rect(0, 0, WIDTH, 190, wall), _rect(0, 190, WIDTH, 70, "#a58468"), _rect(0, 186, WIDTH, 5, "#f3ede1")]
    parts += [_window_with_view(dice, hour), _lamp(64)]
    parts += [_bed(x, width, cover, wood) for x, width in ([(96, 160)] if beds == 1 else [(94, 84), (190, 84)])]
    parts.append(f'<ellipse cx="196" cy="238" rx="140" ry="14" fill="{cover}" opacity=".35"/>')
    return _drawing(parts)


def _drawing(parts: list[str], width: int = WIDTH, keep: str = "xMidYMax") -> Markup:
    shape = f'viewBox="0 0 {width} {HEIGHT}" preserveAspectRatio="{keep} slice"'
    return Markup(f'<svg {shape} aria-hidden="true" focusable="false">{"".join(parts)}</svg>')  # noqa: S704 - only digits and our own colours


def _rect(x: float, y: float, width: float, height: float, fill: str, radius: int = 0, opacity: float = 1) -> str:
    more = (f' rx="{radius}"' if radius else "") + (f' opacity="{opacity}"' if opacity < 1 else "")
    return f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" fill="{fill}"{more}/>'


def _path(line: str, fill: str, opacity: float = 1) -> str:
    return f'<path d="{line}" fill="{fill}"' + (f' opacity="{opacity}"' if opacity < 1 else "") + "/>"


def _circle(x: float, y: float, radius: float, fill: str, opacity: float = 1) -> str:
    return (
        f'<circle cx="{x:g}" cy="{y:g}" r="{radius:g}" fill="{fill}"'
        + (f' opacity="{opacity}"' if opacity < 1 else "")
        + "/>"
    )


def _sky(dice: Random, hour: Hour, width: int = WIDTH) -> str:
    """Bands from the top of the sky to the horizon: a gradient would need an id, and a page shows a hotel twice."""
    x, y, radius = dice.randint(50, 350) if width == WIDTH else width - 40, dice.randint(34, 96), dice.randint(13, 22)
    halo = f'<circle cx="{x}" cy="{y}" r="{radius * 2.1:g}" fill="{hour.disc}" opacity=".13"/>'
    disc = f'<circle cx="{x}" cy="{y}" r="{radius}" fill="{hour.disc}" opacity=".92"/>'
    bands = "".join(_rect(0, at * 16, width, HEIGHT - at * 16, _between(hour.sky, at / 13)) for at in range(14))
    points = [(dice.randint(4, width - 4), dice.randint(4, 100)) for _ in range(width // 18 if hour.dark else 0)]
    stars = f'<path d="{"".join(f"M{px} {py}h1v1h-1z" for px, py in points)}" fill="#fff" opacity=".6"/>'
    return f"{bands}{stars}{halo}{disc}"


def _between(colours: tuple[str, str, str], way: float) -> str:
    """The colour at `way` (0 to 1) from the first over the second to the third."""
    start, end = (colours[0], colours[1]) if way < 0.5 else (colours[1], colours[2])
    share = way * 2 % 1 if way < 1 else 1
    mixed = (round(int(start[at : at + 2], 16) * (1 - share) + int(end[at : at + 2], 16) * share) for at in (1, 3, 5))
    return "#" + "".join(f"{part:02x}" for part in mixed)


def _distance(dice: Random, hour: Hour) -> str:
    """Hills, or the sea."""
    if dice.random() < 0.3:
        glints = "".join(f"M{dice.randint(0, 380)} {dice.randint(168, 200)}h{dice.randint(10, 40)}" for _ in range(14))
        return f'{_rect(0, 160, WIDTH, 60, hour.far)}<path d="{glints}" stroke="{hour.sky[2]}" opacity=".5"/>'
    left, middle, right = (dice.randint(96, 150) for _ in range(3))
    curve = f"M0 {left}C70 {left - 50} 120 {middle + 34} 200 {middle}S330 {right - 54} 400 {right}V220H0z"
    return f'<path d="{curve}" fill="{hour.far}"/>'


def _neighbours(dice: Random, hour: Hour) -> str:
    return _roofline(dice, hour.near, 22, 78, hour, WIDTH, 0.25)


def _roofline(dice: Random, fill: str, low: int, high: int, hour: Hour, width: int, lit: float) -> str:
    """Houses side by side, some with a gable or a tower, some windows lit."""
    shapes, lights, x, base = [], [], -6, GROUND if width == WIDTH else 236
    while x < width:
        wide, tall = dice.randint(20, 46), dice.randint(low, high)
        top = base - tall
        shapes.append(f"M{x} {HEIGHT}V{top}{_crown(dice, x, top, wide)}V{HEIGHT}z")
        for wx in range(x + 6, x + wide - 7, 9):
            lights += [f"M{wx} {wy}h4v6h-4z" for wy in range(top + 9, base - 8, 13) if dice.random() < lit]
        x += wide
    glow = LIT if hour.dark else "#fff6df"
    return f'<path d="{"".join(shapes)}" fill="{fill}"/><path d="{"".join(lights)}" fill="{glow}" opacity=".85"/>'


def _crown(dice: Random, x: int, top: int, wide: int) -> str:
    kind = dice.random()
    if kind < 0.34:
        return f"L{x + wide / 2:g} {top - wide * 0.42:g}L{x + wide} {top}"
    if kind < 0.42:
        spire = x + wide / 2
        return f"H{spire - 5:g}V{top - 20}L{spire:g} {top - 46}L{spire + 5:g} {top - 20}V{top}H{x + wide}"
    if kind < 0.5:
        return f"A{wide / 2:g} {wide / 2.4:g} 0 0 1 {x + wide} {top}"
    return f"H{x + wide}"


def _house(dice: Random, hour: Hour) -> str:
    columns, floors = dice.randint(4, 7), dice.randint(3, 5)
    wide, tall = columns * 26 + 16, floors * 27 + 16
    x, top = (WIDTH - wide) // 2 + dice.randint(-40, 40), GROUND - tall
    wall, roof = dice.choice(WALLS), dice.choice(ROOFS)
    shade = _rect(x, top, wide, tall, "#0d1b33", 0, 0.4 if hour.dark else 0.06)
    parts = [
        _roof(dice, x, top, wide, roof),
        _rect(x, top, wide, tall, wall),
        shade,
        _rect(x - 3, top - 3, wide + 6, 6, roof),
    ]
    parts += [_windows(dice, hour, x, top, columns, floors), _door(dice, x + wide // 2, roof)]
    return "".join(parts)


def _roof(dice: Random, x: int, top: int, wide: int, fill: str) -> str:
    kind = dice.choice(("gable", "mansard", "mansard", "flat", "tower", "eaves"))
    right = x + wide
    if kind == "gable":
        return f'<path d="M{x - 6} {top}L{x + wide / 2:g} {top - wide * 0.26:g}L{right + 6} {top}z" fill="{fill}"/>'
    if kind == "mansard":
        dormers = "".join(_rect(at, top - 20, 10, 14, LIT, 4) for at in range(x + 20, right - 26, 32))
        return f'<path d="M{x - 4} {top}L{x + 10} {top - 28}H{right - 10}L{right + 4} {top}z" fill="{fill}"/>{dormers}'
    if kind == "tower":
        at = dice.choice((x + 4, right - 40))
        cap = f"M{at - 4} {top - 30}L{at + 18} {top - 62}L{at + 40} {top - 30}z"
        return _rect(at, top - 30, 36, 34, fill) + _rect(at + 13, top - 22, 10, 14, LIT, 5) + _path(cap, fill)
    if kind == "eaves":
        left_eave = f"M{x - 20} {top + 3}Q{x + 8} {top - 4} {x + 26} {top - 34}"
        return _path(f"{left_eave}H{right - 26}Q{right - 8} {top - 4} {right + 20} {top + 3}z", fill)
    return _rect(x + 12, top - 12, wide - 24, 12, fill)


def _windows(dice: Random, hour: Hour, x: int, top: int, columns: int, floors: int) -> str:
    arched, chance = dice.random() < 0.4, 0.62 if hour.dark else 0.22
    lit: list[str] = []
    dark: list[str] = []
    for floor in range(floors - 1):
        for column in range(columns):
            wx, wy = x + 8 + column * 26 + 6, top + 12 + floor * 27
            head = "a7 7 0 0 1 14 0v13h-14z" if arched else "h14v18h-14z"
            (lit if dice.random() < chance else dark).append(f"M{wx} {wy + (5 if arched else 0)}{head}")
    unlit = "#22344f" if hour.dark else UNLIT_DAY
    panes = _path("".join(lit), LIT) + _path("".join(dark), unlit)
    ground = "".join(
        _rect(x + 10 + at * 26, GROUND - 27, 20, 20, LIT if hour.dark else "#f8e3b0", 2) for at in range(columns)
    )
    return panes + ground


def _door(dice: Random, middle: int, roof: str) -> str:
    awning = dice.choice(("#b8483c", "#1f6f6b", "#2f4a7a", "#a8742c", "#6b3f5e"))
    canopy = f"M{middle - 24} {GROUND - 34}h48l6 12h-60z"
    glow = f'<ellipse cx="{middle}" cy="{GROUND + 2}" rx="34" ry="6" fill="{LIT}" opacity=".5"/>'
    opening = _rect(middle - 11, GROUND - 26, 22, 26, roof) + _rect(middle - 8, GROUND - 22, 16, 22, "#ffe6ad")
    return f'{opening}<path d="{canopy}" fill="{awning}"/>{glow}'


def _street(dice: Random, hour: Hour) -> str:
    parts = [_rect(0, GROUND, WIDTH, HEIGHT - GROUND, hour.ground), _rect(0, GROUND, WIDTH, 4, hour.near)]
    leaf = "#2c5a4c" if hour.dark else "#4d8264"
    places = (dice.randint(8, 58), dice.randint(60, 96), dice.randint(312, 346), dice.randint(350, 392))
    parts += [_tree(dice, x, leaf) for x in places]
    lamp = dice.choice((104, 296))
    parts.append(f'<path d="M{lamp} {GROUND + 14}v-56" stroke="#10202c" stroke-width="3"/>')
    parts += [_circle(lamp, GROUND - 46, 15, LIT, 0.28), _circle(lamp, GROUND - 46, 5.5, "#ffe9b8")]
    return "".join(parts)


def _tree(dice: Random, x: int, leaf: str) -> str:
    foot, tall = GROUND + dice.randint(4, 16), dice.randint(34, 66)
    trunk = f'<path d="M{x} {foot}v-{tall * 0.5:g}" stroke="#33291f" stroke-width="4"/>'
    if dice.random() < 0.5:
        wide, high = tall * 0.14 + 3, tall * 0.52
        return f'{trunk}<ellipse cx="{x}" cy="{foot - tall * 0.62:g}" rx="{wide:g}" ry="{high:g}" fill="{leaf}"/>'
    return trunk + _circle(x, foot - tall * 0.68, tall * 0.34, leaf)


def _window_with_view(dice: Random, hour: Hour) -> str:
    x = 252
    view = _sky(dice, hour) + _roofline(dice, hour.near, 40, 90, hour, WIDTH, 0.4)
    part = 'viewBox="120 60 150 200" preserveAspectRatio="xMidYMax slice"'
    frame = f'<svg x="{x}" y="34" width="84" height="112" {part}>{view}</svg>'
    bars = f'<path d="M{x} 34h84v112h-84zM{x + 42} 34v112M{x} 90h84" fill="none" stroke="#f7f2e8" stroke-width="5"/>'
    curtains = "".join(_path(f"M{at} 24h20q-6 70 2 138h-24q6-70 2-138z", "#f3e4c9", 0.92) for at in (x - 14, x + 80))
    return f'{frame}{bars}{curtains}<path d="M{x - 22} 24h128" stroke="#7a5a45" stroke-width="4"/>'


def _lamp(x: int) -> str:
    glow = _circle(x, 108, 62, LIT, 0.2) + _circle(x, 108, 36, LIT, 0.22)
    shade = _path(f"M{x - 11} 92h22l7 26h-36z", "#ffe3a6") + _rect(x - 2, 118, 4, 32, "#4c4038")
    return f"{glow}{shade}{_rect(x - 20, 150, 40, 52, '#7a5a45', 3)}{_rect(x - 14, 164, 28, 3, '#5c4232')}"


def _bed(x: int, wide: int, cover: str, wood: str) -> str:
    head = _rect(x - 4, 112, wide + 8, 70, wood, 8)
    pillows, count = "", 1 if wide < 120 else 2
    each = (wide - 12 * (count + 1)) / count
    for at in range(count):
        pillows += _rect(x + 12 + at * (each + 12), 136, each, 28, "#fffdf8", 9)
    sheet = _rect(x, 156, wide, 46, "#f6f1e7", 6)
    blanket = f'<path d="M{x} 172h{wide}v46q0 6-6 6h-{wide - 12}q-6 0-6-6z" fill="{cover}"/>'
    return f"{head}{pillows}{sheet}{blanket}{_rect(x, 172, wide, 7, '#fff', 0, 0.28)}"


def install(app: Quart) -> None:
    """Teach the templates to draw."""
    app.jinja_env.globals.update(hotel_picture=hotel_picture, town_picture=town_picture, room_picture=room_picture)
