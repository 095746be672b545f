"""Payments, refunds, and a ledger whose lines nobody changes."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

REFUSAL = "the ledger is append-only"

SQLITE = [
    f"""
    CREATE TRIGGER ledger_refuses_{change.lower()} BEFORE {change} ON ledger
    BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END
    """
    for change in ("UPDATE", "DELETE")
] + [
    # INSERT OR REPLACE deletes the old line without the triggers above.
    """
    CREATE TRIGGER ledger_refuses_replace BEFORE INSERT ON ledger
    WHEN EXISTS (SELECT 1 FROM ledger WHERE number = NEW.number)
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END
    """
]

POSTGRESQL = [
    f"""
    CREATE FUNCTION ledger_refuses() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION '{REFUSAL}' USING ERRCODE = 'restrict_violation'; END $$
    """,
    """
    CREATE TRIGGER ledger_refuses_change BEFORE UPDATE OR DELETE ON ledger
    FOR EACH ROW EXECUTE FUNCTION ledger_refuses()
    """,
    """
    CREATE TRIGGER ledger_refuses_truncate BEFORE TRUNCATE ON ledger
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuses()
    """,
]


def upgrade() -> None:
    _create_payments()
    _create_ledger()
    for statement in {"sqlite": SQLITE, "postgresql": POSTGRESQL}[op.get_context().dialect.name]:
        op.execute(statement)


def _create_payments() -> None:
    op.create_table(
        "payments",
        sa.Column("payment_id", sa.Uuid, primary_key=True),
        sa.Column("booking_id", sa.Uuid, nullable=False),
        sa.Column("amount", sa.Numeric(12, 2), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("bank_reference", sa.String(100), nullable=False, unique=True),
        sa.Column("last4", sa.String(4), nullable=False),
        sa.Column("taken", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("ix_payments_booking_id", "payments", ["booking_id"])
    op.create_table(
        "refunds",
        sa.Column("payment_id", sa.Uuid, primary_key=True),
        sa.Column("bank_reference", sa.String(100), nullable=False, unique=True),
        sa.Column("amount", sa.Numeric(12, 2), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("refunded", sa.DateTime(timezone=True), nullable=False),
    )


def _create_ledger() -> None:
    op.create_table(
        "ledger",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("kind", sa.String(10), nullable=False),
        sa.Column("booking_id", sa.Uuid, nullable=False),
        sa.Column("amount", sa.Numeric(12, 2), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("bank_reference", sa.String(100), nullable=False),
        sa.Column("entered", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seal", sa.String(64), nullable=False),
    )
    op.create_index("ix_ledger_booking_id", "ledger", ["booking_id"])
    end = op.create_table(
        "ledger_end",
        sa.Column("only", sa.Integer, primary_key=True),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("seal", sa.String(64), nullable=False),
    )
    op.bulk_insert(end, [{"only": 1, "number": 0, "seal": "0" * 64}])


def downgrade() -> None:
    raise NotImplementedError("the ledger is kept for legal reasons: export it before you drop its database")
