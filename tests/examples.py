"""How many examples a generated test takes: as many as it says, and more in a campaign.

``make fuzz`` runs the same properties with ``LEDGERCORE_FUZZ`` times as many examples each.
"""

from __future__ import annotations

import os
from typing import Any

from hypothesis import settings

__all__ = ["TIMES", "examples"]

TIMES = int(os.environ.get("LEDGERCORE_FUZZ") or 1)


def examples(count: int = 100, **more: Any) -> settings:
    """Hypothesis settings for ``count`` examples in a test run."""
    return settings(max_examples=count * TIMES, **more)
