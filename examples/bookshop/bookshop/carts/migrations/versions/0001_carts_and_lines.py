"""Carts and their lines."""

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
        "carts",
        sa.Column("owner", sa.String(80), primary_key=True),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("touched", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("ix_carts_touched", "carts", ["touched"])
    op.create_table(
        "lines",
        sa.Column("line", sa.Integer, primary_key=True),
        sa.Column("owner", sa.String(80), sa.ForeignKey("carts.owner"), nullable=False),
        sa.Column("book_id", sa.Integer, nullable=False),
        sa.Column("copies", sa.Integer, nullable=False),
    )
    op.create_index("ix_lines_owner", "lines", ["owner"])


def downgrade() -> None:
    op.drop_table("lines")
    op.drop_table("carts")
