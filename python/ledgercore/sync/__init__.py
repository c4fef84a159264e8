"""Keep copies of a ledger equal, between members who need not trust each other.

Everything that decides is a machine without I/O: it says what to ask of whom, and takes answers.
Sockets, servers and certificates are the node's.
"""

from ledgercore.sync.driver import (
    Pause,
    Transport,
    begin_copy,
    catch_up,
    follow,
    join_copy,
    publish,
)
from ledgercore.sync.follower import Ask, Follower, Take, Wait
from ledgercore.sync.messages import Request, Response
from ledgercore.sync.offences import OFFENCES, SHUT_OUT, Evidence, Standing
from ledgercore.sync.publisher import Publisher
from ledgercore.sync.rebuild import Rebuilt, rebuild_copy
from ledgercore.sync.source import Source
from ledgercore.sync.witness import Witness

__all__ = [
    "OFFENCES",
    "SHUT_OUT",
    "Ask",
    "Evidence",
    "Follower",
    "Pause",
    "Publisher",
    "Rebuilt",
    "Request",
    "Response",
    "Source",
    "Standing",
    "Take",
    "Transport",
    "Wait",
    "Witness",
    "begin_copy",
    "catch_up",
    "follow",
    "join_copy",
    "publish",
    "rebuild_copy",
]
