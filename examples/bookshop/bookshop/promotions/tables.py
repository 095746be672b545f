"""The table of campaigns, and every statement that reads or writes it."""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    Column,
    DateTime,
    Integer,
    MetaData,
    Table,
    Uuid,
    bindparam,
    insert,
    select,
    true,
    update,
)

metadata = MetaData()

campaigns = Table(
    "campaigns",
    metadata,
    Column("campaign_id", Uuid, primary_key=True),
    Column("begun", DateTime(timezone=True), nullable=False),
    Column("reached", Integer, nullable=False),  # the id of the last customer who was looked at
    Column("letters", Integer, nullable=False),
    Column("ended", DateTime(timezone=True)),
    Column("is_running", Boolean(create_constraint=False), unique=True),  # true of one, and null of those that are over
)

_SHOWN = [column for column in campaigns.c if column.name not in {"reached", "is_running"}]

INSERT_CAMPAIGN = insert(campaigns)
LATEST = select(*_SHOWN).order_by(campaigns.c.begun.desc()).limit(20)
UNDER_WAY = select(*_SHOWN).where(campaigns.c.is_running == true())
REACHED = select(campaigns.c.reached).where(campaigns.c.campaign_id == bindparam("campaign_id"))
# Only from where it was seen to be: a page that is worked on twice is written to once.
MOVE_ON = (
    update(campaigns)
    .where(campaigns.c.campaign_id == bindparam("wanted"), campaigns.c.reached == bindparam("before"))
    .values(
        reached=bindparam("after"),
        letters=campaigns.c.letters + bindparam("more"),
        ended=bindparam("over", type_=DateTime(timezone=True)),
        is_running=bindparam("goes_on", type_=Boolean),
    )
)
