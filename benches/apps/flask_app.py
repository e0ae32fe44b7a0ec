"""The Flask application of the framework workloads: a JSON route, and one with a query."""

import psycopg_pool
from flask import Flask, Response, jsonify

app = Flask(__name__)
# Opened by the first query; the address comes from libpq's variables.
pool = psycopg_pool.ConnectionPool("", min_size=1, max_size=16, open=False)


@app.get("/json")
def hello() -> Response:
    return jsonify(message="Hello, world!", items=[1, 2, 3])


@app.get("/query")
def query() -> Response:
    pool.open()
    with pool.connection() as connection:
        row = connection.execute("SELECT id, message FROM item WHERE id = %s", (7,)).fetchone()
    assert row is not None
    return jsonify(id=row[0], message=row[1])
