"""Write what a demonstration did as one page: a file that needs no network and runs no script.

It holds every record of the exchanges that it shows, with its receipt and the trust anchor, so that
whoever has the page and this package, or the independent verifier, can check them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from html import escape

from ledgercore.anchor import format_anchor
from ledgercore.demo.drawing import draw_flow
from ledgercore.demo.run import DemoResult
from ledgercore.demo.story import Step, tell
from ledgercore.exchange import Claim
from ledgercore.ledger import Ledger
from ledgercore.rules import CODES

__all__ = ["render_page"]

_BAR = 260

_TITLES = {
    "plain": "from consent to use",
    "revoke-early": "revoked before it was admitted",
    "expire": "the consent expired first",
    "out-of-scope": "a field was asked for that nobody consented to",
    "revoke-late": "revoked before the data was used again",
    "erase": "the data was erased; the evidence still verifies",
}

_STYLE = """
:root { color-scheme: light dark; --line: #8886; --accent: #1a6fb5; --soft: #8881; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2.5rem; }
table { border-collapse: collapse; width: 100%; } caption { text-align: left; padding: .4rem 0; }
th, td { text-align: left; padding: .25rem .6rem; border-bottom: 1px solid var(--line); }
td.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
code, pre { font: .85em/1.4 ui-monospace, monospace; overflow-wrap: anywhere; }
pre { background: var(--soft); padding: .8rem; white-space: pre-wrap; }
details { margin: .2rem 0; } summary { cursor: pointer; }
.facts { display: flex; flex-wrap: wrap; gap: .6rem; padding: 0; list-style: none; }
.facts li { border: 1px solid var(--line); border-radius: .4rem; padding: .4rem .8rem; }
.facts b { display: block; font-size: 1.3rem; }
.flow { width: 100%; height: auto; font: 12px system-ui, sans-serif; }
.flow text { text-anchor: middle; fill: CanvasText; }
.flow text { paint-order: stroke; stroke: Canvas; stroke-width: 4px; }
.flow .name { font-weight: 600; }
.flow .lane { stroke: var(--line); } .flow .lane.ledger { stroke: var(--accent); stroke-width: 3; }
.flow g line { stroke: var(--accent); } .flow g polygon { fill: var(--accent); }
.flow .beside line { stroke: currentColor; stroke-dasharray: 4 4; }
.flow .beside polygon { fill: currentColor; }
.bars td:first-child { width: 50%; } .bars td.number { width: 5rem; }
rect.bar { fill: var(--accent); }
.proven { color: #17803d; } .withheld, .erased { color: #9a6700; }
"""


def render_page(result: DemoResult) -> str:
    """The page; raises where the ledger or a record that it shows does not verify."""
    with Ledger.open(result.ledger, read_only=True) as ledger:
        examples = {
            course.name.lower().replace("_", "-"): tell(ledger, exchange)
            for course, exchange in result.tally.examples.items()
        }
        anchor, checkpoint = format_anchor(ledger.trust_anchor), ledger.checkpoint
    parts = [
        "<h1>Tax data for a loan, with proof and without the data on the ledger</h1>",
        _facts(result),
        "<h2>Refusals</h2>",
        _bars("Refused, by code", result.tally.refusals, _meanings(result.tally.refusals)),
        "<h2>What the regulator counts</h2>",
        "<p>From the signed state of its own copy, without any content.</p>",
        _bars("Agreements", result.totals.agreements),
        _bars("Consents", result.totals.consents),
        _bars("Exchanges", result.totals.exchanges),
        _bars("Decisions", result.totals.decisions),
        f"<p>{escape(result.note_of_time)}</p>",
        *(_example(name, steps, result.claims.get(name, ())) for name, steps in examples.items()),
        "<h2>The trust anchor</h2>",
        "<p>All that a verifier must be given; it checks every receipt on this page.</p>",
        f"<pre id=anchor>{escape(anchor)}</pre>",
        "<p>The newest checkpoint, as the operator signed it:</p>",
        f"<pre id=checkpoint>{escape(checkpoint)}</pre>",
    ]
    body = "\n".join(parts)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>ledgercore demonstration</title><style>{_STYLE}</style></head>\n"
        f"<body>{body}</body></html>\n"
    )


def _facts(result: DemoResult) -> str:
    facts = {
        "rows read": result.table.count,
        "rows refused": len(result.table.rejected),
        "exchanges": result.tally.exchanges,
        "completed": result.tally.completed,
        "records": result.records,
        "records verified by the regulator": result.report.records,
    }
    items = (f"<li><b>{number:,}</b>{escape(name)}</li>" for name, number in facts.items())
    return f'<ul class="facts">{"".join(items)}</ul>'


def _meanings(codes: Iterable[str]) -> dict[str, str]:
    return {code: CODES[code].meaning for code in codes if code in CODES}


def _bars(caption: str, counts: Mapping[str, int], about: Mapping[str, str] | None = None) -> str:
    """A table of counts, each with a bar beside it."""
    most = max(counts.values(), default=1)
    rows = []
    for name, count in sorted(counts.items(), key=lambda item: -item[1]):
        bar = f'<svg width="{_BAR}" height="12"><rect class="bar" height="12" '
        bar += f'width="{max(1, _BAR * count // most)}"/></svg>'
        text = f"{escape(name)} {escape((about or {}).get(name, ''))}"
        rows.append(f'<tr><td>{text}</td><td class="number">{count:,}</td><td>{bar}</td></tr>')
    return f"<table class=bars><caption>{escape(caption)}</caption>{''.join(rows)}</table>"


def _example(name: str, steps: list[Step], claims: Iterable[Claim]) -> str:
    title = _TITLES.get(name, name.replace("-", " "))
    return "\n".join(
        (
            f'<section id="{escape(name)}"><h2>One exchange: {escape(title)}</h2>',
            draw_flow(steps),
            "<table><tr><th>index<th>time<th>signer<th>record, with its receipt</tr>",
            *map(_step, steps),
            "</table>",
            "<h3>What its evidence pack proves, verified offline</h3><ul>",
            *map(_claim, claims),
            "</ul></section>",
        )
    )


def _step(step: Step) -> str:
    time = datetime.fromtimestamp(step.time_ms / 1000, UTC).isoformat(" ", "seconds")
    return (
        f'<tr><td class="number">{step.index}</td><td>{time[:19]}</td>'
        f"<td>{escape(step.signer)}</td><td><details><summary>{escape(step.kind)}</summary>"
        f"<p>id <code>{step.id.hex()}</code>, block {step.height}</p>"
        f"<p>record <code class=record>{step.record}</code></p>"
        f"<p>receipt <code class=receipt>{step.receipt}</code></p></details></td></tr>"
    )


def _claim(claim: Claim) -> str:
    return (
        f'<li><b class="{escape(claim.status)}">{escape(claim.status)}</b> '
        f"{escape(claim.name)}: {escape(claim.statement)}</li>"
    )
