"""${message}."""

import sqlalchemy as sa
from alembic import op
${imports if imports else ""}

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = ${repr(branch_labels)}
depends_on = ${repr(depends_on)}
# True: the release before this revision may run on the tables that it leaves, because it only adds what that one
# doesn't see. False: that release is refused.
compatible = ${repr(config.attributes["compatible"])}
% if config.attributes.get("is_first"):
# The tables as they were made before there were migrations: a database that has them is taken to be at this revision.
holds_all_tables = True
% endif


def upgrade() -> None:
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    ${downgrades if downgrades else "pass"}
