"""The site for the public: without test cards, and without links to what stands in for third parties."""

from dataclasses import replace

from hotels.web.app import create_app
from hotels.web.settings import WebSettings

app = create_app(replace(WebSettings.read(), demonstration=False))
