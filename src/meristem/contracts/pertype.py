"""One function made per type, such as one that checks or reshapes its values; a message may hold itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Generic, TypeVar, cast

from meristem.contracts.wiretypes import unwrap

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])


class PerType(ABC, Generic[FunctionT]):
    """Makes one function per type, by `build`, which asks `of` for those of the types inside."""

    def __init__(self) -> None:
        self._made: dict[Any, FunctionT] = {}

    def of(self, type_: Any) -> FunctionT:
        """The function of a type, whatever names and annotations it was given."""
        bare = unwrap(type_)
        if bare not in self._made:

            def later(*values: Any) -> Any:  # stands in while the type that holds itself is built
                return self._made[bare](*values)

            self._made[bare] = cast("FunctionT", later)
            self._made[bare] = self.build(bare)
        return self._made[bare]

    @abstractmethod
    def build(self, type_: Any) -> FunctionT:
        """Make the function of a type without names and annotations; asked once for each."""
