"""The shop for the public: without test cards, and without links to what stands in for third parties."""

import os

from bookshop.web.app import create_app
from bookshop.web.settings import WebSettings

app = create_app(WebSettings.read({**os.environ, "BOOKSHOP_WEB_DEMONSTRATION": "0"}))
