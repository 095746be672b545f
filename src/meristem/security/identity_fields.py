"""The fields that tell apps and programs who sends a request: the edge alone writes them, from outside they never come.

A program believes them because nobody else can set them: what a client sends under such a name, or under one that a
program would take for it (`X_Meristem_User`), is removed from every request.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

if TYPE_CHECKING:
    from meristem.asgi import Field
    from meristem.context import Identity

USER: Final = b"x-meristem-user"
NAME: Final = b"x-meristem-name"
ROLES: Final = b"x-meristem-roles"
TENANT: Final = b"x-meristem-tenant"
NAMES: Final = re.compile(rb"x[-_]meristem[-_].*")
STATE: Final = "user"
"""Where the state of an ASGI scope has the user."""

AS_THEY_ARE: Final = "!#$&'()*+-./:;<=>?@[]^_`{|}~"  # all that can be seen, but the comma of lists and the percent sign


def tells_who(name: bytes) -> bool:
    """Whether a field, its name in lower case, tells who sends a request, or is taken for one that does."""
    return NAMES.fullmatch(name) is not None


def identity_fields(user: Identity) -> list[Field]:
    """The fields that tell who a user is; what a field can't hold is percent-encoded, in UTF-8.

    Roles are a list by commas. What is empty is not told.
    """
    told = ((USER, _text(user.subject)), (NAME, _text(user.name)), (TENANT, _text(user.tenant)))
    fields = [(name, value) for name, value in told if value]
    if user.roles:
        fields.append((ROLES, b",".join(map(_text, user.roles))))
    return fields


def _text(value: str) -> bytes:
    return quote(value, safe=AS_THEY_ARE).encode()
