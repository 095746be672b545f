"""HTTP: the Connect protocol and REST, served beside any ASGI app on one port, and the lean client."""
