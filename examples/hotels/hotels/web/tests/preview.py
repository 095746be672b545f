"""The site over services in memory, to look at: `uvicorn hotels.web.tests.preview:app`."""

from hotels.web.app import create_app
from hotels.web.settings import WebSettings
from hotels.web.tests.fakes import World, connected

app = connected(create_app(WebSettings(secret="for looking only")), World())
