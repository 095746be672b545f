"""What a placement writes once for many services, with names in braces: `sqlite:///{system}/{service}.db`."""

from __future__ import annotations

from meristem.errors import ConfigurationError


def filled(key: str, template: str, **names: str) -> str:
    """The template of a placement's key with `names` in it; raises ConfigurationError that tells which there are."""
    try:
        return template.format(**names)
    # A name that is none, a bare `{}`, a brace without its pair, and a part of a name that texts do not have.
    except (LookupError, ValueError, AttributeError):
        *others, last = (f"{{{name}}}" for name in names)
        known = f"{', '.join(others)} or {last}"
        raise ConfigurationError(f"placement: {key} = {template!r}: write {known} for what varies") from None
