"""What Alembic runs for every command: the connection and tables that `meristem.storage.migrations` hands over."""

from typing import NoReturn

from alembic import context


def _refuse() -> NoReturn:
    # Alembic would end the transaction here: what was done before it would stay, and what comes after might not come.
    raise RuntimeError("a revision runs in one transaction, and so has no autocommit_block()")


given = context.config.attributes
context.configure(
    connection=given["connection"],
    target_metadata=given.get("metadata"),
    include_object=given["include_object"],
    include_name=given.get("include_name"),
    render_as_batch=True,  # ALTER where the database can, else a copied table: a revision runs on every system
    transactional_ddl=True,
)
context.get_context().autocommit_block = _refuse  # type: ignore[method-assign]
with context.begin_transaction():
    context.run_migrations()
