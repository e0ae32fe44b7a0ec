"""The framework routes in Django, for ASGI and WSGI alike: settings, views and URLs."""

from __future__ import annotations

import json
from typing import Any

import django
from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import path
from framework import LARGE, LINES, Boom, summary, thread_name


def setup() -> None:
    settings.configure(
        ALLOWED_HOSTS=["*"],
        DEBUG=False,
        ROOT_URLCONF=__name__,
        SECRET_KEY="for tests only",
        MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
        LOGGING_CONFIG=None,
        CHANNEL_LAYERS={"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}},
    )
    django.setup()


async def home(request: HttpRequest) -> HttpResponse:
    return HttpResponse("home", content_type="text/plain")


async def get_json(request: HttpRequest, n: int) -> HttpResponse:
    return JsonResponse({"n": n, "q": request.GET.get("q")})


def post_json(request: HttpRequest) -> HttpResponse:
    return JsonResponse(json.loads(request.body))


def upload(request: HttpRequest) -> HttpResponse:
    file: Any = request.FILES["file"]
    return JsonResponse(summary(request.POST["field"], file.name, file.content_type, file.read()))


def stream(request: HttpRequest) -> HttpResponse:
    return StreamingHttpResponse(iter(LINES), content_type="text/plain")


async def astream(request: HttpRequest) -> HttpResponse:
    async def lines() -> Any:
        for line in LINES:
            yield line

    return StreamingHttpResponse(lines(), content_type="text/plain")


def large(request: HttpRequest) -> HttpResponse:
    return HttpResponse(LARGE, content_type="application/octet-stream")


def cookies(request: HttpRequest) -> HttpResponse:
    response = HttpResponse(request.COOKIES.get("seen", "none"))
    response.set_cookie("a", "1")
    response.set_cookie("b", "2")
    return response


def boom(request: HttpRequest) -> HttpResponse:
    raise Boom


def sync(request: HttpRequest) -> HttpResponse:
    return HttpResponse(thread_name())


urlpatterns = [
    path("", home),
    path("json/<int:n>", get_json),
    path("json", post_json),
    path("upload", upload),
    path("stream", stream),
    path("large", large),
    path("cookies", cookies),
    path("boom", boom),
    path("sync", sync),
]
