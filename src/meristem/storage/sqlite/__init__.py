"""The SQLite adapter: sqlite3 on threads of its own, one that writes and a few that read."""
