"""A Flask application as its tutorials write it; it knows nothing of Meristem. `python flask_app.py` runs it."""

from typing import Any

from flask import Flask, request

app = Flask(__name__)


@app.get("/hello")
def hello() -> dict[str, str]:
    return {"message": "Hello, World!"}


@app.post("/add")
def add() -> dict[str, Any]:
    data = request.get_json()
    return {"result": data["a"] + data["b"]}


if __name__ == "__main__":
    app.run(port=5000)
