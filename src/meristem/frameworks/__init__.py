"""What apps of web frameworks can do with one line; each framework is imported in its own file alone."""
