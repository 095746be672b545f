"""Books."""

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
        sa.Column("author", sa.String(120), nullable=False),
        sa.Column("category", sa.String(20), nullable=False),
        sa.Column("year", sa.Integer, nullable=False),
        sa.Column("pages", sa.Integer, nullable=False),
        sa.Column("price", sa.Integer, nullable=False),
        sa.Column("blurb", sa.Text, nullable=False),
        sa.Column("cover", sa.String(20), nullable=False),
        sa.Column("sorted_by", sa.String(200), nullable=False),
        sa.Column("headline", sa.String(400), nullable=False),
        sa.Column("words", sa.Text, nullable=False),
    )
    op.create_index("ix_books_sorted_by", "books", ["sorted_by"])


def downgrade() -> None:
    op.drop_table("books")
