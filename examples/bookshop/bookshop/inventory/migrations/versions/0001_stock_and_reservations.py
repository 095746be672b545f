"""Stock, and the reservations of it."""

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
        "reservations",
        sa.Column("order_id", sa.Uuid, primary_key=True),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("expires", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("reservations_by_expiry", "reservations", ["state", "expires"])
    op.create_table(
        "stock",
        sa.Column("book_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("left", sa.Integer, nullable=False),
    )
    op.create_table(
        "reserved",
        sa.Column("order_id", sa.Uuid, sa.ForeignKey("reservations.order_id"), primary_key=True),
        sa.Column("book_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("copies", sa.Integer, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("reserved")
    op.drop_table("stock")
    op.drop_table("reservations")
