"""What is an app, and of which kind, is seen without calling it."""

import functools

import flask
import pytest
from werkzeug.wrappers import Request, Response

from meristem.errors import ConfigurationError
from meristem.hosting.loading import load_app, speaks_asgi, speaks_wsgi
from meristem.hosting.wsgi.application import WSGIHost
from meristem.resilience.limits import Limits


async def asgi(scope, receive, send): ...


def wsgi(environ, start_response): ...


class Asgi:
    async def __call__(self, scope, receive, send): ...


class HandsOn:
    """Middleware of the kind that returns what the app inside returns."""

    def __call__(self, scope, receive, send):
        return asgi(scope, receive, send)


class Wsgi:
    def __call__(self, environ, start_response): ...


def any_number(inner):
    @functools.wraps(inner)
    def wrapped(*args, **kwargs):
        return inner(*args, **kwargs)

    return wrapped


@Request.application
def of_a_request(request):
    return Response()


def with_an_option(environ, start_response, verbose=False): ...


@pytest.mark.parametrize("app", [asgi, Asgi(), Asgi().__call__, HandsOn(), functools.partial(asgi), any_number(asgi)])
def test_these_speak_asgi(app):
    assert speaks_asgi(app)
    assert load_app("web", app, None, Limits()).app is app


@pytest.mark.parametrize(
    "app",
    [
        wsgi,
        Wsgi(),
        Wsgi().__call__,
        flask.Flask(__name__),
        functools.partial(wsgi),
        any_number(wsgi),
        of_a_request,
        with_an_option,
    ],
)
def test_these_speak_wsgi(app):
    assert speaks_wsgi(app)
    assert isinstance(load_app("web", app, None, Limits()).app, WSGIHost)


def create_app(config=None, testing=False): ...


@pytest.mark.parametrize("app", [lambda: None, create_app, lambda scope: None, 42])
def test_what_makes_an_app_is_none(app):
    with pytest.raises(ConfigurationError, match="app 'web'"):
        load_app("web", app, None, Limits())


def test_a_function_that_makes_an_app_is_named_with_brackets(tmp_path):
    (tmp_path / "made_app.py").write_text(
        "async def app(scope, receive, send): ...\n"
        "def create_app(name=__name__): return app\n"
        "def broken(): raise KeyError('SETTING')\n"
        "async def waits(): return app\n"
        "names = []\n"
    )

    assert load_app("web", "made_app:create_app()", tmp_path, Limits()).app.__name__ == "app"
    with pytest.raises(ConfigurationError, match=r"'made_app:broken\(\)' failed: KeyError: 'SETTING' .*made_app.py:3"):
        load_app("web", "made_app:broken()", tmp_path, Limits())
    with pytest.raises(ConfigurationError, match=r"'made_app:names\(\)' calls list; leave the brackets out"):
        load_app("web", "made_app:names()", tmp_path, Limits())
    with pytest.raises(ConfigurationError, match=r"'made_app:waits\(\)' is async; make the app by an ordinary"):
        load_app("web", "made_app:waits()", tmp_path, Limits())
    with pytest.raises(ConfigurationError, match=r'with brackets: "shop.web:create_app\(\)"'):
        load_app("web", "made_app:create_app", tmp_path, Limits())
