"""Bookings and the record that tracks each of them."""

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
        sa.Column("user_id", sa.Uuid, nullable=False),
        sa.Column("status", sa.String(12), nullable=False),
        sa.Column("hotel", sa.String(200), nullable=False),
        sa.Column("hotel_address", sa.String(200), nullable=False),
        sa.Column("hotel_email", sa.String(254), nullable=False),
        sa.Column("city", sa.String(120), nullable=False),
        sa.Column("room", sa.String(120), nullable=False),
        sa.Column("room_id", sa.Uuid, nullable=False),
        sa.Column("arrival", sa.Date, nullable=False),
        sa.Column("nights", sa.Integer, nullable=False),
        sa.Column("guests", sa.Integer, nullable=False),
        sa.Column("amount", sa.Numeric(12, 2), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("guest_name", sa.String(120), nullable=False),
        sa.Column("guest_email", sa.String(254), nullable=False),
        sa.Column("card_last4", sa.String(4), nullable=False),
        sa.Column("reason", sa.String(300), nullable=False, server_default=""),
        sa.Column("hold", sa.JSON(none_as_null=True)),
        sa.Column("payment", sa.JSON(none_as_null=True)),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("bookings_of_user", "bookings", ["user_id", "created"])
    op.create_table(
        "tracking",
        sa.Column("line", sa.Integer, primary_key=True),
        sa.Column("booking_id", sa.Uuid, sa.ForeignKey("bookings.booking_id"), nullable=False),
        sa.Column("milestone", sa.String(20), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("note", sa.String(300), nullable=False),
    )
    op.create_index("ix_tracking_booking_id", "tracking", ["booking_id"])


def downgrade() -> None:
    op.drop_table("tracking")
    op.drop_table("bookings")
