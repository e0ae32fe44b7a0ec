"""The framework routes in Litestar."""

import contextlib
from collections.abc import AsyncIterator
from typing import Annotated, Any

from framework import LARGE, LINES, Boom, background, summary, thread_name
from litestar import Litestar, Request, Response, get, post
from litestar.background_tasks import BackgroundTask
from litestar.datastructures import UploadFile
from litestar.enums import MediaType, RequestEncodingType
from litestar.params import Body
from litestar.response import Stream
from support import note


@contextlib.asynccontextmanager
async def lifespan(app: Litestar) -> AsyncIterator[None]:
    note("startup")
    app.state.greeting = "home"
    yield
    note("shutdown")


@get("/", media_type=MediaType.TEXT)
async def home(request: Request) -> str:
    return request.app.state.greeting


@get("/json/{n:int}")
async def get_json(n: int, q: str | None = None) -> dict[str, Any]:
    return {"n": n, "q": q}


@post("/json", status_code=200)
async def post_json(data: dict[str, list[int]]) -> dict[str, list[int]]:
    return data


@post("/upload", status_code=200)
async def upload(data: Annotated[dict[str, Any], Body(media_type=RequestEncodingType.MULTI_PART)]) -> dict[str, Any]:
    file: UploadFile = data["file"]
    return summary(data["field"], file.filename, file.content_type, await file.read())


@get("/stream")
async def stream() -> Stream:
    return Stream(iter(LINES), media_type=MediaType.TEXT)


@get("/large", media_type="application/octet-stream")
async def large() -> bytes:
    return LARGE


@get("/background", status_code=202)
async def run_background() -> Response[str]:
    return Response("accepted", media_type=MediaType.TEXT, background=BackgroundTask(background, "litestar"))


@get("/cookies")
async def cookies(request: Request) -> Response[str]:
    response = Response(request.cookies.get("seen", "none"), media_type=MediaType.TEXT)
    response.set_cookie("a", "1")
    response.set_cookie("b", "2")
    return response


@get("/boom")
async def boom() -> None:
    raise Boom


@get("/sync", media_type=MediaType.TEXT, sync_to_thread=True)
def sync() -> str:
    return thread_name()


app = Litestar(
    [home, get_json, post_json, upload, stream, large, run_background, cookies, boom, sync],
    lifespan=[lifespan],
)
