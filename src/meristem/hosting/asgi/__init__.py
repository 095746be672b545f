"""What a server does for ASGI applications besides speaking HTTP: their life, their mounts, and refusals."""
