"""Two applications that exist already, run unmodified beside a service: `meristem run hosted.py`."""

from hello import GreeterService

from meristem import App, System

system = System(
    "hosted",
    services=[GreeterService],
    apps=[
        App("flask", "flask_app:app", mount="/flask"),
        App("fastapi", "fastapi_app:app", mount="/fastapi"),
    ],
)
