"""An operation that no contract declares, for tests of what stands around its calls."""

from meristem.contracts.operation import Declaration, Operation


def an_operation(declared: Declaration | None = None, *, method: str = "debit", stream: bool = False) -> Operation:
    """`Bank.debit`, which takes anything and answers with a text."""
    return Operation(
        "shop.bank.v1.Bank",
        method,
        declared or Declaration(),
        parameters=(),
        request=object,
        spread=True,
        reply=str,
        stream=stream,
        doc="",
    )
