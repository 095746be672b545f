"""What is known of bookings, and the letters sent about them."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "bookings",
        sa.Column("booking_id", sa.Uuid, primary_key=True),
        sa.Column("booking", sa.JSON(none_as_null=True)),
        sa.Column("receipt", sa.String(20)),
    )
    op.create_table(
        "letters",
        sa.Column("booking_id", sa.Uuid, primary_key=True),
        sa.Column("letter", sa.String(20), primary_key=True),
        sa.Column("recipient", sa.String(254), nullable=False),
        sa.Column("message_id", sa.String(200), nullable=False),
        sa.Column("sent", sa.DateTime(timezone=True), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("letters")
    op.drop_table("bookings")
