"""`meristem call`: call one operation of a running system."""

from __future__ import annotations

import difflib
import os
from typing import TYPE_CHECKING, Any

import click

from meristem.cli.loading_system import load_blueprint, system_option
from meristem.cli.output import print_json
from meristem.context import Context, Identity, using
from meristem.errors import CallError, MisuseError, OperationError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from meristem.contracts.operation import Operation
    from meristem.runtime.remote import RemoteSystem
    from meristem.system.blueprint import Blueprint
    from meristem.system.state_directory import StateDirectory


@click.command()
@click.argument("operation", metavar="SERVICE.METHOD")
@click.argument("request", default="{}", metavar="JSON")
@system_option
@click.option("--address", help="Where it runs; by default where `meristem run` started it in this folder.")
@click.option("--key", help="The idempotency key of the call.")
@click.option("--user", help="Call for this user (its subject); the system has to run here, or MERISTEM_SECRET be set.")
@click.option("--token", help="Call from outside, as who has this bearer token; only public operations answer.")
@click.option("--header", "headers", multiple=True, help="Send this as well: 'Name: value'; may be repeated.")
def call(
    operation: str,
    request: str,
    target: str | None,
    address: str | None,
    key: str | None,
    user: str | None,
    token: str | None,
    headers: tuple[str, ...],
) -> None:
    """Call an operation: meristem call payments.ledger '{"booking_id": "…"}'."""
    from meristem.contracts.protojson import lenient  # noqa: PLC0415 - only this verb reads requests
    from meristem.runtime.remote import connect  # noqa: PLC0415
    from meristem.system.state_directory import StateDirectory  # noqa: PLC0415

    blueprint, directory = load_blueprint(target)
    found, method = _find(blueprint, operation)
    try:
        message = lenient(found.request)(request.encode())
    except CallError as refusal:  # nothing was sent
        raise click.BadParameter(refusal.message, param_hint="JSON") from None
    names = [each.name for each in found.parameters]
    arguments = {name: getattr(message, name) for name in names} if found.spread else {names[0]: message}
    fields = _fields(headers, token)
    state = StateDirectory(directory, blueprint.system.name)
    # The lock tells whether it runs: an address that a killed run left behind is not called.
    address = address or _address(state, blueprint.system.name)
    # Beside a token of the system, which services believe, a bearer token would mean nothing.
    tokens = None if "authorization" in fields else state.known_tokens(os.environ)
    if user is not None and "authorization" in fields:
        raise click.UsageError("--user and --token each say who calls; give one")
    if user is not None and tokens is None:
        raise click.UsageError("--user is believed with the system's secret alone: set MERISTEM_SECRET")
    context = Context(key=key, user=None if user is None else Identity(user))
    with connect(address, tokens=tokens, headers=fields) as system, using(context):
        for reply in _replies(system, found, getattr(system.client(method), found.name), arguments):
            print_json(reply)


def _fields(headers: tuple[str, ...], token: str | None) -> dict[str, str]:
    """The header fields that go out with the call, by name in lower case."""
    from meristem.transports.http.connect.ownhead import own_lines  # noqa: PLC0415 - what speaks takes time to import

    given = [*headers, *([] if token is None else [f"Authorization: Bearer {token}"])]
    fields: dict[str, str] = {}
    for line in given:
        name, colon, value = line.partition(":")
        name = name.strip().lower()
        if not colon or name in fields:
            problem = "is given twice" if colon else "has no colon: write 'Name: value'"
            raise click.BadParameter(f"{name} {problem}", param_hint="--header")
        fields[name] = value.strip()
    try:
        own_lines(fields)
    except MisuseError as error:
        raise click.BadParameter(str(error), param_hint="--header") from None
    return fields


def _address(state: StateDirectory, system: str) -> str:
    running = state.running()
    if running is None:
        raise OperationError(f"{system} does not run here; start it with `meristem run` or give --address")
    return running.address


def _find(blueprint: Blueprint, named: str) -> tuple[Operation, type[Any]]:
    """The operation called `service.method` or `Contract.method`, and its contract."""
    holder, _, method = named.rpartition(".")
    for service in blueprint.plan.services:
        for contract in service.contracts:
            names = (service.name, contract, contract.rpartition(".")[2])
            if holder in names and method in {each.name for each in service.operations}:
                return _operation(blueprint, service.name, method)
    known = [f"{service.name}.{each.name}" for service in blueprint.plan.services for each in service.operations]
    close = difflib.get_close_matches(named, known, 3) or known
    raise click.BadParameter(
        f"there is no operation {named!r}; there are {', '.join(close)}", param_hint="SERVICE.METHOD"
    )


def _operation(blueprint: Blueprint, service: str, method: str) -> tuple[Operation, type[Any]]:
    """An operation of a service, and which of its contracts declares it."""
    found = blueprint.operations_of(service)[method]
    contract = next(each for each in blueprint.contracts_of(service) if each.contract_name == found.contract)
    return found, contract


def _replies(system: RemoteSystem, operation: Operation, method: Any, arguments: dict[str, Any]) -> Iterator[Any]:
    """The reply, or each of a stream's."""
    if not operation.stream:
        yield system.wait(method(**arguments))
        return
    items = aiter(method(**arguments))
    while True:
        try:
            yield system.wait(anext(items))
        except StopAsyncIteration:
            return
