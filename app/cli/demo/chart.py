"""Draws the map of a village: palisade, streets, houses with doors, market, fields, pond, and a forest around it.

The same seed and side give the same map. Every way in is drawn before what could block it, and whatever
stays out of reach becomes a wall, so each place can be walked to. It knows no people.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from app.cli.demo.ground import Cell, Ground, read, write
from app.core.errors import Invalid

GRASS, STREET, FIELD, WALL, TREE, WATER = ".", "G", "S", "@", "T", "W"
HOUSE_WIDTH, HOUSE_HEIGHT = 7, 5
LOT_WIDTH, LOT_HEIGHT = 9, 8


@dataclass(frozen=True, slots=True)
class Place:
    """A named spot; `cell` can be walked to. `wild` places lie outside the palisade."""

    id: str
    name: str
    cell: Cell
    wild: bool = False
    open: bool = True


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawn map. `homes` are (cell inside a house, id of its lane); masks are (height, width) bool."""

    ground: Ground
    places: tuple[Place, ...]
    homes: tuple[tuple[Cell, str], ...]
    indoors: NDArray[np.bool_]
    town: NDArray[np.bool_]


TRADES = (
    ("tavern", "the Copper Kettle"),
    ("smithy", "Harl's smithy"),
    ("bakery", "the bakery"),
    ("chapel", "the chapel"),
    ("healer", "the healer's house"),
    ("guardhouse", "the guardhouse"),
    ("hall", "the moot hall"),
    ("storehouse", "the storehouse"),
)
"""Buildings with a purpose; they take the lots nearest to the square."""

LANES = (
    ("candle_lane", "Candle Lane"),
    ("weaver_lane", "Weaver Lane"),
    ("goose_lane", "Goose Lane"),
    ("anvil_lane", "Anvil Lane"),
)
"""One for each quarter: north-west, north-east, south-west, south-east."""

OUTSIDE = (
    ("mill", "the mill", 0.80, 0.88),
    ("fields", "the long fields", 0.64, 0.88),
    ("orchard", "the orchard", 0.94, 0.30),
    ("pond", "the mill pond", 0.93, 0.76),
    ("shrine", "the wayside shrine", 0.50, 0.95),
    ("forest_edge", "the edge of the forest", 0.22, 0.46),
    ("old_oak", "the old oak", 0.13, 0.22),
    ("deep_forest", "the deep forest", 0.07, 0.52),
    ("ruin", "the fallen tower", 0.12, 0.72),
    ("den", "the wolves' den", 0.07, 0.90),
    ("crypt", "the sealed crypt", 0.24, 0.87),
)
"""(id, name, share of the width, share of the height) of places beyond the palisade."""
SURVEY_CELLS = 80.0
"""How far from its square a village reaches on a map that is not drawn for it."""
SURVEY_CELLS_MIN = 400
SURVEY_HOMES = 40
CLOSED = frozenset({"crypt"})


@dataclass(slots=True)
class _Drawing:
    side: int
    generator: np.random.Generator
    rows: NDArray[np.str_]
    left: int
    right: int
    top: int
    bottom: int
    middle: Cell
    places: list[Place] = field(default_factory=list)
    homes: list[tuple[Cell, str]] = field(default_factory=list)


def draw(seed: int, side: int = 128) -> Chart:
    """The village of `seed` on a square of `side` cells (80 or more)."""
    middle = (round(0.56 * side), round(0.43 * side))
    wide, high = round(0.30 * side), round(0.27 * side)
    drawing = _Drawing(
        side=side,
        generator=np.random.Generator(np.random.PCG64(seed)),
        rows=np.full((side, side), GRASS),
        left=middle[0] - wide,
        right=middle[0] + wide,
        top=middle[1] - high,
        bottom=middle[1] + high,
        middle=middle,
    )
    _grow_forest(drawing)
    _dig_pond(drawing)
    _plow_fields(drawing)
    _clear_town(drawing)
    _lay_streets(drawing)
    indoors = _build_houses(drawing)
    _mark_outside(drawing)
    _close_border(drawing)
    return _finish(drawing, indoors)


def _grow_forest(drawing: _Drawing) -> None:
    """Trees in clumps, thick in the west and along the north, sparse elsewhere."""
    side = drawing.side
    noise = drawing.generator.random((side, side))
    for axis in (0, 1, 0, 1):
        noise = sum((np.roll(noise, shift, axis) for shift in range(-3, 4)), np.zeros_like(noise)) / 7.0
    rank = noise.ravel().argsort().argsort().reshape(side, side) / side**2
    y, x = np.mgrid[0:side, 0:side] / side
    thickness = np.clip(1.25 - 3.6 * x, 0.0, 1.0) + np.clip(0.6 - 5.0 * y, 0.0, 0.5) + 0.06
    chance = np.where(rank < np.clip(thickness, 0.0, 0.9), 0.33, 0.02)
    drawing.rows[drawing.generator.random((side, side)) < chance] = TREE


def _dig_pond(drawing: _Drawing) -> None:
    side = drawing.side
    y, x = np.mgrid[0:side, 0:side] / side
    wave = 0.012 * np.sin(9.0 * np.arctan2(y - 0.76, x - 0.93))
    drawing.rows[np.hypot(x - 0.93, 1.2 * (y - 0.76)) < 0.055 + wave] = WATER


def _plow_fields(drawing: _Drawing) -> None:
    """Four fields south of the palisade, with paths between them."""
    side = drawing.side
    for column in range(2):
        for row in range(2):
            x, y = round((0.58 + 0.09 * column) * side), round((0.79 + 0.08 * row) * side)
            drawing.rows[y : y + round(0.065 * side), x : x + round(0.08 * side)] = FIELD


def _clear_town(drawing: _Drawing) -> None:
    """The palisade and open ground within."""
    left, right, top, bottom = drawing.left, drawing.right, drawing.top, drawing.bottom
    drawing.rows[top - 2 : bottom + 3, left - 2 : right + 3] = GRASS
    drawing.rows[top : bottom + 1, left : right + 1] = WALL
    drawing.rows[top + 1 : bottom, left + 1 : right] = GRASS


def _lay_streets(drawing: _Drawing) -> None:
    """Two streets that cross at the square and leave through the gates; the square with its well and stalls."""
    rows, (x, y) = drawing.rows, drawing.middle
    left, right, top, bottom = drawing.left, drawing.right, drawing.top, drawing.bottom
    rows[top + 2 : bottom + 3, x - 1 : x + 2] = STREET
    rows[y - 1 : y + 2, left - 2 : right + 3] = STREET
    rows[y - 5 : y + 6, x - 7 : x + 8] = STREET
    rows[y - 3 : y - 1, x - 5 : x - 3] = WATER
    for stall in (-5, -1, 3):
        rows[y + 3, x + stall : x + stall + 3] = WALL
    gates = (
        ("west_gate", "the west gate", (left - 1, y)),
        ("east_gate", "the east gate", (right + 1, y)),
        ("south_gate", "the south gate", (x, bottom + 1)),
    )
    drawing.places.extend(Place(id, name, cell) for id, name, cell in gates)
    drawing.places.append(Place("square", "the village square", (x + 2, y)))
    drawing.places.append(Place("well", "the well", (x - 3, y - 1)))
    drawing.places.append(Place("market", "the market", (x, y + 2)))


def _build_houses(drawing: _Drawing) -> NDArray[np.bool_]:
    """Houses on a grid of lots in the four quarters; the nearest to the square get the trades. Returns `indoors`."""
    indoors = np.zeros(drawing.rows.shape, np.bool_)
    lots = _lots(drawing)
    x, y = drawing.middle
    lots.sort(key=lambda lot: (math.hypot(lot[0] + 3 - x, lot[1] + 2 - y), lot))
    trades = dict(zip(lots, TRADES, strict=False))
    quarters: dict[int, list[Cell]] = {}
    for lot in lots:
        door = _build(drawing, lot, indoors)
        inside = (lot[0] + 3, lot[1] + 2)
        if lot in trades:
            id, name = trades[lot]
            drawing.places.append(Place(id, name, inside))
            continue
        quarter = (lot[0] > x) + 2 * (lot[1] > y)
        drawing.homes.append((inside, LANES[quarter][0]))
        quarters.setdefault(quarter, []).append((door[0], door[1] + 1))
    for quarter, doors in sorted(quarters.items()):
        id, name = LANES[quarter]
        drawing.places.append(Place(id, name, doors[len(doors) // 2]))
    return indoors


def _lots(drawing: _Drawing) -> list[Cell]:
    """Upper left corners of the lots: clear of the streets, the square and the palisade."""
    found = []
    (x, y), generator = drawing.middle, drawing.generator
    halves = ((drawing.left + 2, x - 3), (x + 3, drawing.right - 1))
    for top, bottom in ((drawing.top + 2, y - 2), (y + 3, drawing.bottom - 1)):
        for left, right in halves:
            for lot_y in range(top, bottom - LOT_HEIGHT + 2, LOT_HEIGHT):
                for lot_x in range(left, right - LOT_WIDTH + 2, LOT_WIDTH):
                    near_square = abs(lot_x + 3 - x) < 12 and abs(lot_y + 2 - y) < 9
                    if not near_square:
                        found.append((lot_x + int(generator.integers(0, 2)), lot_y))
    return found


def _build(drawing: _Drawing, lot: Cell, indoors: NDArray[np.bool_]) -> Cell:
    """One house with its door to the south; returns the door."""
    x, y = lot
    drawing.rows[y : y + HOUSE_HEIGHT, x : x + HOUSE_WIDTH] = WALL
    inside = np.s_[y + 1 : y + HOUSE_HEIGHT - 1, x + 1 : x + HOUSE_WIDTH - 1]
    drawing.rows[inside] = GRASS
    indoors[inside] = True
    door = (x + 2 + int(drawing.generator.integers(0, 3)), y + HOUSE_HEIGHT - 1)
    drawing.rows[door[1], door[0]] = STREET
    indoors[door[1], door[0]] = True
    return door


def _mark_outside(drawing: _Drawing) -> None:
    """Clearings for the places beyond the palisade, and a trail from the nearest gate to each."""
    side = drawing.side
    gates = [place.cell for place in drawing.places if place.id.endswith("_gate")]
    for id, name, share_x, share_y in OUTSIDE:
        cell = (round(share_x * side), round(share_y * side))
        if id == "pond":
            cell = (round(0.855 * side), cell[1])
        if id == "ruin":
            _raise_ruin(drawing, cell)
        gate = min(gates, key=lambda gate: math.dist(gate, cell))
        _tread(drawing, gate, cell)
        drawing.places.append(Place(id, name, cell, wild=True, open=id not in CLOSED))


def _raise_ruin(drawing: _Drawing, cell: Cell) -> None:
    """A ring of broken walls."""
    x, y = cell
    drawing.rows[y - 4 : y + 5, x - 4 : x + 5] = GRASS
    for angle in np.linspace(0.0, 2.0 * np.pi, 24, endpoint=False):
        if drawing.generator.random() < 0.7:
            drawing.rows[y + round(3.4 * math.sin(angle)), x + round(3.4 * math.cos(angle))] = WALL


def _tread(drawing: _Drawing, start: Cell, goal: Cell) -> None:
    """A trail two cells wide that winds a little and never crosses the palisade."""
    rows, generator = drawing.rows, drawing.generator
    x, y = start
    while (x, y) != goal:
        dx, dy = goal[0] - x, goal[1] - y
        along_x = abs(dx) > abs(dy) if generator.random() < 0.7 else bool(generator.integers(0, 2))
        if (along_x and dx) or not dy:
            x += 1 if dx > 0 else -1
        else:
            y += 1 if dy > 0 else -1
        for at in ((x, y), (x + 1, y)):
            if rows[at[1], at[0]] in (TREE, WATER) or not _in_town(drawing, at):
                rows[at[1], at[0]] = STREET
    gx, gy = goal
    clearing = rows[gy - 2 : gy + 3, gx - 2 : gx + 3]
    clearing[clearing == TREE] = GRASS


def _in_town(drawing: _Drawing, cell: Cell) -> bool:
    return drawing.left <= cell[0] <= drawing.right and drawing.top <= cell[1] <= drawing.bottom


def _close_border(drawing: _Drawing) -> None:
    for edge in (np.s_[0, :], np.s_[-1, :], np.s_[:, 0], np.s_[:, -1]):
        drawing.rows[edge] = TREE


def _finish(drawing: _Drawing, indoors: NDArray[np.bool_]) -> Chart:
    """Fill pockets that nobody can reach, and hand the map over."""
    rough = read(write(drawing.rows.tolist()))
    pockets = ~rough.walkable & np.isin(drawing.rows, (GRASS, STREET, FIELD))
    drawing.rows[pockets] = TREE
    town = np.zeros(drawing.rows.shape, np.bool_)
    town[drawing.top : drawing.bottom + 1, drawing.left : drawing.right + 1] = True
    return Chart(
        ground=read(write(drawing.rows.tolist())),
        places=tuple(drawing.places),
        homes=tuple(drawing.homes),
        indoors=indoors,
        town=town,
    )


def survey(text: str, seed: int) -> Chart:
    """A village on any Moving AI map: the same places, well apart around a square somewhere in its largest region.

    Raises Invalid when the text is no map, or has no room.
    """
    ground = read(text)
    generator = np.random.Generator(np.random.PCG64(seed))
    cells = np.argwhere(ground.walkable)[:, ::-1]  # (cells, 2) of x, y
    square = cells[int(generator.integers(0, len(cells)))]
    cells = cells[np.hypot(*(cells - square).T) <= SURVEY_CELLS]
    if len(cells) < SURVEY_CELLS_MIN:
        raise Invalid(f"the map has {len(cells)} walkable cells around {square.tolist()!r}", hint="give a larger map")
    names = [
        Place("square", "the village square", (0, 0)),
        Place("market", "the market", (0, 0)),
        *(Place(id, name, (0, 0)) for id, name in (*TRADES, *LANES)),
        *(Place(id, name, (0, 0), wild=True, open=id not in CLOSED) for id, name, _, _ in OUTSIDE),
    ]
    places = tuple(
        replace(place, cell=cell) for place, cell in zip(names, _apart(cells, square, len(names)), strict=True)
    )
    lanes = [place for place in places if place.id.endswith("_lane")]
    homes = []
    for number in range(SURVEY_HOMES):
        lane = lanes[number % len(lanes)]
        x, y = generator.choice(cells[np.hypot(*(cells - lane.cell).T) < 12.0])
        homes.append(((int(x), int(y)), lane.id))
    nothing = np.zeros(ground.walkable.shape, np.bool_)
    return Chart(ground=ground, places=places, homes=tuple(homes), indoors=nothing, town=nothing)


def _apart(cells: NDArray[np.intp], first: NDArray[np.intp], count: int) -> list[Cell]:
    """`count` of the cells (n, 2), each as far as can be from those before it, beginning with `first`."""
    found = [first]
    apart = np.hypot(*(cells - first).T)
    while len(found) < count:
        found.append(cells[int(apart.argmax())])
        apart = np.minimum(apart, np.hypot(*(cells - found[-1]).T))
    return [(int(x), int(y)) for x, y in found]
