"""Attempts at a password are counted for each address, whether it has an account or not."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None
compatible = False  # the release before reads the columns that are dropped


def upgrade() -> None:
    op.create_table(
        "failures",
        sa.Column("subject", sa.String(64), primary_key=True),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("ix_failures_until", "failures", ["until"])
    with op.batch_alter_table("customers") as customers:
        customers.drop_column("failures")
        customers.drop_column("wait_until")


def downgrade() -> None:
    with op.batch_alter_table("customers") as customers:
        customers.add_column(sa.Column("failures", sa.Integer, nullable=False, server_default="0"))
        customers.add_column(sa.Column("wait_until", sa.DateTime(timezone=True)))
    op.drop_table("failures")
