"""The FastAPI application of the framework workloads: one JSON route, as a coroutine and as a function."""

from fastapi import FastAPI

app = FastAPI(openapi_url=None)


@app.get("/async")
async def asynchronous() -> dict[str, object]:
    return {"message": "Hello, world!", "items": [1, 2, 3]}


@app.get("/sync")
def synchronous() -> dict[str, object]:
    return {"message": "Hello, world!", "items": [1, 2, 3]}
