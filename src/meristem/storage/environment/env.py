"""What Alembic runs for every command: the connection and tables that `meristem.storage.migrations` hands over."""

from alembic import context

given = context.config.attributes
context.configure(
    connection=given["connection"],
    target_metadata=given.get("metadata"),
    include_object=given["include_object"],
    include_name=given.get("include_name"),
    render_as_batch=True,  # ALTER where the database can, else a copied table: a revision runs on every system
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
