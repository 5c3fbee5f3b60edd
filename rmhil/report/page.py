"""HTML of the report: pure functions from text and pictures to one self-contained page."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from rmhil.report.canvas import Picture

_CSS = """
:root { --ink: #22262e; --soft: #6b7280; --line: #e4e6ea; --back: #f6f7f9; --accent: #0072b2; }
* { box-sizing: border-box; }
body { margin: 0; background: var(--back); color: var(--ink);
  font: 15px/1.55 system-ui, "Segoe UI", Roboto, sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 28px 22px 60px; }
h1 { font-size: 26px; margin: 0 0 4px; }
h2 { font-size: 18px; margin: 0 0 14px; }
code, pre { font: 13px/1.5 ui-monospace, "Cascadia Mono", Consolas, monospace; }
pre { margin: 0; white-space: pre-wrap; overflow-wrap: anywhere; }
header p { margin: 2px 0; color: var(--soft); }
.status { display: inline-block; padding: 1px 10px; border-radius: 10px; font-size: 13px; color: #fff;
  vertical-align: 4px; background: var(--soft); }
.status.complete { background: #1a7f4e; } .status.failed { background: #b42318; }
.status.interrupted { background: #b36b00; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(165px, 1fr)); gap: 12px; margin: 20px 0; }
.card, section { background: #fff; border: 1px solid var(--line); border-radius: 10px; }
.card { padding: 12px 16px; } .card b { display: block; font-size: 23px; line-height: 1.3; }
.card span { color: var(--soft); font-size: 13px; }
section { padding: 20px 22px; margin: 18px 0; overflow-x: auto; }
figure { margin: 0 0 18px; } figure img { max-width: 100%; height: auto; display: block; margin: 0 auto; }
figcaption, .note { color: var(--soft); font-size: 13px; max-width: 90ch; margin: 6px auto 0; }
table { border-collapse: collapse; width: 100%; font-size: 14px; }
th { text-align: left; font-weight: 600; border-bottom: 2px solid var(--line); padding: 5px 12px 5px 0; }
td { border-bottom: 1px solid var(--line); padding: 4px 12px 4px 0; vertical-align: top; overflow-wrap: anywhere; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
tr:last-child td { border-bottom: 0; }
details summary { cursor: pointer; color: var(--accent); }
@media print { body { background: #fff; } section, .card { break-inside: avoid; } }
"""


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page: a title and finished HTML."""

    title: str
    html: str


def picture(shown: Picture) -> str:
    """A picture inside the page, with its caption."""
    data = base64.b64encode(shown.png).decode("ascii")
    caption = escape(shown.caption)
    return (
        f'<figure><img alt="{caption}" src="data:image/png;base64,{data}"><figcaption>{caption}</figcaption></figure>'
    )


def table(head: Sequence[str], rows: Iterable[Sequence[object]], *, numbers: Sequence[int] = ()) -> str:
    """A table; `numbers` are the columns that are set flush right."""

    def line(cells: Sequence[object], tag: str) -> str:
        parts = (
            f"<{tag}{' class=number' if column in numbers else ''}>{escape(str(cell))}</{tag}>"
            for column, cell in enumerate(cells)
        )
        return f"<tr>{''.join(parts)}</tr>"

    body = "".join(line(row, "td") for row in rows)
    return f"<table><thead>{line(head, 'th')}</thead><tbody>{body}</tbody></table>"


def note(text: str) -> str:
    """A paragraph in small print."""
    return f"<p class=note>{escape(text)}</p>"


def folded(summary: str, text: str) -> str:
    """Preformatted text that opens on a click."""
    return f"<details><summary>{escape(summary)}</summary><pre>{escape(text)}</pre></details>"


def page(title: str, status: str, facts: Sequence[str], cards: Mapping[str, str], sections: Sequence[Section]) -> str:
    """The whole page.

    Args:
        title: shown at the top and in the browser's tab.
        status: of the run.
        facts: lines under the title.
        cards: the numbers to see first, name -> value.
        sections: in order.
    """
    lines = "".join(f"<p>{escape(fact)}</p>" for fact in facts)
    shown = "".join(
        f"<div class=card><b>{escape(value)}</b><span>{escape(name)}</span></div>" for name, value in cards.items()
    )
    body = "".join(f"<section><h2>{escape(part.title)}</h2>{part.html}</section>" for part in sections)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_CSS}</style></head><body><main>"
        f"<header><h1>{escape(title)} <span class='status {escape(status)}'>{escape(status)}</span></h1>"
        f"{lines}</header>"
        f"<div class=cards>{shown}</div>{body}</main></body></html>\n"
    )
