"""Hotels, rooms and holds."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "hotels",
        sa.Column("hotel_id", sa.Uuid, primary_key=True),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("stars", sa.Integer, nullable=False),
        sa.Column("address", sa.String(200), nullable=False),
        sa.Column("latitude", sa.Float, nullable=False),
        sa.Column("longitude", sa.Float, nullable=False),
        sa.Column("email", sa.String(254), nullable=False),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("amenities", sa.JSON, nullable=False),
        sa.Column("city", sa.String(120), nullable=False),
        sa.Column("country", sa.String(120), nullable=False),
        sa.Column("country_code", sa.String(2), nullable=False),
        sa.Column("city_latitude", sa.Float, nullable=False),
        sa.Column("city_longitude", sa.Float, nullable=False),
    )
    op.create_table(
        "rooms",
        sa.Column("room_id", sa.Uuid, primary_key=True),
        sa.Column("hotel_id", sa.Uuid, sa.ForeignKey("hotels.hotel_id"), nullable=False),
        sa.Column("name", sa.String(120), nullable=False),
        sa.Column("capacity", sa.Integer, nullable=False),
        sa.Column("count", sa.Integer, nullable=False),
        sa.Column("nightly", sa.Numeric(10, 2), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("version", sa.Integer, nullable=False, server_default="0"),
    )
    op.create_index("ix_rooms_hotel_id", "rooms", ["hotel_id"])
    op.create_table(
        "holds",
        sa.Column("hold_id", sa.Uuid, primary_key=True),
        sa.Column("room_id", sa.Uuid, sa.ForeignKey("rooms.room_id"), nullable=False),
        sa.Column("arrival", sa.Date, nullable=False),
        sa.Column("departure", sa.Date, nullable=False),
        sa.Column("guests", sa.Integer, nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("expires", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("holds_of_room", "holds", ["room_id", "departure"])
    op.create_index("holds_by_expiry", "holds", ["state", "expires"])


def downgrade() -> None:
    op.drop_table("holds")
    op.drop_table("rooms")
    op.drop_table("hotels")
