"""Limits of what a client may send, and the middleware that holds a request's body to them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from fastapi import HTTPException
from fastapi.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send


@dataclass(frozen=True)
class Limits:
    """What one request, and all of them together, may take."""

    max_bytes: int = 32 * 2**20
    """Of a request's body, all of its images together."""
    max_images: int = 64
    """In a request."""
    max_pixels: int = 50_000_000
    """Of an image that is decoded at full size: the header says it before a pixel is read."""
    seconds: float = 30.0
    """In which a request's body must have come, and again in which it is answered."""
    max_waiting: int = 256
    """Images that are decoded or wait for the network; further requests are refused (503)."""


class BodyLimits:
    """ASGI middleware: refuses a body that is too large (413) or too slow (408) before all of it is there.

    A connection on which an answer comes before the body's end is closed with it.
    """

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self.app, self.limits = app, limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        claimed = headers.get(b"content-length", b"0")
        if not claimed.isdigit() or int(claimed[:20]) > self.limits.max_bytes:
            refusal = JSONResponse({"detail": self._too_large()}, 413, {"connection": "close"})
            await refusal(scope, receive, send)
            return
        body = _Body(receive, self.limits, self._too_large())
        body.complete = claimed == b"0" and b"transfer-encoding" not in headers

        async def send_and_close(message: Message) -> None:
            if message["type"] == "http.response.start" and not body.complete:  # else the rest would be read for ever
                message = {**message, "headers": [*message.get("headers", ()), (b"connection", b"close")]}
            await send(message)

        await self.app(scope, body, send_and_close)

    def _too_large(self) -> str:
        return f"expected at most {self.limits.max_bytes:,} bytes, found more"


class _Body:
    """``receive`` of ASGI for one request, with its bytes and seconds counted."""

    def __init__(self, receive: Receive, limits: Limits, too_large: str) -> None:
        self.receive, self.limits, self.too_large = receive, limits, too_large
        self.bytes, self.complete = 0, False
        self.deadline = asyncio.get_running_loop().time() + limits.seconds

    async def __call__(self) -> Message:
        if self.complete:  # what comes now is that the client has gone
            return await self.receive()
        left = self.deadline - asyncio.get_running_loop().time()
        try:
            message: dict[str, Any] = dict(await asyncio.wait_for(self.receive(), max(0.0, left)))
        except TimeoutError:
            late = f"expected the whole request within {self.limits.seconds:g} seconds, found part of it"
            raise HTTPException(408, late) from None
        self.bytes += len(message.get("body", b""))
        if self.bytes > self.limits.max_bytes:
            raise HTTPException(413, self.too_large)
        self.complete = not message.get("more_body", False)
        return message
