"""`python -m meristem` is the `meristem` command."""

from meristem.cli.main import main

main()
