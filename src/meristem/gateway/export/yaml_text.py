"""YAML as exports write it: in the order in which things are said, and twice what is said twice."""

from __future__ import annotations

import yaml


def yaml_text(value: object) -> str:
    """One document, without the line that begins it."""
    return yaml.dump(value, Dumper=_NoAliases, sort_keys=False, allow_unicode=True)


class _NoAliases(yaml.SafeDumper):
    """Writes the same thing twice where it is said twice, as what is written is read by people."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - as yaml asks
        return True
