"""A service's own database: SQLAlchemy Core statements on the raw driver, units of work, and migrations."""
