"""Datasette with the database of the folder."""

from datasette.app import Datasette

app = Datasette(["cities.db"]).app()
