"""A report as one page of HTML that needs nothing beside it; everything that a studio wrote is escaped."""

from __future__ import annotations

from html import escape

from app.cli.quests.shown import CHECKS, VERDICTS, WEIGHTS, summary
from app.modules.quests.report import Found, Report, Row

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 64rem; padding: 0 1rem; color: #222; }
table { border-collapse: collapse; margin: 1rem 0; width: 100%; }
th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid #ddd; vertical-align: top; }
td.many { text-align: right; }
.fault, .rejected { color: #a40000; } .follows, .blocked { color: #8a5a00; } .warning, .unknown { color: #555; }
code { background: #f4f4f4; padding: 0 .2rem; }
"""


def page(name: str, report: Report) -> str:
    """The whole page."""
    parts = (
        "<!doctype html>",
        f'<html lang="en"><head><meta charset="utf-8"><title>{escape(name)}</title><style>{STYLE}</style></head><body>',
        f"<h1>{report.quests} quests of {escape(name)}</h1><p>{escape(summary(report))}</p>",
        _table(("verdict", "quests"), [(_word(each), report.verdicts.get(each, 0)) for each in VERDICTS]),
        _checks(report),
        "<h2>What was found</h2>" if report.found else "",
        *(_found(found) for found in report.found),
        "<h2>Every quest</h2>",
        _rows(report.rows),
        "</body></html>\n",
    )
    return "\n".join(part for part in parts if part)


def _word(verdict: str) -> str:
    return verdict.replace("_", " ")


def _table(head: tuple[str, ...], rows: list[tuple[str, *tuple[int, ...]]]) -> str:
    titles = "".join(f"<th>{escape(word)}</th>" for word in head)
    body = "".join(
        f"<tr><td>{escape(words)}</td>{''.join(f'<td class=many>{count}</td>' for count in counts)}</tr>"
        for words, *counts in rows
    )
    return f"<table><tr>{titles}</tr>{body}</table>"


def _checks(report: Report) -> str:
    if not report.checks:
        return ""
    rows: list[tuple[str, *tuple[int, ...]]] = [
        (f"{check} {CHECKS.get(check, '')}", *(counts.get(weight, 0) for weight in WEIGHTS))
        for check, counts in report.checks.items()
    ]
    return _table(("check", *WEIGHTS.values()), rows)


def _found(found: Found) -> str:
    lines = [escape(found.reason)]
    if found.missing:
        lines.append(f"missing: <code>{escape(', '.join(found.missing))}</code>")
    lines.extend(f"<code>{escape(id)}</code>: {escape(hint)}" for id, hint in found.nearest.items())
    if found.variant:
        lines.append(f"can be done all the same: {escape(', '.join(found.variant))}")
    place = f" <small>{escape(found.where)}</small>" if found.where else ""
    head = f"<strong>{escape(', '.join(found.quests))}</strong> {found.check} {found.fault}{place}"
    return f'<p class="{found.weight}">{head}<br>{"<br>".join(lines)}</p>'


def _rows(rows: tuple[Row, ...]) -> str:
    body = "".join(
        f'<tr class="{row.verdict}"><td>{escape(row.quest)}</td><td>{escape(row.title)}</td>'
        f"<td class=many>{row.level}</td><td>{_word(row.verdict)}</td><td>{escape(row.check)}</td>"
        f"<td>{escape(row.where)}</td></tr>"
        for row in rows
    )
    head = "".join(f"<th>{word}</th>" for word in ("quest", "title", "level", "verdict", "check", "where"))
    return f"<table><tr>{head}</tr>{body}</table>"
