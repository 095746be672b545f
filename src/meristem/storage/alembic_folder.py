"""A folder of revisions as Alembic reads it: its configuration, its scripts in order, and what fails in them."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, MetaData
from sqlalchemy.exc import SQLAlchemyError

from meristem.errors import ConfigurationError, MeristemError

FRAMEWORK_PREFIX = "meristem_"
"""Tables whose names begin so belong to the framework: it creates them, and migrations leave them alone."""

COPY_PREFIX = "_alembic_tmp_"
"""How Alembic names the table that takes an altered one's place."""

_ENVIRONMENT = Path(__file__).parent / "environment"


def config_of(connection: Connection, versions: Path, metadata: MetaData | None = None) -> Any:
    """Alembic's configuration for a folder of revisions and an open database."""
    from argparse import Namespace  # noqa: PLC0415 - see `migrations._upgrade`

    from alembic.config import Config  # noqa: PLC0415 - see `migrations._upgrade`

    config = Config(cmd_opts=Namespace(quiet=True))
    config.set_main_option("script_location", _quoted(_ENVIRONMENT))
    config.set_main_option("version_locations", _quoted(versions))
    config.set_main_option("path_separator", "newline")
    config.attributes |= {"connection": connection, "metadata": metadata, "include_object": is_the_services}
    config.attributes["versions"] = versions
    return config


def is_the_services(thing: Any, name: str | None, kind: str, reflected: bool, other: Any) -> bool:  # noqa: ARG001
    return kind != "table" or name is None or not name.startswith(FRAMEWORK_PREFIX)


def is_no_table(name: str | None, kind: str, parents: Any) -> bool:  # noqa: ARG001 - Alembic's signature
    """As if the database were empty."""
    return kind != "table"


def _quoted(path: Path) -> str:
    return str(path.absolute()).replace("%", "%%")


def scripts_of(config: Any) -> dict[str, Any]:
    """The revisions of the folder, oldest first, each with its script; raises ConfigurationError for two newest."""
    from alembic.script import ScriptDirectory  # noqa: PLC0415 - see `migrations._upgrade`

    versions = config.attributes["versions"]
    with explained(versions):
        directory = ScriptDirectory.from_config(config)
        heads = directory.get_heads()
        scripts = {each.revision: each for each in reversed(list(directory.iterate_revisions("heads", "base")))}
    if len(heads) > 1:
        raise ConfigurationError(
            f"{versions} has several newest revisions, {', '.join(sorted(heads))}: let one follow the other, by its "
            "`down_revision`"
        )
    return scripts


@contextlib.contextmanager
def explained(versions: Path) -> Iterator[None]:
    """Tell what fails in a folder's revisions in one sentence; what the database refuses is told by its driver."""
    try:
        yield
    except MeristemError:
        raise
    except SQLAlchemyError as error:
        if place := _place(error, versions):
            error.add_note(place)
        raise
    except KeyError as error:
        raise ConfigurationError(f"{versions}: a revision follows {error}, which is not there; mend it") from error
    except Exception as error:
        place = _place(error, versions)
        where = f" ({place})" if place else ""
        raise ConfigurationError(f"a revision in {versions} fails: {type(error).__name__}: {error}{where}") from error


def _place(error: BaseException, versions: Path) -> str | None:
    """The line of a revision at which it failed."""
    lines = [each for each in traceback.extract_tb(error.__traceback__) if Path(each.filename).parent == versions]
    return f"{lines[-1].filename}:{lines[-1].lineno}" if lines else None
