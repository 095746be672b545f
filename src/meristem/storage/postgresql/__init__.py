"""The PostgreSQL adapter: asyncpg on a few connections, bounded for each database and for each server."""
