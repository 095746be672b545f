"""What a guest means to book once."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    named = sa.text("intent IS NOT NULL")
    op.add_column("bookings", sa.Column("intent", sa.Uuid))
    op.create_index(
        "booking_of_intent", "bookings", ["user_id", "intent"], unique=True, sqlite_where=named, postgresql_where=named
    )


def downgrade() -> None:
    op.drop_index("booking_of_intent", "bookings")
    op.drop_column("bookings", "intent")
