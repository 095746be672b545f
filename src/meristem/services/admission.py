"""What a call must have to be answered: a user where one is needed, and an idempotency key that is its caller's own."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from meristem.contracts.canonical import canonical
from meristem.contracts.operation import Semantics
from meristem.errors import CallError, Code
from meristem.keys import KeyChain, Work, check_key, scoped

if TYPE_CHECKING:
    from collections.abc import Callable

    from meristem.context import Place
    from meristem.contracts.call import Call
    from meristem.contracts.operation import Operation


def admission(operation: Operation, place: Place, system: str) -> Callable[[Call], None]:
    """Refuses a call without the user it needs, and one whose key is malformed; scopes a key that came from outside.

    A keyed call is given what derives the keys of the calls below it.
    """
    authenticated, path, label = operation.authenticated, operation.path, operation.label
    once, safe = operation.semantics is Semantics.ONCE, operation.semantics is Semantics.SAFE

    def enter(call: Call) -> None:
        context, user = call.context, call.context.user
        if authenticated and user is None:
            raise CallError(Code.UNAUTHENTICATED, f"{label}: sign in first", may_have_happened=False)
        if context.place is place and context.keys is not None:  # the call was handed on twice
            context.keys = context.keys.again()
            return
        context.place = place
        if safe:
            context.key = None  # without an effect there is nothing that must not be repeated
            return
        key, asker = context.key, None if user is None else user.asker
        if key is None:
            if once:  # a caller from outside that does not mean to repeat the call
                context.key = key = os.urandom(16).hex()
                context.keys = KeyChain(key, asker)
            return
        check_key(operation, key)
        by_service = context.caller is not None
        # Where a service asks, the answer that is stored under its key excludes another request anyway.
        request = b"" if once and by_service else canonical(call.request)
        context.keys = KeyChain.below(Work(system, path, asker, request), key, by_service=by_service)
        if not by_service:
            context.key = scoped(system, path, asker, key)

    return enter
