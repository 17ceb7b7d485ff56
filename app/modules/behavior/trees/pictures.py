"""A tree as an SVG picture: one line a node, colored by what it answered in a tick.

It knows markup and escapes all text; equal trees and visits give equal bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from xml.sax.saxutils import escape

from app.modules.behavior.trees.spots import Spot, Status
from app.modules.behavior.trees.tree import Tree
from app.modules.behavior.trees.twin import Visit

ROW_PX, INDENT_PX, MARGIN_PX, BADGE_PX, CHAR_PX = 28, 26, 18, 20, 7.2
FONT = "system-ui, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
INK, FAINT, LINE, PAGE = "#2c2a28", "#8c8882", "#c4bfb6", "#ffffff"
LOOKS = {
    Status.SUCCESS: ("#009e73", "✓", "success"),
    Status.FAILURE: ("#d55e00", "✗", "failure"),
    Status.RUNNING: ("#0072b2", "▶", "running"),
    Status.SKIPPED: ("#999999", "–", "skipped"),
}
"""Fill, sign and word of each status: told apart by color-blind eyes and in gray (Okabe and Ito 2008)."""
UNSEEN = ("#ffffff", "", "not ticked")


def draw_tree(tree: Tree, visits: Iterable[Visit] = (), *, title: str = "") -> bytes:
    """The tree in UTF-8; `visits` are one tick of one NPC, see Tree.explain. Nodes that they lack are left white."""
    found = {visit.number: visit.status for visit in visits}
    rows = list(_rows(tree.plan.root, 0))
    width = max(MARGIN_PX * 2 + INDENT_PX * depth + BADGE_PX + CHAR_PX * (len(_text(spot)) + 4) for spot, depth in rows)
    width = max(width, MARGIN_PX * 2 + CHAR_PX * 60)
    height = 2 * MARGIN_PX + ROW_PX * (len(rows) + 2)
    return "\n".join(_lines(rows, found, title or tree.plan.root.path, round(width), height)).encode()


def _rows(spot: Spot, depth: int) -> Iterator[tuple[Spot, int]]:
    """Nodes in preorder with their depth."""
    yield spot, depth
    for child in spot.children:
        yield from _rows(child, depth + 1)


def _text(spot: Spot) -> str:
    name = spot.path.rpartition("/")[2]
    return f"{name}   {spot.label}"


def _lines(
    rows: list[tuple[Spot, int]], found: dict[int, Status], title: str, width: int, height: int
) -> Iterator[str]:
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="{FONT}" font-size="13">'
    )
    yield f"<title>{escape(title)}</title>"
    yield f'<rect width="100%" height="100%" fill="{PAGE}"/>'
    yield f'<text x="{MARGIN_PX}" y="{MARGIN_PX + 14}" font-size="16" fill="{INK}">{escape(title)}</text>'
    place = {spot.number: (MARGIN_PX + INDENT_PX * depth, _y(row)) for row, (spot, depth) in enumerate(rows)}
    for spot, _ in rows:
        x, y = place[spot.number]
        for child in spot.children:
            to_x, to_y = place[child.number]
            path = f"M{x + BADGE_PX / 2:g},{y + BADGE_PX / 2:g}V{to_y}H{to_x}"
            yield f'<path d="{path}" fill="none" stroke="{LINE}"/>'
    for spot, _ in rows:
        yield from _node(spot, found, *place[spot.number])
    yield from _legend(height - MARGIN_PX)


def _y(row: int) -> int:
    """The middle of a row."""
    return MARGIN_PX + ROW_PX * (row + 1) + ROW_PX // 2


def _node(spot: Spot, found: dict[int, Status], x: int, y: int) -> Iterator[str]:
    fill, sign, word = LOOKS[found[spot.number]] if spot.number in found else UNSEEN
    half = BADGE_PX // 2
    yield (
        f'<g class="{word}"><rect x="{x}" y="{y - half}" width="{BADGE_PX}" height="{BADGE_PX}" rx="5" fill="{fill}" '
        f'stroke="{LINE if not sign else fill}"/>'
    )
    if sign:
        yield _said(x + half, y, sign, PAGE, "middle")
    name, _, label = _text(spot).rpartition("   ")
    tint = INK if sign else FAINT
    yield (
        f'<text x="{x + BADGE_PX + 8}" y="{y}" dominant-baseline="central" fill="{tint}">{escape(name)}'
        f'<tspan dx="8" fill="{FAINT}" font-size="11">{escape(label)}</tspan></text></g>'
    )


def _legend(y: int) -> Iterator[str]:
    x = MARGIN_PX
    for fill, sign, word in (*LOOKS.values(), UNSEEN):
        yield f'<rect x="{x}" y="{y - 7}" width="14" height="14" rx="3" fill="{fill}" stroke="{LINE}"/>'
        if sign:
            yield _said(x + 7, y, sign, PAGE, "middle")
        yield _said(x + 20, y, word, FAINT, "start")
        x += 20 + round(CHAR_PX * (len(word) + 2))
    yield "</svg>"


def _said(x: int, y: int, text: str, color: str, anchor: str) -> str:
    return (
        f'<text x="{x}" y="{y}" font-size="11" text-anchor="{anchor}" dominant-baseline="central" fill="{color}">'
        f"{escape(text)}</text>"
    )
