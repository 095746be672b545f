"""The error tree: what a user of Meristem may meet, and what each kind asks of them.

MeristemError
├── MisuseError                 the program is written or configured wrongly: fix it, never retry
│   ├── ContractError           a contract, message, event or fault is declared wrongly
│   ├── WiringError             services cannot be put together: unknown parameter, cycle, no implementation
│   └── ConfigurationError      a setting, placement or resource is missing or malformed
└── OperationError              something went wrong while the program ran
    ├── CallError               a call failed; carries a Code and whether the call may have happened
    │   ├── NotServedHere       this process does not serve the call, or not to its end; another one may
    │   └── SagaParked          a saga stopped where a person must look; carries its id
    ├── StorageError            the database refused or lost a statement
    │   ├── IntegrityViolation  a row would break a constraint (unique, foreign key, not null, check)
    │   └── StorageUnavailable  the database takes no statement now: locked by another process, or out of reach
    └── Undeliverable           an event that its subscriber can never accept: no retry helps
Fault                           a business answer that a contract declares (`raises=[...]`); arrives as its own class
"""

from __future__ import annotations

import errno
import inspect
from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self, dataclass_transform

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


class Code(Enum):
    """The closed list of reasons for which a call fails: the codes of gRPC and the Connect protocol."""

    CANCELED = "canceled"
    UNKNOWN = "unknown"
    INVALID_ARGUMENT = "invalid_argument"
    DEADLINE_EXCEEDED = "deadline_exceeded"
    NOT_FOUND = "not_found"
    ALREADY_EXISTS = "already_exists"
    PERMISSION_DENIED = "permission_denied"
    RESOURCE_EXHAUSTED = "resource_exhausted"
    FAILED_PRECONDITION = "failed_precondition"
    ABORTED = "aborted"
    OUT_OF_RANGE = "out_of_range"
    UNIMPLEMENTED = "unimplemented"
    INTERNAL = "internal"
    UNAVAILABLE = "unavailable"
    DATA_LOSS = "data_loss"
    UNAUTHENTICATED = "unauthenticated"


DEFINITE: Final = frozenset(
    {
        Code.INVALID_ARGUMENT,
        Code.NOT_FOUND,
        Code.ALREADY_EXISTS,
        Code.PERMISSION_DENIED,
        Code.FAILED_PRECONDITION,
        Code.OUT_OF_RANGE,
        Code.UNIMPLEMENTED,
        Code.UNAUTHENTICATED,
    }
)
"""The codes of a refusal: nothing happened, and the same call would be refused again."""


LONGEST_DELAY: Final = 315_576_000_000.0  # seconds, those of a google.protobuf.Duration
REPEATABLE: Final = frozenset({Code.UNAVAILABLE, Code.RESOURCE_EXHAUSTED, Code.ABORTED})
"""The codes with which a client repeats a call that did not come to its service, or broke on the way."""

PASSING_ERRNOS: Final = frozenset(
    {errno.EAGAIN, errno.EBUSY, errno.EDQUOT, errno.EINTR, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM}
    | {errno.ENOSPC, errno.ETIMEDOUT}
)
"""What the operating system refuses for a while."""


class MeristemError(Exception):
    """The root of every error that Meristem raises itself."""


class MisuseError(MeristemError):
    """The program is written or configured wrongly; the message says what to change.

    `subjects` are the classes of the program that it is about, where they are known.
    """

    subjects: tuple[type, ...] = ()


class ContractError(MisuseError):
    """A contract, message, event or fault is declared wrongly."""


class WiringError(MisuseError):
    """Services cannot be put together as they ask to be."""


class ConfigurationError(MisuseError):
    """A setting, placement or resource is missing or malformed."""


class OperationError(MeristemError):
    """Something went wrong while the program ran; `lasting` says that it stays so until somebody mends it."""

    lasting: bool = False

    @classmethod
    def of_system(cls, message: str, error: OSError) -> Self:
        """What the operating system refused: a full disk may be emptied, a folder that is read-only stays so."""
        made = cls(message)
        made.lasting = error.errno not in PASSING_ERRNOS
        return made


class StorageError(OperationError):
    """The database refused or lost a statement.

    `condition` is what callers are told of it, such as `the disk of its database is full`: no name, value or place.
    Empty for what is a bug, or nobody's business.
    """

    condition: str = ""


class IntegrityViolation(StorageError):
    """A row would break a constraint; nothing of the statement happened.

    `kind` is `unique`, `foreign key`, `not null`, `check` or `unknown`; `constraint` names the constraint or its
    columns (`rooms.hotel_id, rooms.number`) where the database tells.
    """

    def __init__(self, message: str, *, kind: str = "unknown", constraint: str | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.constraint = constraint


class StorageUnavailable(StorageError):
    """The database takes no statement now; nothing of this one happened, and in a while it may be taken."""


class Undeliverable(OperationError):
    """An event that its subscriber can never accept; it becomes a dead letter at once instead of being retried."""


class FieldViolation:
    """One input field that was refused: its path (`guest.email`) and why."""

    __slots__ = ("field", "reason")

    def __init__(self, field: str, reason: str) -> None:
        self.field = _sayable(field)
        self.reason = _sayable(reason)

    def __repr__(self) -> str:
        return f"FieldViolation({self.field!r}, {self.reason!r})"


class CallError(OperationError):
    """A call failed for a reason that its contract does not declare.

    `may_have_happened` is False only when the call certainly changed nothing: it may be repeated whatever its
    semantics. Where it is not given, the code decides: a refusal (`DEFINITE`) changed nothing, anything else may have.
    `violations` names the fields of a refused request, `origin` the endpoint that failed, where one of several was
    chosen; `lost` says that its connection broke before an answer came, `answered` that a server sent it, `unborn` that
    its endpoint has yet to come into being, as while a system starts: it tells whether that comes within so many
    seconds. One that is
    `from_service` is how the service's own code ended the call: an answer, which no client repeats by itself.
    A `private` one came from a call below: its text is for the code that made that call, and for logs. Who lets it pass
    tells callers from outside the code alone.
    """

    origin: str | None = None
    lost: bool = False
    unborn: Callable[[float], Awaitable[bool]] | None = None
    answered: bool = False
    from_service: bool = False

    def __init__(
        self,
        code: Code,
        message: str,
        *,
        may_have_happened: bool | None = None,
        violations: tuple[FieldViolation, ...] = (),
        retry_after: float | None = None,
        private: bool = False,
    ) -> None:
        self.message = _sayable(message)
        super().__init__(self.message)
        self.code = code
        self.may_have_happened = code not in DEFINITE if may_have_happened is None else may_have_happened
        self.violations = violations
        self.retry_after = None if retry_after is None or not retry_after <= LONGEST_DELAY else max(0.0, retry_after)
        self.private = private

    def __str__(self) -> str:
        return f"[{self.code.value}] {self.message}"

    def passed_on(self) -> CallError:
        """The error as it leaves a service: what a wire would carry, and nothing that hangs on it."""
        error = CallError(
            self.code,
            self.message,
            # one of a call below tells of that call, and before it the service may have done something
            may_have_happened=None if self.private else self.may_have_happened,
            violations=self.violations,
            retry_after=self.retry_after,
            private=self.private,
        )
        error.from_service = True
        return error

    def __reduce__(self) -> tuple[Any, ...]:
        return (
            _rebuild_call_error,
            (self.code, self.message, self.may_have_happened, self.violations, self.retry_after, self.private),
        )


def _sayable(text: str) -> str:
    """A text that every wire carries: half of a surrogate pair, which is no character, becomes a question mark."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def keepable(text: str) -> str:
    """An error's text that every database keeps: one of a library may hold a file's name as it came, or any bytes."""
    return _sayable(text).replace("\0", "?")


def _rebuild_call_error(
    code: Code,
    message: str,
    happened: bool,
    violations: tuple[FieldViolation, ...],
    retry_after: float | None,
    private: bool,
) -> CallError:
    return CallError(
        code, message, may_have_happened=happened, violations=violations, retry_after=retry_after, private=private
    )


class NotServedHere(CallError):
    """This process does not serve the call, or not to its end; another one may, or this one after a restart.

    Where the framework raises it in place of the service's own code, a client may repeat the call.
    """

    def __init__(self, message: str, *, may_have_happened: bool) -> None:
        super().__init__(Code.UNAVAILABLE, message, may_have_happened=may_have_happened)

    def passed_on(self) -> CallError:
        """The error as it is, or as one of the service that met it in a call below."""
        if self.private:
            return super().passed_on()
        return NotServedHere(self.message, may_have_happened=self.may_have_happened)


class SagaParked(CallError):
    """A saga stopped where a person must look: `meristem sagas show SAGA_ID` tells why.

    `problem` is what it tells; it stays within the saga's service.
    """

    def __init__(self, saga_id: str, problem: str = "", *, private: bool = False) -> None:
        told = f"saga {saga_id} is parked until a person looks at it with `meristem sagas show {saga_id}`"
        super().__init__(Code.INTERNAL, f"{told}: {problem}" if problem else told, private=private)
        self.saga_id = saga_id
        self.problem = problem

    def passed_on(self) -> SagaParked:
        """The error without the problem."""
        return SagaParked(self.saga_id, private=self.private)

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild_parked, (self.saga_id, self.problem, self.private))


def _rebuild_parked(saga_id: str, problem: str, private: bool) -> SagaParked:
    return SagaParked(saga_id, problem, private=private)


@dataclass_transform(kw_only_default=True)
class Fault(Exception):  # a business answer, not a failure of Meristem: its own root
    """A business failure that a contract declares; the caller catches the same class with the same fields.

    Fields are annotated like a message's and given by keyword. `code` is the wire's reason, `status` the HTTP
    status where the usual mapping of the code would say too little (402 for a declined card).
    """

    code: ClassVar[Code] = Code.FAILED_PRECONDITION
    status: ClassVar[int | None] = None
    fields: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, *, code: Code | None = None, status: int | None = None, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if code is not None:
            cls.code = code
        cls.status = status if status is not None else cls.status
        own = [name for name in inspect.get_annotations(cls) if name not in Fault.__annotations__]
        cls.fields = (*cls.fields, *(name for name in own if name not in cls.fields))

    def __init__(self, **values: Any) -> None:
        unknown = values.keys() - set(self.fields)
        missing = [name for name in self.fields if name not in values and not hasattr(type(self), name)]
        if unknown or missing:
            problem = f"got an unexpected {min(unknown)!r}" if unknown else f"needs {missing[0]!r}"
            raise TypeError(f"{type(self).__name__} {problem}; its fields are {', '.join(self.fields) or '(none)'}")
        super().__init__(self.summary())
        self.__dict__.update(values)

    @classmethod
    def summary(cls) -> str:
        """The first sentence of the class's docstring, or its name."""
        text = (cls.__doc__ or "").strip()
        return text.splitlines()[0] if text and cls.__doc__ != Fault.__doc__ else cls.__name__

    def values(self) -> dict[str, Any]:
        """The fault's fields and their values."""
        return {name: getattr(self, name) for name in self.fields}

    def __str__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self.values().items())
        return f"{self.summary()} ({shown})" if shown else self.summary()

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild_fault, (type(self), self.values()))

    @classmethod
    def build(cls, values: dict[str, Any]) -> Self:
        """Make the fault from a mapping of its fields."""
        return cls(**values)


def _rebuild_fault(cls: type[Fault], values: dict[str, Any]) -> Fault:
    return cls.build(values)
