"""The table of campaigns, and every statement that reads or writes it."""

from __future__ import annotations

from sqlalchemy import Column, DateTime, Integer, MetaData, Table, Uuid, bindparam, insert, select, update

metadata = MetaData()

campaigns = Table(
    "campaigns",
    metadata,
    Column("campaign_id", Uuid, primary_key=True),
    Column("begun", DateTime(timezone=True), nullable=False),
    Column("reached", Integer, nullable=False),  # the id of the last customer who was looked at
    Column("letters", Integer, nullable=False),
    Column("ended", DateTime(timezone=True), index=True),
)

_SHOWN = [column for column in campaigns.c if column.name != "reached"]

INSERT_CAMPAIGN = insert(campaigns)
LATEST = select(*_SHOWN).order_by(campaigns.c.begun.desc()).limit(20)
UNDER_WAY = select(*_SHOWN).where(campaigns.c.ended.is_(None)).order_by(campaigns.c.begun).limit(1)
REACHED = select(campaigns.c.reached).where(campaigns.c.campaign_id == bindparam("campaign_id"))
# Only from where it was seen to be: a page that is worked on twice is written to once.
MOVE_ON = (
    update(campaigns)
    .where(campaigns.c.campaign_id == bindparam("wanted"), campaigns.c.reached == bindparam("before"))
    .values(
        reached=bindparam("after"),
        letters=campaigns.c.letters + bindparam("more"),
        ended=bindparam("over", type_=DateTime(timezone=True)),
    )
)
