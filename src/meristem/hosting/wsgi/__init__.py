"""WSGI applications behind an ASGI server (PEP 3333)."""
