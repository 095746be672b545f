"""What a system says of itself to those who only see its interface."""

from __future__ import annotations

from typing import Any

import msgspec

from meristem.errors import ContractError


class About(msgspec.Struct, frozen=True):
    """What the description of a REST interface says of the whole (OpenAPI 3.1, section 4.8.2).

    `version` is the interface's own. `contact` is who to ask: an e-mail address or the address of a page.
    Raises ContractError for a `contact` that is neither.
    """

    description: str = ""
    version: str = "1.0.0"
    title: str = ""
    contact: str = ""

    def __post_init__(self) -> None:
        if self.contact and "@" not in self.contact and not self._is_page():
            raise ContractError(
                f'About(contact={self.contact!r}): give an e-mail address or a page, "https://shop.example/help"'
            )

    def info(self, name: str) -> dict[str, Any]:
        """The `info` of an OpenAPI document; a system that gives no title has its name there."""
        said: dict[str, Any] = {"title": self.title or name, "version": self.version}
        if self.description:
            said["description"] = self.description
        if self.contact:
            said["contact"] = {"url" if self._is_page() else "email": self.contact}
        return said

    def _is_page(self) -> bool:
        return self.contact.startswith(("https://", "http://"))
