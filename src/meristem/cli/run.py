"""`meristem run`: bring a system to life."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

import click

from meristem.cli.loading_system import load_system, log_level_option, placement_option, system_argument
from meristem.cli.serving import Faces
from meristem.standard_streams import unblock
from meristem.supervision.lifeline import hold
from meristem.system.blueprint import Blueprint


@click.command()
@system_argument
@placement_option
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", default=8000, show_default=True, help="The port to listen on; 0 takes a free one.")
@click.option(
    "--operator",
    "operators",
    multiple=True,
    help="An address for operators, e.g. tcp://0.0.0.0:9000; may be repeated.  [default: 127.0.0.1:8001 on loopback]",
)
@click.option("--api-page/--no-api-page", default=None, help="Show the description of the API.  [default: on loopback]")
@click.option(
    "--development/--no-development",
    default=None,
    help="Tell a bug in what a saga calls at once, and do not try again.  [default: on loopback]",
)
@click.option("--reload", is_flag=True, help="Start again whenever the project's code changes.")
@log_level_option
@click.option("--log-format", type=click.Choice(["console", "json"]), default="console", show_default=True)
def run(
    target: str | None,
    placement: Path | None,
    host: str,
    port: int,
    operators: tuple[str, ...],
    *,
    api_page: bool | None,
    development: bool | None,
    reload: bool,
    log_level: str,
    log_format: Any,
) -> None:
    """Run a system: all in one process, or as a placement says."""
    unblock()
    hold(os.environ)
    if reload:
        from meristem.cli.reloading import run_reloading  # noqa: PLC0415 - watching is for development

        arguments = [each for each in sys.argv[1:] if each != "--reload"]
        sys.exit(run_reloading(arguments, Path.cwd(), placed=placement is not None))
    from meristem.operators.host_guard import is_loopback  # noqa: PLC0415 - what serves takes time to import

    near = is_loopback(host)
    shows, tells = (near if each is None else each for each in (api_page, development))
    faces = Faces(host, port, operators or None, api_page=shows, development=tells)
    if placement is not None:
        from meristem.cli.supervising import run_placed  # noqa: PLC0415 - a process alone does without it

        run_placed(target, placement, faces, log_level=log_level, log_format=log_format)
        return
    from meristem.cli.alone import run_alone  # noqa: PLC0415 - and a supervisor without this
    from meristem.cli.companions import Told  # noqa: PLC0415
    from meristem.telemetry.logging import configure  # noqa: PLC0415 - only a process's main configures logging

    began = time.perf_counter()
    configure(format=log_format, level=log_level)
    system, reference = load_system(target)
    told = Told(target, log_level, log_format, tells)
    run_alone(Blueprint(system), reference.root, faces, began, told)
