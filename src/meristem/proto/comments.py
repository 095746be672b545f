"""The comments of a `.proto`, by what they stand at."""

from __future__ import annotations

from typing import Any, Final

OPENING: Final = ((12,), (2,))  # `syntax` and `package`: what stands above them is about the file


class Comments:
    """The comments of a file, by the path of what they describe (descriptor.proto, SourceCodeInfo)."""

    def __init__(self, file: Any) -> None:
        self._found: dict[tuple[int, ...], str] = {}
        for each in file.source_code_info.location:
            detached = [*each.leading_detached_comments[:1]] if tuple(each.path) in OPENING else []
            found = each.leading_comments or each.trailing_comments or "".join(map(_text, detached))
            text = _text(found)
            if text.strip():
                self._found[tuple(each.path)] = _dedented(text)

    def of_file(self) -> str:
        """What is said of the whole file."""
        return next((self._found[path] for path in OPENING if path in self._found), "")

    def of(self, path: tuple[int, ...]) -> str:
        """The comment at a path, without what surrounds it; empty where there is none."""
        return self._found.get(path, "")


def _text(comment: str | bytes) -> str:
    """A comment as text: the compiler passes bytes of any encoding, and protobuf gives them as they are."""
    return comment if isinstance(comment, str) else comment.decode(errors="replace")


def _dedented(text: str) -> str:
    lines = [each.removeprefix(" ").rstrip() for each in text.strip("\n").split("\n")]
    return "\n".join(lines).strip()
