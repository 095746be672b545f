"""The shape of an ASGI application (ASGI 3.0)."""

from typing import Any, TypeAlias

ASGIApp: TypeAlias = Any  # asgiref's types are structural; hosted frameworks each have their own
