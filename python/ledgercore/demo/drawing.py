"""Draw one exchange as a picture: who signed what onto the ledger, and what went past it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ledgercore.demo.parties import BANK, REGULATOR, TAX
from ledgercore.demo.story import ENTERPRISE, Step
from ledgercore.rules.drawing import ROW, draw_arrow, draw_lane

__all__ = ["draw_flow"]

_LEDGER = "ledger"
_LANES = {ENTERPRISE: 80, TAX: 270, _LEDGER: 460, BANK: 650, REGULATOR: 840}
_WIDTH, _TOP = 920, 64


class _Message(NamedTuple):
    """What one party hands another without the ledger, after a record of some kind."""

    sender: str
    receiver: str
    text: str


_BESIDE = {
    "agreement.request": _Message(BANK, TAX, "the contract, in clear"),
    "agreement.offer": _Message(TAX, BANK, "another contract, in clear"),
    "consent.request": _Message(BANK, ENTERPRISE, "the terms, in clear"),
    "exchange.intent": _Message(BANK, TAX, "the request"),
    "exchange.admit": _Message(TAX, BANK, "sealed data; the key, once a receipt shows the consent"),
}


def draw_flow(steps: Sequence[Step]) -> str:
    """An SVG picture; full arrows go onto the ledger, dashed ones past it."""
    rows: list[str] = []
    line = _TOP
    for step in steps:
        line += ROW
        text = f"{step.index} {step.kind}"
        rows.append(
            draw_arrow(_LANES.get(step.signer, _LANES[REGULATOR]), _LANES[_LEDGER], line, text)
        )
        beside = _BESIDE.get(step.kind)
        if beside is not None:
            line += ROW
            ends = _LANES[beside.sender], _LANES[beside.receiver]
            rows.append(draw_arrow(*ends, line, beside.text, "beside"))
    height = line + ROW
    lanes = "".join(
        draw_lane(name, x, _TOP, height, "lane ledger" if name == _LEDGER else "lane")
        for name, x in _LANES.items()
    )
    title = f"<title>{len(steps)} records of one exchange, in the ledger's order</title>"
    return (
        f'<svg class="flow" viewBox="0 0 {_WIDTH} {height}" role="img">{title}{lanes}'
        f"{''.join(rows)}</svg>"
    )
