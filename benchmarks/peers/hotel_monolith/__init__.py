"""The hotel site's searching and booking as one FastAPI application, written by hand with SQLAlchemy and httpx."""
