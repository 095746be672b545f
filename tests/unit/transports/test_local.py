"""Calls in one process."""

from meristem.contracts.contract import operations
from meristem.transports.local import isolation_of
from tests.suites.shop import Rooms


def test_all_clients_of_an_operation_share_what_is_generated_for_it():
    """A client is made by each who asks for one: what one costs and keeps must not grow with their number."""
    known = operations(Rooms)
    assert known
    for operation in known.values():
        first, second = isolation_of(operation), isolation_of(operation)
        assert first.admit is second.admit
        assert first.separate is second.separate
