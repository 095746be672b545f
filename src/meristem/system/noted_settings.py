"""What the processes of a run note of their settings, for whoever asks what is used: secrets are hidden already."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from meristem.config.setting_sources import Setting
from meristem.private_files import make_folder, write_file
from meristem.system.addresses import label_of
from meristem.system.state_directory import SETTINGS

if TYPE_CHECKING:
    from pathlib import Path


class NotedSettings(msgspec.Struct, frozen=True):
    """The settings of the services of one process; what is secret in them is hidden already.

    `run` is the process that answers for the run: its supervisor, or itself where it runs alone.
    """

    run: int
    settings: Mapping[str, Sequence[Setting]]


def write_noted(state: Path, process: str, replica: int, noted: NotedSettings) -> None:
    """Write down what a process uses; whoever may not write there runs all the same."""
    with contextlib.suppress(OSError):
        make_folder(state / SETTINGS)
        write_file(state / SETTINGS / f"{label_of(process, replica)}.json", msgspec.json.encode(noted))


def read_noted(state: Path, run: int) -> dict[str, Sequence[Setting]]:
    """What the processes of a run have noted, by service; what a former run left tells nothing of this one."""
    found: dict[str, Sequence[Setting]] = {}
    for path in sorted((state / SETTINGS).glob("*.json")):
        try:
            noted = msgspec.json.decode(path.read_bytes(), type=NotedSettings)
        except (OSError, msgspec.DecodeError):  # it is being written
            continue
        found |= noted.settings if noted.run == run else {}
    return found
