"""An ordinary Flask application; it knows nothing of Meristem."""

from flask import Flask

app = Flask(__name__)


@app.get("/hello/<name>")
def hello(name: str) -> str:
    return f"Hello, {name}, from Flask!"


@app.get("/add/<int:one>/<int:other>")
def add(one: int, other: int) -> dict[str, int]:
    return {"sum": one + other}
