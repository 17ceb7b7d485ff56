"""A quest's graph and certificate as an SVG picture (SVG 2): light or dark as its reader's system is.

It knows markup and where boxes stand on paper; all text is escaped, and equal graphs give equal bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from app.modules.quests.exports.graph import Edge, Graph, Node, lines_of
from app.modules.quests.exports.records import shown
from app.modules.quests.quest import Certificate

MARGIN, BOX_W, BOX_H, GAP_X, GAP_Y = 28, 158, 68, 42, 26
DOT_R, FORK_R = 15, 9
LINE_H = 15
FONT = "system-ui, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
MONO = "ui-monospace, 'Cascadia Mono', Menlo, Consolas, monospace"
CHAR_W = 6.1
CARD_W_MIN = 1_080
ROWS_MAX, HASH_CHARS = 14, 16
STYLE = """
svg{--page:#fbfaf7;--card:#ffffff;--ink:#26231f;--faint:#79726a;--line:#d9d3c8;--flow:#a79f92;
--goal:#0b6e6e;--goalbg:#e6f3f2;--done:#5b8c2a;--bad:#b3441e;--badbg:#fbeae3;--ok:#0b6e6e;--shade:#0000000f}
@media (prefers-color-scheme:dark){svg{--page:#191816;--card:#23211e;--ink:#ece7df;--faint:#a29a8e;--line:#3b3833;
--flow:#6f685e;--goal:#63c5bd;--goalbg:#17302f;--done:#9fce6a;--bad:#f0906a;--badbg:#38231b;--ok:#63c5bd;--shade:#00000059}}
text{fill:var(--ink)}.faint{fill:var(--faint)}.head{font-weight:600;letter-spacing:.06em;font-size:10px}
.box{fill:var(--card);stroke:var(--line)}.goal{fill:var(--goalbg);stroke:var(--goal)}.way{stroke-dasharray:4 3}
.flow{fill:none;stroke:var(--flow);stroke-width:1.6}.tip{fill:var(--flow)}.rule{stroke:var(--line)}
.mono{font-family:%s;font-size:10.5px}.seal{fill:none;stroke:var(--ok);stroke-width:2}
"""
OUTCOMES = {
    "unharmed": ("#009e73", "nothing changes"),
    "replanned": ("#56b4e9", "another plan"),
    "recast": ("#0072b2", "another in its place"),
    "branched": ("#cc79a7", "another branch"),
    "fails": ("#d55e00", "the quest ends"),
}
"""Color and meaning of each outcome; told apart by color-blind eyes (Okabe and Ito 2008)."""


def draw(graph: Graph) -> bytes:
    """The picture in UTF-8."""
    flow_w = round((graph.columns - 2) * (BOX_W + GAP_X) + 2 * (2 * DOT_R + GAP_X))
    width = max(CARD_W_MIN, flow_w) + 2 * MARGIN
    head = list(_head(graph, width))
    top = MARGIN + LINE_H * len(head) + 50
    flow_h = round(graph.rows * (BOX_H + GAP_Y))
    panels, panels_h = _panels(graph, top + flow_h + 12, width)
    height = top + flow_h + 12 + panels_h + MARGIN
    body = [*_title(graph, head, width), *_flow(graph, top, (width - flow_w) // 2), *panels]
    opening = (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="{FONT}" font-size="12">'
    )
    lines = [
        opening,
        f"<title>{_said(graph.title)}</title>",
        f"<desc>{escape(f'{len(graph.nodes)} nodes; {graph.verdict}')}</desc>",
        f"<style>{STYLE % MONO}</style>",
        '<rect width="100%" height="100%" fill="var(--page)"/>',
        *body,
        "</svg>",
    ]
    return ("\n".join(lines) + "\n").encode()


def _text(x: float, y: float, text: str, *, kind: str = "", anchor: str = "start", size: float = 12) -> str:
    looks = f' class="{kind}"' if kind else ""
    sized = f' font-size="{size:g}"' if size != 12 else ""
    at = f' text-anchor="{anchor}"' if anchor != "start" else ""
    return f'<text x="{x:g}" y="{y:g}"{looks}{sized}{at}>{_said(text)}</text>'


def _said(text: str) -> str:
    """A text as markup: escaped, without the signs that XML forbids (XML 1.0, 2.2)."""
    return escape(shown(text))


# The head.


def _head(graph: Graph, width: int) -> Iterator[str]:
    yield from lines_of(graph.about, round((width - 2 * MARGIN) / CHAR_W) - 34, 3)


def _title(graph: Graph, about: Sequence[str], width: int) -> Iterator[str]:
    title = next(lines_of(graph.title, round((width - 320) / 11), 1), "")
    yield f'<text x="{MARGIN}" y="{MARGIN + 14}" font-size="20" font-weight="600">{_said(title)}</text>'
    for number, line in enumerate(about):
        yield _text(MARGIN, MARGIN + 36 + number * LINE_H, line, kind="faint")
    verdict, good = graph.verdict, graph.certificate is not None
    color = "var(--ok)" if good else "var(--faint)"
    right = width - MARGIN
    pill = round(len(verdict) * 6.9) + 42
    yield f'<rect x="{right - pill}" y="{MARGIN - 6}" width="{pill}" height="26" rx="13" fill="none" stroke="{color}"/>'
    yield f'<text x="{right - pill + 14}" y="{MARGIN + 11}" font-weight="600" style="fill:{color}">{_sign(good)}</text>'
    yield _text(right - pill + 30, MARGIN + 11, verdict)


def _sign(good: bool) -> str:
    return "✓" if good else "?"


# The flow.


def _flow(graph: Graph, top: int, left: int) -> Iterator[str]:
    places = {node.key: _place(node, top, left) for node in graph.nodes}
    kinds = {node.key: node for node in graph.nodes}
    for edge in graph.edges:
        yield from _edge(edge, kinds, places)
    for node in graph.nodes:
        yield from _node(node, *places[node.key])


def _place(node: Node, top: int, left: int) -> tuple[float, float]:
    """The middle of a node's left side."""
    x = left if node.column == 0 else left + 2 * DOT_R + GAP_X + (node.column - 1) * (BOX_W + GAP_X)
    return x, top + node.row * (BOX_H + GAP_Y) + BOX_H / 2


def _width(node: Node) -> int:
    return {"start": 2 * DOT_R, "end": 2 * DOT_R, "fork": BOX_W}.get(node.kind, BOX_W)


def _edge(edge: Edge, nodes: dict[str, Node], places: dict[str, tuple[float, float]]) -> Iterator[str]:
    x, y = places[edge.start]
    start = nodes[edge.start]
    x += 2 * FORK_R if start.kind == "fork" else _width(start)
    end = nodes[edge.end]
    to_x, to_y = places[edge.end]
    tip = 0 if end.kind == "fork" else 7
    if start.kind == "fork":
        bend = x + 26
        yield (
            f'<path class="flow" d="M{x:g},{y:g}C{bend:g},{y:g} {x:g},{to_y:g} {bend + 8:g},{to_y:g}H{to_x - tip:g}"/>'
        )
        room = BOX_W + GAP_X - 2 * FORK_R - 46
        label = next(lines_of(edge.text, round(room / 5.2), 1), "")
        yield _text(to_x - 12, to_y - 7, label, kind="faint", anchor="end", size=10.5) if label else ""
    elif y == to_y:
        yield f'<path class="flow" d="M{x:g},{y:g}H{to_x - tip:g}"/>'
    else:
        turn = to_x - GAP_X
        yield (
            f'<path class="flow" d="M{x:g},{y:g}H{turn:g}C{turn + GAP_X * 0.6:g},{y:g} {turn + GAP_X * 0.3:g},{to_y:g} '
            f'{to_x - tip:g},{to_y:g}"/>'
        )
    if tip:
        yield f'<path class="tip" d="M{to_x - 1:g},{to_y:g}l-8,-4.5v9z"/>'


def _node(node: Node, x: float, y: float) -> Iterator[str]:
    match node.kind:
        case "start":
            yield f'<circle cx="{x + DOT_R:g}" cy="{y:g}" r="{DOT_R}" fill="var(--ink)"/>'
            yield f'<path d="M{x + DOT_R - 4:g},{y - 6:g}l10,6l-10,6z" fill="var(--page)"/>'
            yield _text(x + DOT_R, y + DOT_R + 16, _cut(node.text, 12), kind="faint", anchor="middle", size=10.5)
        case "end":
            yield f'<circle cx="{x + DOT_R:g}" cy="{y:g}" r="{DOT_R}" class="seal"/>'
            yield f'<path d="M{x + 9:g},{y:g}l4.5,5l8,-9" class="seal"/>'
        case "fork":
            yield f'<path d="M{x:g},{y:g}l9,-9l9,9l-9,9z" class="box"/>'
        case _:
            yield from _box(node, x, y - BOX_H / 2)


def _box(node: Node, x: float, top: float) -> Iterator[str]:
    yield f'<rect x="{x:g}" y="{top + 2:g}" width="{BOX_W}" height="{BOX_H}" rx="9" fill="var(--shade)"/>'
    yield f'<rect x="{x:g}" y="{top:g}" width="{BOX_W}" height="{BOX_H}" rx="9" class="box {node.kind}"/>'
    color = "var(--done)" if node.done else "var(--goal)" if node.kind == "goal" else "var(--faint)"
    head = _said(_cut(node.head, 18).upper())
    yield f'<text x="{x + 12:g}" y="{top + 18:g}" class="head" style="fill:{color}">{head}</text>'
    if node.done:
        tick = f"M{x + BOX_W - 24:g},{top + 14:g}l3.5,4l7,-8"
        yield f'<path d="{tick}" fill="none" stroke="var(--done)" stroke-width="2"/>'
    for number, line in enumerate(lines_of(node.text, round((BOX_W - 24) / CHAR_W), 3)):
        yield _text(x + 12, top + 33 + number * 13.5, line, size=11.5)


def _cut(text: str, chars: int) -> str:
    return text if len(text) <= chars else text[: chars - 1] + "…"


# What is known about it.


@dataclass(slots=True)
class _Row:
    """A line of a panel: a spot of color or none, a word, and what is said of it."""

    head: str
    text: str = ""
    color: str = ""
    kind: str = ""


def _panels(graph: Graph, top: int, width: int) -> tuple[list[str], int]:
    """The panels below the flow, side by side, and how high the highest is."""
    made = [("QUEST", [*_facts(graph.facts), *_facts(graph.roles)])]
    if graph.failures:
        made.append(("WAYS TO LOSE IT", list(_failures(graph.failures))))
    if graph.certificate is not None:
        made.append(("IF IT COMES TO HARM", list(_knockouts(graph.certificate))))
        made.append(("CERTIFICATE", list(_proof(graph.certificate, graph.verdict))))
    gap = 14
    panel_w = (width - 2 * MARGIN - gap * (len(made) - 1)) / len(made)
    laid = [_laid(rows, round((panel_w - 28) / CHAR_W)) for _, rows in made]
    height = 44 + LINE_H * max(map(len, laid))
    found: list[str] = []
    for number, ((title, _), rows) in enumerate(zip(made, laid, strict=True)):
        x = MARGIN + number * (panel_w + gap)
        found.append(
            f'<rect x="{x:g}" y="{top}" width="{panel_w:g}" height="{height}" rx="10" fill="var(--card)" '
            f'stroke="var(--line)"/>'
        )
        found.append(_text(x + 14, top + 22, title, kind="head faint"))
        for place, row in enumerate(rows):
            found.extend(_row(row, x + 14, top + 44 + place * LINE_H, panel_w - 28))
    return found, height


def _laid(rows: Sequence[_Row], chars: int) -> list[_Row]:
    """Rows, of which the long ones go on below; a panel has no more than its share."""
    found: list[_Row] = []
    for row in rows:
        if len(row.head) + len(row.text) + 4 <= chars or row.kind == "bar":
            found.append(row)
            continue
        found.append(_Row(_cut(row.head, chars - 2), "", row.color, row.kind))
        found.extend(_Row("", line, "", "below") for line in lines_of(row.text, chars - 3, 2))
    rest = len(found) - ROWS_MAX
    return [*found[:ROWS_MAX], _Row(f"and {rest} more")] if rest > 0 else found


def _row(row: _Row, x: float, y: float, width: float) -> Iterator[str]:
    if row.kind == "bar":
        yield _text(x, y, row.head)
        yield _text(x + width, y, row.text, kind="faint", anchor="end")
        yield f'<rect x="{x + 62:g}" y="{y - 8:g}" width="{width - 104:g}" height="7" rx="3.5" fill="var(--line)"/>'
        share = float(row.color) * (width - 104)
        if share:
            yield f'<rect x="{x + 62:g}" y="{y - 8:g}" width="{share:.1f}" height="7" rx="3.5" fill="var(--bad)"/>'
        return
    if row.color:
        yield f'<circle cx="{x + 4:g}" cy="{y - 4:g}" r="4.5" fill="{row.color}"/>'
    if row.head:
        yield _text(x + (15 if row.color else 0), y, row.head)
    if row.kind == "below":
        yield _text(x + 15, y, row.text, kind="faint", size=11)
    elif row.text:
        kind = "faint mono" if row.kind == "mono" else "faint"
        yield _text(x + width, y, row.text, kind=kind, anchor="end", size=11)


def _facts(pairs: Sequence[tuple[str, str]]) -> Iterator[_Row]:
    for name, value in pairs:
        yield _Row(shown(name), shown(value))


def _failures(found: Sequence[tuple[str, str, str]]) -> Iterator[_Row]:
    for fact, cause, text in found:
        yield _Row(shown(fact), text or f"by the {cause}", "var(--bad)")


def _knockouts(certificate: Certificate) -> Iterator[_Row]:
    yield _Row("fragility", f"{certificate.fragility:.0%}", f"{certificate.fragility:.3f}", "bar")
    order = list(OUTCOMES)
    for one in sorted(certificate.knockouts, key=lambda one: (-order.index(one.outcome), one.entity, one.harm)):
        color, meaning = OUTCOMES[one.outcome]
        yield _Row(f"{shown(one.entity)}: {one.harm}", meaning, color)


def _proof(certificate: Certificate, verdict: str) -> Iterator[_Row]:
    yield _Row(verdict, " ".join(certificate.checks), "var(--ok)")
    yield _Row("plan", f"{len(certificate.plan)} actions, by {certificate.rung or 'proof'}")
    yield _Row("world", f"seq {certificate.world_seq}, seed {certificate.seed}")
    yield _Row("players", f"up to {certificate.players_max}")
    for assumption in certificate.assumptions:
        yield _Row("assumed", shown(assumption))
    digest = certificate.plan_sha256
    for number in range(0, len(digest), HASH_CHARS):
        yield _Row("" if number else "sha256", digest[number : number + HASH_CHARS], "", "mono")
