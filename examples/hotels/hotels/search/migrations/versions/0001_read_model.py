"""The read model: hotels, rooms and how many rooms are taken each night."""

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
        sa.Column("city", sa.String(120), nullable=False),
        sa.Column("city_key", sa.String(120), nullable=False),
        sa.Column("country", sa.String(120), nullable=False),
    )
    op.create_index("hotels_by_city", "hotels", ["city_key", "city", "country"])
    op.create_table(
        "rooms",
        sa.Column("room_id", sa.Uuid, primary_key=True),
        sa.Column("hotel_id", sa.Uuid, nullable=False),
        sa.Column("hotel", sa.String(200), nullable=False),
        sa.Column("stars", sa.Integer, nullable=False),
        sa.Column("city", sa.String(120), nullable=False),
        sa.Column("city_key", sa.String(120), nullable=False),
        sa.Column("country", sa.String(120), nullable=False),
        sa.Column("room", sa.String(120), nullable=False),
        sa.Column("capacity", sa.Integer, nullable=False),
        sa.Column("count", sa.Integer, nullable=False),
        sa.Column("nightly_cents", sa.Integer, nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
    )
    op.create_index("ix_rooms_hotel_id", "rooms", ["hotel_id"])
    op.create_index("rooms_by_price", "rooms", ["city_key", "nightly_cents", "room_id"])
    op.create_table(
        "occupancy",
        sa.Column("room_id", sa.Uuid, primary_key=True),
        sa.Column("night", sa.Date, primary_key=True),
        sa.Column("taken", sa.Integer, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("occupancy")
    op.drop_table("rooms")
    op.drop_table("hotels")
