"""The framework routes in Django over WSGI."""

from wsgiref.validate import validator

import django_views
from django.core.wsgi import get_wsgi_application

django_views.setup()
django = get_wsgi_application()
app = validator(django)
