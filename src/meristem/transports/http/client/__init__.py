"""The lean client: one address, kept-alive connections, one request at a time on each."""
