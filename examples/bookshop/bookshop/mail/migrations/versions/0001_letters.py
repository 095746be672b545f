"""Which letters were sent."""

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
        "letters",
        sa.Column("letter", sa.String(20), primary_key=True),
        sa.Column("about", sa.String(40), primary_key=True),
        sa.Column("recipient", sa.String(254), primary_key=True),
        sa.Column("message_id", sa.String(200), nullable=False),
        sa.Column("sent", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("letters_to", "letters", ["recipient", "sent"])


def downgrade() -> None:
    op.drop_table("letters")
