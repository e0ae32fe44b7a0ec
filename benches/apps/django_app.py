"""The Django application of the framework workloads: a JSON route, and one with a query through the ORM."""

import os

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.db import models
from django.http import HttpRequest, JsonResponse
from django.urls import path

settings.configure(
    SECRET_KEY="not secret",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    MIDDLEWARE=["django.middleware.security.SecurityMiddleware", "django.middleware.common.CommonMiddleware"],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": os.environ.get("PGDATABASE", "postgres"),
            # A connection for each thread, kept.
            "CONN_MAX_AGE": None,
        }
    },
)
django.setup()


class Item(models.Model):  # type: ignore[misc]
    """A row of the benchmark's table."""

    message = models.TextField()

    class Meta:
        app_label = "bench"
        db_table = "item"
        managed = False


def hello(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"message": "Hello, world!", "items": [1, 2, 3]})


def query(request: HttpRequest) -> JsonResponse:
    item = Item.objects.get(pk=7)
    return JsonResponse({"id": item.pk, "message": item.message})


urlpatterns = [path("json", hello), path("query", query)]
app = get_wsgi_application()
