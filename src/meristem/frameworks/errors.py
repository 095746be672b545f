"""One line for an app: `answer_errors(app)`."""

from __future__ import annotations

import importlib
from typing import Any, Final

from meristem.errors import MisuseError
from meristem.frameworks.problem_answers import DOCS

# Quart's classes are derived from Flask's, so the nearest class decides.
KNOWN: Final = {"quart": "quart", "flask": "flask", "starlette": "starlette"}


def answer_errors(app: Any, *, docs: str = DOCS) -> None:
    """Have an app of FastAPI, Starlette, Flask or Quart answer errors of its views as the REST interface does.

    A `Fault` and a `CallError` become problem details (RFC 9457) with their status. An error that nobody expected
    becomes a 500 that tells its trace and nothing else, unless the app has a page of its own for it. Handlers that the
    app registers later are stronger. `docs` is where the API page is, at which the type of a fault points. For Django
    add "meristem.frameworks.django.ErrorAnswers" to MIDDLEWARE. Raises MisuseError for another framework's app.
    """
    for each in type(app).__mro__:
        framework = KNOWN.get(each.__module__.partition(".")[0])
        if framework is not None:
            importlib.import_module(f"meristem.frameworks.{framework}").install(app, docs)
            return
    raise MisuseError(
        f"answer_errors takes an app of FastAPI, Starlette, Flask or Quart, not {type(app).__module__}."
        f"{type(app).__name__}; call it before the app is wrapped, or answer_of(error, …) in a handler of your own"
    )
