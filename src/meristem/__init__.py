"""Meristem: business backends that start as one process and divide into microservices, code unchanged."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

from meristem.clock import Clock
from meristem.config.secret import Secret
from meristem.config.settings import Settings
from meristem.context import Context, Identity, current, using
from meristem.contracts.about import About
from meristem.contracts.call import Call, Handler, Middleware, block_on
from meristem.contracts.contract import Contract
from meristem.contracts.decimals import DecimalMeta
from meristem.contracts.message import Event, Message
from meristem.contracts.operation import Cache, Retry, idempotent, once, operation, safe
from meristem.errors import (
    CallError,
    Code,
    ConfigurationError,
    ContractError,
    Fault,
    FieldViolation,
    IntegrityViolation,
    MeristemError,
    MisuseError,
    OperationError,
    SagaParked,
    StorageError,
    Undeliverable,
    WiringError,
)
from meristem.services.schedule import every
from meristem.services.service import Progress, Service
from meristem.system.beside import App, Program
from meristem.system.system import System

if TYPE_CHECKING:
    from meristem.contracts.travelling import Travelling
    from meristem.events.subscription import on
    from meristem.frameworks.errors import answer_errors
    from meristem.runtime.remote import connect
    from meristem.sagas.flow import Flow
    from meristem.sagas.handle import SagaHandle, find_sagas, start_saga
    from meristem.sagas.records import SagaState
    from meristem.sagas.saga import saga
    from meristem.services.batching import batched
    from meristem.storage.database import Database

# A program pays for importing SQLAlchemy and the like only if it asks for what needs them.
LATER: Final = {
    "Database": "meristem.storage.database",
    "Flow": "meristem.sagas.flow",
    "SagaHandle": "meristem.sagas.handle",
    "SagaState": "meristem.sagas.records",
    "Travelling": "meristem.contracts.travelling",
    "answer_errors": "meristem.frameworks.errors",
    "batched": "meristem.services.batching",
    "connect": "meristem.runtime.remote",
    "find_sagas": "meristem.sagas.handle",
    "on": "meristem.events.subscription",
    "saga": "meristem.sagas.saga",
    "start_saga": "meristem.sagas.handle",
}

__all__ = [
    "About",
    "App",
    "Cache",
    "Call",
    "CallError",
    "Clock",
    "Code",
    "ConfigurationError",
    "Context",
    "Contract",
    "ContractError",
    "Database",
    "DecimalMeta",
    "Event",
    "Fault",
    "FieldViolation",
    "Flow",
    "Handler",
    "Identity",
    "IntegrityViolation",
    "MeristemError",
    "Message",
    "Middleware",
    "MisuseError",
    "OperationError",
    "Program",
    "Progress",
    "Retry",
    "SagaHandle",
    "SagaParked",
    "SagaState",
    "Secret",
    "Service",
    "Settings",
    "StorageError",
    "System",
    "Travelling",
    "Undeliverable",
    "WiringError",
    "answer_errors",
    "batched",
    "block_on",
    "connect",
    "current",
    "every",
    "find_sagas",
    "idempotent",
    "on",
    "once",
    "operation",
    "safe",
    "saga",
    "start_saga",
    "using",
]


def __getattr__(name: str) -> Any:
    if name not in LATER:
        raise AttributeError(f"module 'meristem' has no attribute {name!r}")
    return getattr(importlib.import_module(LATER[name]), name)
