"""The HTTP application: `/predict`, `/health`, `/metrics`, `/openapi.json`, and a page with a form."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from importlib.metadata import version
from importlib.resources import files
from typing import Annotated, Any, Literal

from fastapi import FastAPI, File, HTTPException, Query, Request, UploadFile
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response

from headstart.data.unreadable import Unreadable
from headstart.inference.model import Model
from headstart.serving.counters import Counters
from headstart.serving.limits import BodyLimits, Limits
from headstart.serving.predictor import Answer, Mask, Predictor, reason

PAGE = "page.html"
POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'self'; img-src blob: data:; connect-src 'self'"
"""Of the page: nothing is loaded from elsewhere, and no script stands in it."""


def create_app(model: Model, name: str, limits: Limits) -> FastAPI:
    """The application for a model; ``name`` is what its run is called."""
    predictor, counters = Predictor(model, limits), Counters()
    waiting = 0

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        predictor.batcher.start()
        yield
        await predictor.stop()

    # FastAPI's own pages load scripts from another host.
    app = FastAPI(
        title=f"headstart: {name}", version=version("headstart"), docs_url=None, redoc_url=None, lifespan=lifespan
    )
    app.add_middleware(BodyLimits, limits=limits)

    @app.middleware("http")
    async def count(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        began = time.perf_counter()
        response = await call_next(request)
        known = request.url.path if request.url.path in KNOWN else "other"
        counters.answered(known, response.status_code, time.perf_counter() - began)
        return response

    @app.post("/predict", summary="Predict images", response_model=None)
    async def predict(
        images: Annotated[list[UploadFile], File(description="One image or more, as a browser's form sends them.")],
        output: Annotated[
            Literal["json", "png"], Query(alias="format", description="png: the mask of one image (segmentation).")
        ] = "json",
    ) -> Response:
        """Labels with probabilities; of a segmentation model masks, as PNG in base64, or one as a PNG file.

        An image that cannot be read has an `error` in its place; if there is no other, the status is 422.
        """
        nonlocal waiting
        _require(len(images) <= limits.max_images, 413, f"expected at most {limits.max_images} images, found more")
        _require(output == "json" or (model.palette is not None and len(images) == 1), 400, PNG_OF)
        _require(not predictor.refuses(waiting, len(images)), 503, "expected fewer requests at a time: try again later")
        waiting += len(images)
        try:
            async with asyncio.timeout(limits.seconds):
                found = await asyncio.gather(*(_one(predictor, image, output == "png") for image in images))
        except TimeoutError:
            raise HTTPException(503, f"expected a prediction within {limits.seconds:g} seconds, found none") from None
        finally:
            waiting -= len(images)
        unreadable = sum(not isinstance(each, Mask) and "error" in each for each in found)
        counters.unreadable += unreadable
        if isinstance(found[0], Mask):
            return Response(found[0].png, media_type="image/png")
        return JSONResponse({"predictions": found}, 422 if unreadable == len(found) else 200)

    _add_pages(app, predictor, counters, name, lambda: waiting)
    return app


def _add_pages(app: FastAPI, predictor: Predictor, counters: Counters, name: str, waiting: Callable[[], int]) -> None:
    """What is read: the state of the server, its counters, and the page with its script."""

    @app.get("/health", summary="Is the server ready, and for what")
    async def health() -> JSONResponse:
        content = {
            "status": "ok" if predictor.batcher.alive else "stopped",
            "run": name,
            "task": predictor.model.recipe.task,
        }
        return JSONResponse(
            {**content, "classes": list(predictor.model.classes), "headstart": version("headstart")},
            200 if predictor.batcher.alive else 503,
        )

    @app.get("/metrics", summary="Counters for Prometheus", response_class=PlainTextResponse)
    async def metrics() -> PlainTextResponse:
        batcher = predictor.batcher
        return PlainTextResponse(counters.text(batcher.images, batcher.batches, waiting()))

    @app.get("/", include_in_schema=False)
    async def page() -> HTMLResponse:
        return HTMLResponse(_text(PAGE), headers={"content-security-policy": POLICY})

    @app.get("/page.js", include_in_schema=False)
    async def script() -> Response:
        return Response(_text("page.js"), media_type="text/javascript")


KNOWN = ("/predict", "/health", "/metrics", "/openapi.json", "/", "/page.js")
PNG_OF = "expected one image and a run that predicts masks for format=png, found otherwise"


async def _one(predictor: Predictor, image: UploadFile, png: bool) -> Answer | Mask:
    """The prediction for one file, or its error."""
    named: dict[str, Any] = {"filename": image.filename or ""}
    content = await image.read()
    try:
        if predictor.model.palette is None:
            return named | await predictor.label(content)
        mask = await predictor.mask(content)
        return mask if png else named | predictor.describe(mask)
    except Unreadable as error:
        return named | {"error": reason(error)}


def _require(holds: bool, status: int, detail: str) -> None:
    if not holds:
        raise HTTPException(status, detail)


def _text(name: str) -> str:
    return files("headstart.serving").joinpath(name).read_text(encoding="utf-8")
