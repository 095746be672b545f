"""Whether a password is an account's."""

from __future__ import annotations

import hmac

from sitekit.accounts.faults import WrongCredentials
from sitekit.accounts.passwords import Passwords
from sitekit.accounts.throttle import Throttle
from sitekit.accounts.tokens import device_of


class Authentication:
    """Looks at passwords as often as their failures allow, and tells nobody who has an account."""

    def __init__(self, passwords: Passwords, throttle: Throttle) -> None:
        self.passwords = passwords
        self.throttle = throttle

    async def prove(self, email: str, kept: str | None, password: str, device: str = "") -> str:
        """The hash to keep from now on: another one than `kept` if that was made with other parameters.

        Without an account, of which nothing is kept, it takes as long. Raises WrongCredentials and TooManyAttempts.
        """
        known = kept is not None and hmac.compare_digest(device.encode(), device_of(kept).encode())
        async with self.throttle.attempt(email, known=known):
            if not await self.passwords.is_right(password, kept) or kept is None:
                raise WrongCredentials
        return await self.passwords.hash(password) if self.passwords.is_outdated(kept) else kept
