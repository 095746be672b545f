"""Campaigns."""

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
        "campaigns",
        sa.Column("campaign_id", sa.Uuid, primary_key=True),
        sa.Column("begun", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reached", sa.Integer, nullable=False),
        sa.Column("letters", sa.Integer, nullable=False),
        sa.Column("ended", sa.DateTime(timezone=True)),
        sa.Column("is_running", sa.Boolean, unique=True),
    )


def downgrade() -> None:
    op.drop_table("campaigns")
