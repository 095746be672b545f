"""The `meristem` command."""
