"""An ordinary FastAPI application; it knows nothing of Meristem."""

from fastapi import FastAPI

app = FastAPI()


@app.get("/hello/{name}")
async def hello(name: str) -> str:
    return f"Hello, {name}, from FastAPI!"


@app.get("/add/{one}/{other}")
async def add(one: int, other: int) -> dict[str, int]:
    return {"sum": one + other}
