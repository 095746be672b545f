"""A FastAPI application as its tutorials write it; it knows nothing of Meristem. `python fastapi_app.py` runs it."""

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()


class AddRequest(BaseModel):
    a: int
    b: int


@app.get("/hello")
async def hello() -> dict[str, str]:
    return {"message": "Hello, World!"}


@app.post("/add")
async def add(request: AddRequest) -> dict[str, int]:
    return {"result": request.a + request.b}


if __name__ == "__main__":
    uvicorn.run(app, port=8000)
