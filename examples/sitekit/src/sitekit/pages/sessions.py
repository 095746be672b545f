"""The signed cookie that holds a visitor's session."""

from __future__ import annotations

from hashlib import sha256

from itsdangerous import URLSafeTimedSerializer
from quart import Quart, request
from quart.sessions import SecureCookieSessionInterface

from sitekit.pages.site import this_site


class SignedSessions(SecureCookieSessionInterface):
    """Quart's signed cookie, its secret found when it is first needed, marked Secure wherever HTTPS is spoken."""

    digest_method = staticmethod(sha256)

    def get_signing_serializer(self, app: Quart) -> URLSafeTimedSerializer | None:
        """Sign with the site's secret."""
        if not app.secret_key:
            app.secret_key = this_site().secret()
        return super().get_signing_serializer(app)

    def get_cookie_secure(self, app: Quart) -> bool:
        """Over HTTPS the cookie never travels in the clear."""
        return request.is_secure or super().get_cookie_secure(app)
