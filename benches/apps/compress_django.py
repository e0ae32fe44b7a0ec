"""Texts by Django: `/whole/NAME` at once, `/stream/NAME` in pieces of 8 KiB; with its middleware if GZIP is set."""

import os
from collections.abc import Iterator

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import path
from texts import TEXTS, TYPES  # type: ignore[import-not-found]

PIECE = 8 * 1024

settings.configure(
    SECRET_KEY="not secret",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    MIDDLEWARE=["django.middleware.gzip.GZipMiddleware"] if os.environ.get("GZIP") else [],
)


def whole(request: HttpRequest, name: str) -> HttpResponse:
    return HttpResponse(TEXTS[name], content_type=TYPES[name.partition(".")[2]])


def stream(request: HttpRequest, name: str) -> StreamingHttpResponse:
    return StreamingHttpResponse(_pieces(TEXTS[name]), content_type=TYPES[name.partition(".")[2]])


def _pieces(text: bytes) -> Iterator[bytes]:
    for start in range(0, len(text), PIECE):
        yield text[start : start + PIECE]


urlpatterns = [path("whole/<name>", whole), path("stream/<name>", stream)]
app = get_wsgi_application()
