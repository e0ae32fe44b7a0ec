"""The FastAPI application of the row with a query, by asyncpg."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from fastapi import FastAPI, Request


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
    # The address comes from libpq's variables.
    async with asyncpg.create_pool(min_size=1, max_size=16) as pool:
        yield {"pool": pool}


app = FastAPI(openapi_url=None, lifespan=lifespan)


@app.get("/query")
async def query(request: Request) -> dict[str, object]:
    row = await request.state.pool.fetchrow("SELECT id, message FROM item WHERE id = $1", 7)
    return {"id": row["id"], "message": row["message"]}
