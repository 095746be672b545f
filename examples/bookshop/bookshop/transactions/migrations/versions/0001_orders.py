"""Orders and their payments; an index that lets each customer have the promotion once."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None
compatible = True
holds_all_tables = True  # a shop that was opened before there were migrations is taken to be at this one


def upgrade() -> None:
    used = sa.text("buy_two_get_one_free_promo AND status <> 'failed'")
    op.create_table(
        "transactions",
        sa.Column("order_id", sa.Uuid, primary_key=True),
        sa.Column("customer_id", sa.Integer, nullable=False),
        sa.Column("status", sa.String(10), nullable=False),
        sa.Column("name", sa.String(120), nullable=False),
        sa.Column("email", sa.String(254), nullable=False),
        sa.Column("address", sa.JSON, nullable=False),
        sa.Column("items", sa.JSON, nullable=False),
        sa.Column("copies", sa.Integer, nullable=False),
        sa.Column("discount", sa.Integer, nullable=False),
        sa.Column("total", sa.Integer, nullable=False),
        sa.Column("buy_two_get_one_free_promo", sa.Boolean, nullable=False),
        sa.Column("opened", sa.DateTime(timezone=True), nullable=False),
        sa.Column("day", sa.Date, nullable=False),
        sa.Column("payment", sa.JSON(none_as_null=True)),
    )
    op.create_index("ix_transactions_day", "transactions", ["day"])
    op.create_index(
        "promotion_once", "transactions", ["customer_id"], unique=True, sqlite_where=used, postgresql_where=used
    )
    op.create_index("transactions_of_customer", "transactions", ["customer_id", "opened"])


def downgrade() -> None:
    op.drop_table("transactions")
