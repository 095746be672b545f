"""The shop that readers see: an ordinary Quart app that knows the services only through their contracts."""
