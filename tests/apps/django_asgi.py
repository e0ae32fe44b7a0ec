"""The framework routes in Django over ASGI."""

import django_views
from django.core.asgi import get_asgi_application
from django.urls import path

django_views.setup()
django_views.urlpatterns.insert(0, path("stream", django_views.astream))
app = get_asgi_application()
