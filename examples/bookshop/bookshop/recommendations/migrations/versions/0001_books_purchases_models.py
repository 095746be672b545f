"""Books, purchases, and the models that were trained on them."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None
compatible = True
holds_all_tables = True  # a shop that was opened before there were migrations is taken to be at this one


def upgrade() -> None:
    op.create_table(
        "books",
        sa.Column("book_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("title", sa.String(200), nullable=False),
        sa.Column("category", sa.Integer, nullable=False),
    )
    op.create_table(
        "models",
        sa.Column("version", sa.Integer, primary_key=True),
        sa.Column("trained", sa.DateTime(timezone=True), nullable=False),
        sa.Column("purchases", sa.Integer, nullable=False),
        sa.Column("hit_rate", sa.Float, nullable=False),
        sa.Column("most_sold_rate", sa.Float, nullable=False),
        sa.Column("model", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "purchases",
        sa.Column("customer_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("book_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("orders", sa.Integer, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("purchases")
    op.drop_table("models")
    op.drop_table("books")
