"""The framework routes in FastAPI."""

import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any

from fastapi import BackgroundTasks, Cookie, Depends, FastAPI, Form, Request, Response, UploadFile
from fastapi.responses import PlainTextResponse, StreamingResponse
from framework import LARGE, LINES, Boom, background, summary, thread_name
from pydantic import BaseModel
from support import note


@contextlib.asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, str]]:
    note("startup")
    yield {"greeting": "home"}
    note("shutdown")


app = FastAPI(lifespan=lifespan)


class Numbers(BaseModel):
    """The body of `POST /json`."""

    numbers: list[int]


def greeting(request: Request) -> Iterator[str]:
    yield request.state.greeting


@app.get("/", response_class=PlainTextResponse)
async def home(greeting: Annotated[str, Depends(greeting)]) -> str:
    return greeting


@app.get("/json/{n}")
async def get_json(n: int, q: str | None = None) -> dict[str, Any]:
    return {"n": n, "q": q}


@app.post("/json")
async def post_json(body: Numbers) -> Numbers:
    return body


@app.post("/upload")
async def upload(file: UploadFile, field: Annotated[str, Form()]) -> dict[str, Any]:
    return summary(field, file.filename or "", file.content_type or "", await file.read())


@app.get("/stream")
async def stream() -> StreamingResponse:
    return StreamingResponse(iter(LINES), media_type="text/plain")


@app.get("/large")
async def large() -> Response:
    return Response(LARGE)


@app.get("/background", status_code=202, response_class=PlainTextResponse)
async def run_background(tasks: BackgroundTasks) -> str:
    tasks.add_task(background, "fastapi")
    return "accepted"


@app.get("/cookies")
async def cookies(seen: Annotated[str, Cookie()] = "none") -> Response:
    response = PlainTextResponse(seen)
    response.set_cookie("a", "1")
    response.set_cookie("b", "2")
    return response


@app.get("/boom")
async def boom() -> None:
    raise Boom


@app.get("/sync", response_class=PlainTextResponse)
def sync() -> str:
    return thread_name()
