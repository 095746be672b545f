"""Where the values of settings come from, and where the project's system is found."""
