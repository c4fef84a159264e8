"""Narrow the terms of a consent: keep some of its leaves, and show that no other is among them.

What is kept keeps its salt and its position, so whoever holds the terms as they were agreed to
knows the narrowed ones from the record on the ledger alone.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from ledgercore import records
from ledgercore._core import leaf_hashes
from ledgercore.errors import UntrustedError
from ledgercore.exchange.messages import Proposal
from ledgercore.exchange.salted import Leaf, commit, encode_leaf, prove_leaves
from ledgercore.records import ConsentNarrow
from ledgercore.rules import consent_object

if TYPE_CHECKING:  # who verifies a pack needs none
    from ledgercore.ledger import Ledger

__all__ = ["leaves_of_root", "make_narrowing"]


def make_narrowing(
    suite: str,
    consent: bytes,
    leaves: tuple[Leaf, ...],
    fields: Collection[str],
    processors: Collection[str],
) -> ConsentNarrow:
    """The record that keeps only some of the terms' fields and processors; its end and its uses
    are still to be set.

    Raises ``UntrustedError`` for a field or a processor that the terms do not have.
    """
    chosen = {"fields": fields, "processors": processors}
    for name, wanted in chosen.items():
        have = sorted({str(leaf.value) for leaf in leaves if leaf.name == name})
        if beyond := sorted(set(wanted).difference(have)):
            raise UntrustedError(f"{name} {beyond} are not in the terms, want some of {have}")
    kept = [
        place
        for place, leaf in enumerate(leaves)
        if leaf.name not in chosen or leaf.value in chosen[leaf.name]
    ]
    left = [leaves[place] for place in kept]
    hashes = leaf_hashes(suite, [encode_leaf(leaf) for leaf in left])
    return ConsentNarrow(
        consent=consent,
        terms_root=commit(suite, left),
        expires_ms=0,
        max_uses=0,
        processors=tuple(str(leaf.value) for leaf in left if leaf.name == "processors"),
        size=len(leaves),
        positions=tuple(kept),
        leaves=tuple(hashes[at : at + 32] for at in range(0, len(hashes), 32)),
        proof=tuple(prove_leaves(suite, leaves, kept)),
    )


def leaves_of_root(ledger: Ledger, proposal: Proposal, root: bytes) -> tuple[Leaf, ...]:
    """The leaves of a proposal that a root is over, after the narrowings on the ledger.

    Raises ``UntrustedError`` where the root is none of this proposal's.
    """
    leaves = proposal.terms
    if commit(ledger.suite, leaves) == root:
        return leaves
    for _, record in ledger.history(consent_object(proposal.consent)):
        if record.kind != ConsentNarrow.KIND:
            continue
        body = records.decode(record.kind, record.body)
        assert isinstance(body, ConsentNarrow)
        if body.positions and body.positions[-1] >= len(leaves):
            break
        leaves = tuple(leaves[place] for place in body.positions)
        if leaves and commit(ledger.suite, leaves) == root:
            return leaves
    raise UntrustedError("terms are not the ones that the consent commits to")
