"""Datasette: pages, a query, JSON and a streamed CSV."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import httpx

from ..scene import Scene, Visit, browsing

ROWS = 5000


def prepare(folder: Path) -> None:
    """Makes the database."""
    with closing(sqlite3.connect(folder / "cities.db")) as database, database:
        database.execute("create table cities (name text, people integer)")
        database.executemany("insert into cities values (?, ?)", [(f"City {n}", n * 1000) for n in range(ROWS)])


def visit(visit: Visit) -> str:
    """Looks at the table with a browser, asks a question in SQL, and reads JSON and CSV."""
    with browsing(f"{visit.url}/cities/cities") as page:
        assert "5,000 rows" in page.inner_text("h3"), page.inner_text("h3")
        page.goto(f"{visit.url}/cities?sql=select+max(people)+as+most+from+cities")
        assert page.inner_text("table.rows-and-columns td") == "4999000"
    rows = httpx.get(f"{visit.url}/cities/cities.json?_shape=array&_size=10").json()
    assert [row["name"] for row in rows] == [f"City {n}" for n in range(10)]
    with httpx.stream("GET", f"{visit.url}/cities/cities.csv?_stream=on") as response:
        lines = sum(chunk.count("\n") for chunk in response.iter_text())
    assert lines == ROWS + 1, lines
    return f"table page, SQL page, 10 rows of JSON, {lines} lines of streamed CSV"


SCENE = Scene(
    name="Datasette",
    package="datasette",
    target="datasette_app:app",
    done="browser: table and SQL page; httpx: JSON, streamed CSV",
    visit=visit,
    prepare=prepare,
)
