"""CloudEvents over HTTP: what is accepted from outside the system."""
