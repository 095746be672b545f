"""What every driver's database must do; a driver's test module inherits the suite and provides `database`."""

import asyncio
import contextvars
import enum
import gc
import traceback
import weakref
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, ClassVar
from uuid import UUID, uuid4

import msgspec
import pytest
from sqlalchemy import (
    JSON,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Enum,
    ForeignKey,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    String,
    Table,
    Uuid,
    bindparam,
    delete,
    func,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.sql import Executable

from meristem.errors import ConfigurationError, IntegrityViolation, MisuseError, StorageError
from meristem.storage.database import Database
from meristem.storage.scope import outside_units, transaction_is_open
from meristem.storage.unit import UnitOfWork

METADATA = MetaData()


class Status(enum.Enum):
    TAKEN = "taken"
    REFUNDED = "refunded"


PAYMENTS = Table(
    "payments",
    METADATA,
    Column("id", Uuid, primary_key=True),
    Column("amount", Numeric(12, 2), nullable=False),
    Column("taken_at", DateTime(timezone=True)),
    Column("due", Date),
    Column("status", Enum(Status), default=Status.TAKEN, nullable=False),
    Column("details", JSON),
    Column("settled", Boolean, default=lambda: False),
    Column("scan", LargeBinary),
    Column("version", Integer, default=1, onupdate=lambda context: context.get_current_parameters().get("next", 2)),
)
COUNTERS = Table(
    "counters",
    METADATA,
    Column("name", String(20), primary_key=True),
    Column("value", Integer, CheckConstraint("value >= 0", name="never_negative"), nullable=False),
)
FEES = Table(
    "fees",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("name", String(20), default=lambda context: f"{context.get_current_parameters().get('cents')} cents"),
    Column("cents", Integer, default=5, nullable=False),
    Column("currency", String(3), server_default="EUR", nullable=False),
    Column("note", String(20)),
    Column("changed", Integer, default=0, onupdate=7),
)
GUESTS = Table(
    "guests",
    METADATA,
    Column("email", String(80), primary_key=True),
    Column("password", String(80), CheckConstraint("length(password) > 4", name="long_enough"), nullable=False),
    Column("status", Enum(Status, validate_strings=True)),
    Column("born", Date),
    Column("visits", Integer),
)
SECRET = "-".join(("hunter", "two"))  # no line of the source holds it, which a traceback would show
REFUSED: dict[str, dict[str, Any]] = {
    "unique": {"email": SECRET},
    "not null": {"password": None},
    "check": {"password": SECRET[:3]},
    "no member of the enum": {"status": SECRET},
    "no date": {"born": SECRET},
    "a type of no column": {"password": [SECRET]},
    "too large": {"visits": 2**80},
    "no text": {"password": f"{SECRET}\ud800"},
    "no column": {"telephone": SECRET},
}
PARTS = Table("parts", METADATA, Column("id", Integer, primary_key=True), Column("of", ForeignKey("counters.name")))

ADD = insert(PAYMENTS)
BY_ID = select(PAYMENTS).where(PAYMENTS.c.id == bindparam("id"))
INSERT_COUNTER = insert(COUNTERS)
SET_COUNTER = update(COUNTERS).where(COUNTERS.c.name == bindparam("which")).values(value=bindparam("to"))
COUNTER_NAMES = select(COUNTERS.c.name).order_by(COUNTERS.c.name)
COUNT = select(func.count()).select_from(PAYMENTS)
NOW = datetime(2030, 5, 1, 12, 30, 0, 250, UTC)
FOREVER = text("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n WHERE i < 0")


class Payment(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    amount: Decimal
    taken_at: datetime | None
    due: date | None
    status: Status
    details: dict[str, list[int]] | None
    settled: bool
    scan: bytes | None
    version: int


class Count(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    value: int


async def pay(database: Database, **values: Any) -> UUID:
    key = values.setdefault("id", uuid4())
    async with database.begin() as tx:
        await tx.execute(ADD, {"amount": Decimal("10.10"), **values})
    return key


class Values:
    async def test_every_type_comes_back_as_it_was(self, database: Database):
        values = {
            "amount": Decimal("1234567890.12"),
            "taken_at": NOW,
            "due": date(2031, 1, 2),
            "status": Status.REFUNDED,
            "details": {"a": [1]},
            "scan": b"\x00\xff",
        }
        key = await pay(database, **values)

        found = await database.fetch_one(BY_ID, {"id": key}, into=Payment)

        assert found == Payment(id=key, settled=False, version=1, **values)

    async def test_an_instant_is_stored_as_utc_and_comes_back_aware(self, database: Database):
        elsewhere = NOW.astimezone(timezone(timedelta(hours=5)))

        key = await pay(database, taken_at=elsewhere)

        found = await database.fetch_value(select(PAYMENTS.c.taken_at).where(PAYMENTS.c.id == key))
        assert found == NOW
        assert found.tzinfo is UTC

    async def test_instants_compare_in_sql(self, database: Database):
        key = await pay(database, taken_at=NOW)
        later = (NOW + timedelta(microseconds=1)).astimezone(timezone(timedelta(hours=-7)))

        found = await database.fetch_all(select(PAYMENTS.c.id).where(PAYMENTS.c.taken_at < later), into=UUID)

        assert found == [key]

    async def test_a_naive_instant_is_refused(self, database: Database):
        with pytest.raises(MisuseError, match=r"'taken_at'.*naive"):
            await pay(database, taken_at=datetime(2030, 1, 1))  # noqa: DTZ001

    async def test_money_is_summed_to_the_cent(self, database: Database):
        for _ in range(10):
            await pay(database, amount=Decimal("0.10"))

        assert await database.fetch_value(select(func.sum(PAYMENTS.c.amount))) == Decimal("1.00")

    async def test_a_value_of_the_wrong_type_is_named_but_not_shown(self, database: Database):
        with pytest.raises(MisuseError, match="'id'") as refused:
            await pay(database, id="secret-number")
        assert "secret-number" not in str(refused.value)

    @pytest.mark.parametrize("many", [2, 400])  # a short list is encoded at once, a long one as it is run
    @pytest.mark.parametrize("row", REFUSED.values(), ids=REFUSED)
    async def test_no_value_of_a_bulk_statement_is_told_by_its_error(self, database: Database, row: Any, many: int):
        await database.execute(insert(GUESTS), {"email": SECRET, "password": SECRET})
        rows = [{"email": f"{SECRET}{number}", "password": SECRET} for number in range(many - 1)]

        with pytest.raises((StorageError, MisuseError)) as at_once:
            await database.execute(insert(GUESTS).values([*rows[:20], rows[0] | row]))
        with pytest.raises((StorageError, MisuseError)) as refused:
            await database.execute(insert(GUESTS), [*rows, {"email": "x", "password": SECRET} | row])

        for error in (at_once.value, refused.value):
            assert SECRET not in "".join(traceback.format_exception(error))
            assert SECRET not in repr(error)
        assert await database.fetch_value(select(func.count()).select_from(GUESTS)) == 1

    async def test_null_is_none(self, database: Database):
        key = await pay(database)

        found = await database.fetch_one(BY_ID, {"id": key})

        assert found is not None
        assert found["details"] is None
        assert found["taken_at"] is None


class Statements:
    async def test_a_missing_row_is_none(self, database: Database):
        assert await database.fetch_one(BY_ID, {"id": uuid4()}, into=Payment) is None
        assert await database.fetch_value(select(PAYMENTS.c.amount)) is None

    async def test_rows_without_a_type_are_mappings(self, database: Database):
        key = await pay(database)

        found = await database.fetch_all(select(PAYMENTS.c.id, PAYMENTS.c.amount))

        assert found == [{"id": key, "amount": Decimal("10.10")}]

    async def test_built_statements_of_one_shape_keep_their_own_values(self, database: Database):
        keys = [await pay(database, amount=Decimal(number)) for number in range(3)]

        found = [
            await database.fetch_value(select(PAYMENTS.c.amount).where(PAYMENTS.c.id == key, PAYMENTS.c.version == 1))
            for key in keys
        ]

        assert found == [0, 1, 2]

    async def test_an_in_list_takes_any_length(self, database: Database):
        keys = [await pay(database) for _ in range(5)]
        chosen = select(PAYMENTS.c.id).where(PAYMENTS.c.id.in_(bindparam("keys", expanding=True)))

        for length in (0, 1, 5):
            found = await database.fetch_all(chosen, {"keys": keys[:length]}, into=UUID)
            assert set(found) == set(keys[:length])
        assert len(await database.fetch_all(select(PAYMENTS.c.id).where(PAYMENTS.c.id.in_(keys[1:])))) == 4

    async def test_values_in_the_statement_and_a_list_of_values(self, database: Database):
        async with database.begin() as tx:
            one = await tx.execute(insert(COUNTERS).values(name="a", value=1))
            two = await tx.execute(insert(COUNTERS).values([{"name": "b", "value": 2}, {"name": "c", "value": 3}]))
            many = await tx.execute(insert(COUNTERS), [{"name": f"d{n}", "value": n} for n in range(300)])
            none = await tx.execute(insert(COUNTERS), [])

        assert (one.rowcount, two.rowcount, many.rowcount, none.rowcount) == (1, 2, 300, 0)
        assert await database.fetch_value(select(func.sum(COUNTERS.c.value))) == 6 + sum(range(300))

    @pytest.mark.parametrize("many", [3, 400])  # a short list is encoded at once, a long one as it is run
    async def test_rows_that_give_different_columns_keep_what_they_give_and_get_the_defaults_of_the_rest(
        self, database: Database, many: int
    ):
        different: list[dict[str, Any]] = [
            {},
            {"cents": 990},
            {"currency": "CHF", "cents": 1},
            {"cents": 2, "currency": "USD"},
            {"name": "free", "note": None},
            {"note": "a gift"},
        ]
        async with database.begin() as tx:
            result = await tx.execute(insert(FEES), different + [{}] * many)

        columns = (FEES.c[name] for name in ("name", "cents", "currency", "note"))
        found = await database.fetch_all(select(*columns).order_by(FEES.c.id))
        assert result.rowcount == len(different) + many
        assert [tuple(row.values()) for row in found] == [
            ("None cents", 5, "EUR", None),
            ("990 cents", 990, "EUR", None),
            ("1 cents", 1, "CHF", None),
            ("2 cents", 2, "USD", None),
            ("free", 5, "EUR", None),
            ("None cents", 5, "EUR", "a gift"),
            *[("None cents", 5, "EUR", None)] * many,
        ]

    async def test_a_row_of_defaults_alone_is_a_row(self, database: Database):
        added = insert(FEES).returning(FEES.c.cents, FEES.c.currency)
        async with database.begin() as tx:
            await tx.execute(insert(FEES))
            await tx.execute(insert(FEES), {})
            await tx.execute(insert(FEES), [{}, {}])
            tx.defer(insert(FEES), [{"cents": 6}, {}])
            returned = await tx.fetch_all(added, [{}, {"cents": 8}, {"currency": "CHF"}])

        assert [tuple(row.values()) for row in returned] == [(5, "EUR"), (8, "EUR"), (5, "CHF")]
        assert await database.fetch_all(select(FEES.c.cents).order_by(FEES.c.id), into=int) == [5] * 4 + [6, 5, 5, 8, 5]

    async def test_updates_that_set_different_columns_set_those_alone(self, database: Database):
        chosen = update(FEES).where(FEES.c.id == bindparam("of"))
        async with database.begin() as tx:
            await tx.execute(insert(FEES), [{"name": "a", "cents": 1}, {"name": "b", "cents": 2}])
            await tx.execute(chosen, [{"of": 1, "cents": 9}, {"of": 2, "name": "c", "changed": 1}])

        found = await database.fetch_all(select(FEES.c.name, FEES.c.cents, FEES.c.changed).order_by(FEES.c.id))
        assert [tuple(row.values()) for row in found] == [("a", 9, 7), ("c", 2, 1)]

    async def test_values_that_a_statement_holds_are_those_of_every_row(self, database: Database):
        chosen = update(FEES).where(FEES.c.id == bindparam("of"), FEES.c.cents < 2)
        async with database.begin() as tx:
            await tx.execute(insert(FEES), [{"cents": 1}, {"cents": 2}])
            await tx.execute(chosen, [{"of": 1, "note": "x"}, {"of": 2, "note": "y"}])
            await tx.execute(insert(FEES).values(note="z"), [{"cents": 3}, {"cents": 4, "currency": "CHF"}])

        found = await database.fetch_all(select(FEES.c.note, FEES.c.currency).order_by(FEES.c.id))
        assert [tuple(row.values()) for row in found] == [("x", "EUR"), (None, "EUR"), ("z", "EUR"), ("z", "CHF")]

    async def test_a_violation_among_rows_of_different_columns_keeps_none_of_them(self, database: Database):
        async with database.begin() as tx:
            with pytest.raises(IntegrityViolation):
                await tx.execute(insert(FEES), [{"cents": 1}, {"note": "x"}, {"cents": None, "note": "y"}])

        assert await database.fetch_value(select(func.count()).select_from(FEES)) == 0

    async def test_defaults_and_onupdate_are_applied(self, database: Database):
        key = await pay(database)

        async with database.begin() as tx:
            await tx.execute(update(PAYMENTS).where(PAYMENTS.c.id == key).values(settled=True))

        found = await database.fetch_one(BY_ID, {"id": key}, into=Payment)
        assert found is not None
        assert (found.status, found.settled, found.version) == (Status.TAKEN, True, 2)

    async def test_returning_gives_rows_and_writes_all_of_them(self, database: Database):
        async with database.begin() as tx:
            added = insert(COUNTERS).returning(COUNTERS.c.name, COUNTERS.c.value)
            one = await tx.fetch_one(added, {"name": "a", "value": 1}, into=Count)
            two = await tx.fetch_all(added, [{"name": "b", "value": 2}, {"name": "c", "value": 3}], into=Count)
            first = await tx.fetch_one(update(COUNTERS).values(value=9).returning(COUNTERS.c.value))

        assert one == Count(name="a", value=1)
        assert [row.name for row in two] == ["b", "c"]
        assert first == {"value": 9}
        assert await database.fetch_all(select(COUNTERS.c.value), into=int) == [9, 9, 9]

    async def test_the_rowcount_is_that_of_the_rows_changed(self, database: Database):
        async with database.begin() as tx:
            await tx.execute(insert(COUNTERS), [{"name": name, "value": 1} for name in "abc"])
            changed = await tx.execute(update(COUNTERS).where(COUNTERS.c.name != "a").values(value=2))
            removed = await tx.execute(delete(COUNTERS).where(COUNTERS.c.name == "z"))

        assert (changed.rowcount, removed.rowcount) == (2, 0)

    async def test_text_is_run_with_its_parameters(self, database: Database):
        await pay(database)

        found = await database.fetch_all(text("SELECT version AS v FROM payments WHERE version = :v"), {"v": 1})

        assert found == [{"v": 1}]

    async def test_a_missing_parameter_is_named(self, database: Database):
        with pytest.raises(MisuseError, match="needs a value for 'id'"):
            await database.fetch_one(BY_ID)

    async def test_an_unknown_parameter_is_named(self, database: Database):
        with pytest.raises(MisuseError, match="no parameter 'key'"):
            await database.fetch_one(BY_ID, {"id": uuid4(), "key": 1})

    async def test_a_bare_string_is_refused(self, database: Database):
        with pytest.raises(MisuseError, match=r"text\(\)"):
            await database.fetch_all("SELECT 1")  # type: ignore[call-overload]

    async def test_a_write_outside_a_transaction_is_refused(self, database: Database):
        with pytest.raises(MisuseError, match="begin"):
            await database.fetch_one(insert(COUNTERS).values(name="a", value=1).returning(COUNTERS.c.name))
        with pytest.raises(StorageError, match="begin"):
            await database.fetch_all(text("DELETE FROM counters"))

    async def test_columns_that_are_not_the_fields_are_named(self, database: Database):
        with pytest.raises(MisuseError, match=r"no field for the column 'total'.*no column for the field 'value'"):
            await database.fetch_all(select(COUNTERS.c.name, COUNTERS.c.value.label("total")), into=Count)

    async def test_null_for_a_field_that_is_not_optional_is_named(self, database: Database):
        async with database.begin() as tx:
            await tx.execute(insert(COUNTERS).values(name="a", value=1))
        outer = select(COUNTERS.c.name, func.nullif(COUNTERS.c.value, 1, type_=Integer).label("value"))

        with pytest.raises(StorageError, match="column 'value'"):
            await database.fetch_all(outer, into=Count)

    async def test_a_table_that_is_missing_names_the_statement_and_the_remedy(self, database: Database):
        with pytest.raises(StorageError, match=r"migrat.*FROM nowhere"):
            await database.fetch_all(text("SELECT * FROM nowhere"))

    async def test_create_leaves_what_exists(self, database: Database):
        key = await pay(database)

        await database.create(METADATA)

        assert await database.fetch_value(select(PAYMENTS.c.id)) == key


class Violations:
    violated: ClassVar[dict[str, str | None]]
    """How the database names what was violated, by the kind of violation; None where it doesn't."""

    @pytest.mark.parametrize(
        ("statement", "kind"),
        [
            (insert(COUNTERS).values(name="a", value=7), "unique"),
            (insert(COUNTERS).values(name="b", value=-7), "check"),
            (insert(COUNTERS).values(name="b", value=None), "not null"),
            (insert(PARTS).values(id=1, of="nothing"), "foreign key"),
        ],
    )
    async def test_a_violation_says_what_was_violated(self, database: Database, statement: Executable, kind: str):
        async with database.begin() as tx:
            await tx.execute(insert(COUNTERS).values(name="a", value=1))
            with pytest.raises(IntegrityViolation) as violated:
                async with database.begin():
                    await tx.execute(statement)

        assert (violated.value.kind, violated.value.constraint) == (kind, self.violated[kind])
        assert await database.fetch_all(select(COUNTERS.c.value), into=int) == [1]

    async def test_a_violation_among_many_rows_keeps_none_of_them(self, database: Database):
        async with database.begin() as tx:
            with pytest.raises(IntegrityViolation):
                await tx.execute(insert(COUNTERS), [{"name": name, "value": 1} for name in "aba"])

        assert await database.fetch_value(select(func.count()).select_from(COUNTERS)) == 0


class Units:
    async def test_an_exception_rolls_back(self, database: Database):
        with pytest.raises(LookupError):
            async with database.begin() as tx:
                await tx.execute(ADD, {"id": uuid4(), "amount": 1})
                raise LookupError

        assert await database.fetch_value(COUNT) == 0

    async def test_own_writes_are_seen_inside_and_not_outside(self, database: Database):
        async with database.begin() as tx:
            await tx.execute(ADD, {"id": uuid4(), "amount": 1})
            assert await database.fetch_value(COUNT) == 1
            with outside_units():
                assert await database.fetch_value(COUNT) == 0

    async def test_begin_joins_and_an_inner_block_fails_alone(self, database: Database):
        done: list[str] = []
        async with database.begin() as tx:
            await tx.execute(insert(COUNTERS).values(name="kept", value=1))
            with pytest.raises(LookupError):
                async with database.begin() as inner:
                    assert inner is tx
                    await inner.execute(insert(COUNTERS).values(name="dropped", value=1))
                    await inner.publish("dropped")
                    inner.after_commit(lambda: done.append("dropped"))
                    raise LookupError
            async with database.begin() as inner:
                await inner.execute(insert(COUNTERS).values(name="kept too", value=1))
                async with database.begin():
                    pass
            tx.after_commit(lambda: done.append("kept"))
            assert tx.published == []

        assert await database.fetch_all(COUNTER_NAMES, into=str) == ["kept", "kept too"]
        assert done == ["kept"]

    async def test_a_block_with_all_of_the_statements_so_far_fails_alone(self, database: Database):
        async with database.begin() as tx:
            tx.at_commit(insert(COUNTERS).values(name="at commit", value=0))
            await tx.publish("kept")
            for name in ("first", "second"):
                with suppress(LookupError):
                    async with database.begin(), database.begin() as inner:
                        await inner.execute(insert(COUNTERS).values(name=name, value=1))
                        await inner.publish(name)
                        raise LookupError
            assert not tx.is_open
            async with database.begin():
                async with database.begin() as inner:
                    inner.defer(insert(COUNTERS).values(name="kept", value=1))
                with suppress(LookupError):
                    async with database.begin() as inner:
                        await inner.execute(insert(COUNTERS).values(name="third", value=1))
                        raise LookupError
            await tx.execute(insert(COUNTERS).values(name="last", value=1))
            assert [each.event for each in tx.published] == ["kept"]
        assert await database.fetch_all(COUNTER_NAMES, into=str) == ["at commit", "kept", "last"]

    async def test_a_unit_in_which_a_block_with_all_statements_was_cancelled_cannot_commit(self, database: Database):
        with pytest.raises(StorageError, match="cancelled"):
            async with database.begin() as tx:
                with suppress(TimeoutError):
                    async with database.begin(), asyncio.timeout(0.05):
                        await tx.fetch_all(FOREVER)
                await tx.execute(insert(COUNTERS).values(name="half", value=1))
        assert await database.fetch_all(COUNTER_NAMES, into=str) == []

    async def test_a_rolled_back_last_block_stays_out(self, database: Database):
        async with database.begin() as tx:
            await tx.execute(insert(COUNTERS).values(name="kept", value=1))
            with pytest.raises(LookupError):
                async with database.begin():
                    await tx.execute(insert(COUNTERS).values(name="dropped", value=1))
                    raise LookupError

        assert await database.fetch_all(COUNTER_NAMES, into=str) == ["kept"]

    async def test_a_unit_of_work_leaves_nothing_to_the_collector_of_cycles(self, database: Database):
        async with database.begin() as tx:
            await tx.execute(INSERT_COUNTER, {"name": "a", "value": 0})
            async with database.begin():
                tx.defer(SET_COUNTER, {"which": "a", "to": 1})
        kept = weakref.ref(tx)

        gc.disable()
        try:
            del tx
            assert kept() is None
        finally:
            gc.enable()

    async def test_a_transaction_opens_at_its_first_statement(self, database: Database):
        async with database.unit() as unit:
            assert not transaction_is_open()
            await database.fetch_value(COUNT)
            assert not transaction_is_open()
            await unit.execute(ADD, {"id": uuid4(), "amount": 1})
            assert transaction_is_open()
            with outside_units():
                assert not transaction_is_open()
        assert not transaction_is_open()

    async def test_a_unit_of_its_own_is_refused_inside_another(self, database: Database):
        async with database.unit():
            with pytest.raises(MisuseError, match="begin"):
                async with database.unit():
                    pass

    async def test_one_statement_alone_is_a_transaction(self, database: Database):
        result = await database.execute(insert(COUNTERS).values(name="a", value=1))

        assert result.rowcount == 1
        assert await database.fetch_value(select(COUNTERS.c.value)) == 1

    async def test_rows_of_a_statement_that_runs_with_the_commit_are_there_afterwards(self, database: Database):
        await database.execute(insert(COUNTERS), [{"name": "a", "value": 1}, {"name": "b", "value": 2}])
        async with database.begin() as tx:
            before = tx.fetch_at_commit(COUNTER_NAMES, into=str)
            changed = tx.fetch_at_commit(delete(COUNTERS).returning(COUNTERS.c.value), into=int)
            after = tx.fetch_at_commit(COUNTER_NAMES, into=str)
            assert not tx.is_open
            assert before == changed == after == []

        assert before == ["a", "b"]
        assert sorted(changed) == [1, 2]
        assert after == []

    async def test_hooks_run_in_the_transaction_of_a_unit_that_published(self, database: Database):
        async def outbox(unit: UnitOfWork) -> None:
            unit.at_commit(insert(COUNTERS), [{"name": each.event, "value": 1} for each in unit.published])

        database.before_commit.append(outbox)
        async with database.begin() as tx:
            await tx.publish("taken")
            await tx.publish("settled")
        async with database.begin() as tx:
            await tx.execute(ADD, {"id": uuid4(), "amount": 1})

        assert await database.fetch_all(COUNTER_NAMES, into=str) == ["settled", "taken"]

    async def test_a_failing_hook_rolls_everything_back(self, database: Database):
        async def refuse(unit: UnitOfWork) -> None:
            raise LookupError

        database.before_commit.append(refuse)
        with pytest.raises(LookupError):
            async with database.begin() as tx:
                await tx.execute(ADD, {"id": uuid4(), "amount": 1})
                await tx.publish("taken")

        assert await database.fetch_value(COUNT) == 0

    async def test_a_failing_commit_rolls_back_and_calls_nobody_back(self, database: Database):
        done: list[str] = []
        with pytest.raises(IntegrityViolation):
            async with database.begin() as tx:
                await tx.execute(insert(COUNTERS).values(name="a", value=1))
                tx.at_commit(insert(COUNTERS).values(name="a", value=2))
                tx.after_commit(lambda: done.append("committed"))

        assert await database.fetch_value(select(func.count()).select_from(COUNTERS)) == 0
        assert done == []
        assert (await database.execute(insert(COUNTERS).values(name="a", value=1))).rowcount == 1

    async def test_a_unit_that_has_ended_is_refused(self, database: Database):
        async with database.begin() as tx:
            pass

        with pytest.raises(MisuseError, match="has ended"):
            await tx.execute(ADD, {"id": uuid4(), "amount": 1})

    async def test_a_task_that_outlives_its_unit_is_refused(self, database: Database):
        ended = asyncio.Event()

        async def straggle() -> None:
            await ended.wait()
            async with database.begin():
                pass

        async with database.begin():
            straggler = asyncio.create_task(straggle())
            free = asyncio.create_task(straggle(), context=contextvars.Context())
        ended.set()

        with pytest.raises(MisuseError, match="started inside a unit of work"):
            await straggler
        await free

    async def test_two_tasks_with_blocks_in_one_unit_are_refused(self, database: Database):
        inside, leave = asyncio.Event(), asyncio.Event()

        async def block() -> None:
            async with database.begin() as tx:
                await tx.execute(insert(COUNTERS).values(name="a", value=1))
                inside.set()
                await leave.wait()

        async with database.begin():
            other = asyncio.create_task(block())
            await inside.wait()
            with pytest.raises(MisuseError, match="two tasks"):
                async with database.begin():
                    pass
            leave.set()
            await other

        assert await database.fetch_value(select(func.count()).select_from(COUNTERS)) == 1

    async def test_a_task_may_join_with_a_block_of_its_own(self, database: Database):
        async def inner() -> None:
            async with database.begin() as tx:
                await tx.execute(insert(COUNTERS).values(name="a", value=1))

        async with database.begin():
            await asyncio.create_task(inner())

        assert await database.fetch_value(select(func.count()).select_from(COUNTERS)) == 1


class Concurrency:
    async def test_transactions_in_flight_lose_no_update(self, database: Database):
        await database.execute(insert(COUNTERS).values(name="a", value=0))

        async def add() -> None:
            for _ in range(10):
                async with database.begin() as tx:
                    value = await tx.fetch_value(select(COUNTERS.c.value).with_for_update())
                    await tx.execute(update(COUNTERS).values(value=value + 1))

        await asyncio.gather(*[add() for _ in range(16)])

        assert await database.fetch_value(select(COUNTERS.c.value)) == 160

    async def test_a_rollback_leaves_the_others_alone(self, database: Database):
        async def work(number: int) -> None:
            async with database.begin() as tx:
                await tx.execute(insert(COUNTERS).values(name=str(number), value=number))
                if number % 2:
                    raise LookupError

        results = await asyncio.gather(*[work(number) for number in range(40)], return_exceptions=True)

        assert sum(isinstance(result, LookupError) for result in results) == 20
        kept = await database.fetch_all(select(COUNTERS.c.value).order_by(COUNTERS.c.value), into=int)
        assert kept == list(range(0, 40, 2))

    async def test_a_cancelled_wait_leaves_the_queue(self, database: Database):
        async def write(name: str) -> None:
            async with database.begin() as tx:
                await tx.execute(insert(COUNTERS).values(name=name, value=1))

        async with database.begin() as tx:
            await tx.execute(insert(COUNTERS).values(name="first", value=1))
            with outside_units():
                waiting = [asyncio.create_task(write(name)) for name in ("second", "third")]
            await asyncio.sleep(0)
            waiting[0].cancel()
        await asyncio.wait(waiting)

        assert waiting[0].cancelled()
        assert await database.fetch_all(COUNTER_NAMES, into=str) == ["first", "third"]

    async def test_a_cancelled_read_is_interrupted(self, database: Database):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await database.fetch_value(FOREVER)

        assert await database.fetch_value(COUNT) == 0

    async def test_a_cancelled_statement_is_interrupted_and_its_transaction_rolled_back(self, database: Database):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05), database.begin() as tx:
                await tx.execute(ADD, {"id": uuid4(), "amount": 1})
                await tx.fetch_value(FOREVER)

        await pay(database)
        assert await database.fetch_value(COUNT) == 1

    async def test_a_unit_with_a_cancelled_statement_cannot_commit(self, database: Database):
        with pytest.raises(StorageError, match="cancelled"):
            async with database.begin() as tx:
                await tx.execute(ADD, {"id": uuid4(), "amount": 1})
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.05):
                        await tx.fetch_value(FOREVER)

        assert await database.fetch_value(COUNT) == 0

    async def test_long_reads_leave_others_alone(self, database: Database):
        endless = asyncio.create_task(database.fetch_value(FOREVER))

        async with asyncio.timeout(60):
            await pay(database)
            assert await database.fetch_value(COUNT) == 1
        endless.cancel()
        await asyncio.wait([endless])


class Watching:
    async def test_observers_are_told_of_each_statement(self, database: Database):
        seen: list[tuple[str, str, float, int | BaseException]] = []
        database.observers.append(lambda *facts: seen.append(facts))

        async with database.begin() as tx:
            await tx.execute(insert(COUNTERS).values(name="a", value=1))
            with pytest.raises(IntegrityViolation):
                await tx.execute(insert(COUNTERS).values(name="a", value=1))

        assert [facts[1].split()[0] for facts in seen] == ["INSERT", "INSERT", "COMMIT"]
        assert all(name == database.name and seconds > 0 for name, _, seconds, _ in seen)
        assert seen[0][3] == 1
        assert isinstance(seen[1][3], IntegrityViolation)

    async def test_observers_are_told_of_what_stands_alone_and_of_what_was_cancelled(self, database: Database):
        seen: list[tuple[str, str, float, int | BaseException]] = []
        database.observers.append(lambda *facts: seen.append(facts))

        await database.execute(INSERT_COUNTER, {"name": "a", "value": 1})
        with pytest.raises(IntegrityViolation):
            await database.execute(INSERT_COUNTER, {"name": "a", "value": 1})
        await database.fetch_value(COUNTER_NAMES)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await database.fetch_value(FOREVER)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05), database.begin() as tx:
                await tx.fetch_value(FOREVER)

        assert [facts[1].split()[0] for facts in seen] == ["INSERT", "INSERT", "SELECT", "WITH", "WITH"]
        assert [type(facts[3]) for facts in seen[1:]] == [
            IntegrityViolation,
            int,
            asyncio.CancelledError,
            asyncio.CancelledError,
        ]
        assert seen[0][3] == 1
        assert all(0 < seconds < 60 for _, _, seconds, _ in seen)

    async def test_who_begins_to_watch_during_a_statement_is_told_of_the_next(self, database: Database):
        seen: list[tuple[str, str, float, int | BaseException]] = []
        async with database.begin() as tx:
            running = asyncio.create_task(tx.execute(INSERT_COUNTER, {"name": "a", "value": 1}))
            await asyncio.sleep(0)
            database.observers.append(lambda *facts: seen.append(facts))
            await running

        assert [facts[1] for facts in seen] == ["COMMIT"]


class Deferring:
    async def test_a_deferred_statement_is_seen_by_the_next_one_and_commits(self, database: Database):
        async with database.begin() as tx:
            tx.defer(INSERT_COUNTER, {"name": "a", "value": 1})
            assert not transaction_is_open()
            assert await database.fetch_value(COUNTER_NAMES) == "a"
            tx.defer(INSERT_COUNTER, {"name": "b", "value": 1})

        assert await database.fetch_all(COUNTER_NAMES, into=str) == ["a", "b"]

    async def test_deferred_statements_alone_are_a_transaction(self, database: Database):
        async with database.begin() as tx:
            tx.defer(INSERT_COUNTER, {"name": "a", "value": 1})
        with pytest.raises(LookupError):
            async with database.begin() as tx:
                tx.defer(INSERT_COUNTER, {"name": "b", "value": 1})
                raise LookupError

        assert await database.fetch_all(COUNTER_NAMES, into=str) == ["a"]

    async def test_a_deferred_statement_that_fails_fails_the_whole_unit(self, database: Database):
        await database.execute(INSERT_COUNTER, {"name": "a", "value": 1})

        with pytest.raises(StorageError, match="a deferred statement in it failed"):
            async with database.begin() as tx:
                tx.defer(INSERT_COUNTER, {"name": "b", "value": 1})
                tx.defer(INSERT_COUNTER, {"name": "a", "value": 1})
                with pytest.raises(IntegrityViolation):
                    await tx.fetch_value(COUNTER_NAMES)
        with pytest.raises(IntegrityViolation):
            async with database.begin() as tx:
                tx.defer(INSERT_COUNTER, {"name": "b", "value": 1})
                tx.defer(INSERT_COUNTER, {"name": "a", "value": 1})

        assert await database.fetch_all(COUNTER_NAMES, into=str) == ["a"]

    async def test_a_statement_that_fails_after_deferred_ones_can_be_survived(self, database: Database):
        async with database.begin() as tx:
            tx.defer(INSERT_COUNTER, {"name": "a", "value": 1})
            with pytest.raises(IntegrityViolation):
                await tx.execute(INSERT_COUNTER, {"name": "a", "value": 1})

        assert await database.fetch_all(COUNTER_NAMES, into=str) == ["a"]

    @pytest.mark.parametrize("sent", [False, True])
    async def test_an_inner_block_takes_its_deferred_statements_with_it(self, database: Database, sent: bool):
        async with database.begin() as tx:
            tx.defer(INSERT_COUNTER, {"name": "a", "value": 1})
            with pytest.raises(LookupError):
                async with database.begin():
                    async with database.begin():
                        tx.defer(INSERT_COUNTER, {"name": "dropped", "value": 1})
                    if sent:
                        assert await tx.fetch_all(COUNTER_NAMES, into=str) == ["a", "dropped"]
                    tx.defer(INSERT_COUNTER, {"name": "dropped too", "value": 1})
                    raise LookupError
            async with database.begin():
                tx.defer(INSERT_COUNTER, {"name": "b", "value": 1})

        assert await database.fetch_all(COUNTER_NAMES, into=str) == ["a", "b"]

    async def test_a_commit_fails_whose_last_statement_changes_no_row_but_must(self, database: Database):
        await database.execute(INSERT_COUNTER, {"name": "a", "value": 1})

        with pytest.raises(LookupError, match="no such counter"):
            async with database.begin() as tx:
                tx.defer(INSERT_COUNTER, {"name": "b", "value": 1})
                tx.at_commit(SET_COUNTER, {"which": "c", "to": 2}, otherwise=LookupError("no such counter"))
        async with database.begin() as tx:
            tx.at_commit(SET_COUNTER, {"which": "a", "to": 2}, otherwise=LookupError("no such counter"))

        assert await database.fetch_all(select(COUNTERS)) == [{"name": "a", "value": 2}]


class Migrating:
    async def test_a_migration_is_one_transaction_beside_the_open_database(self, database: Database):
        if database.is_temporary:
            pytest.skip("a temporary database has nothing to migrate")

        def migrate(fails: bool) -> None:
            with database.migration() as connection:
                connection.execute(insert(COUNTERS).values(name=str(fails), value=1))
                if fails:
                    raise LookupError

        await asyncio.to_thread(migrate, False)
        with pytest.raises(LookupError):
            await asyncio.to_thread(migrate, True)

        assert await database.fetch_all(COUNTER_NAMES, into=str) == ["False"]

    async def test_a_migration_that_the_database_refuses_is_an_error_of_ours(self, database: Database):
        def migrate() -> None:
            with database.migration() as connection:
                connection.execute(text("SELECT * FROM nowhere"))

        refusal = MisuseError if database.is_temporary else ConfigurationError
        with pytest.raises(refusal, match="nowhere|a database that stays"):
            await asyncio.to_thread(migrate)


class DatabaseSuite(Values, Statements, Violations, Units, Concurrency, Watching, Deferring, Migrating):
    """All of it."""
