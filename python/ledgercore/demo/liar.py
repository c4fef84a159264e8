"""Run a node that lies: the blocks and snapshots that it gives are not those that it has.

    python -m ledgercore.demo.liar node run SETTINGS

For demonstrations and tests. Its member's own copy is honest, and so is everything else that it
answers: only who verifies blocks finds out.
"""

from __future__ import annotations

import asyncio
import sys

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ledgercore.node.logs import make_log
from ledgercore.node.opening import caller_of, run_node
from ledgercore.node.settings import load_settings

__all__ = ["lying"]


def lying(app: ASGIApp) -> ASGIApp:
    """The same application, but for the last bit of every answer with blocks or a snapshot."""

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        async def changed(message: Message) -> None:
            body = message.get("body", b"")
            if body:
                message["body"] = body[:-1] + bytes([body[-1] ^ 1])
            await send(message)

        path = scope.get("path", "")
        await app(scope, receive, changed if _tells(path) else send)

    return application


def _tells(path: str) -> bool:
    return path.endswith("/v1/blocks") or "/v1/snapshot/" in path


def main() -> None:
    """Run the node of some settings."""
    loaded = load_settings(sys.argv[-1])
    log = make_log(sys.stderr, member=loaded.member)
    asyncio.run(run_node(loaded, caller_of(loaded), log, wrap=lying))


if __name__ == "__main__":
    main()
