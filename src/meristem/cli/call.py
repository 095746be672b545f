"""`meristem call`: call one operation of a running system."""

from __future__ import annotations

import asyncio
import difflib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import click

from meristem.baggage import DECLARED
from meristem.cli.loading_system import load_blueprint, placement_option, system_option
from meristem.cli.output import print_json
from meristem.cli.standard_input import input_lines
from meristem.context import Context, Identity, using
from meristem.errors import CallError, MisuseError, OperationError
from meristem.hints import meant

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from meristem.contracts.operation import Operation
    from meristem.runtime.remote import RemoteSystem
    from meristem.system.blueprint import Blueprint
    from meristem.system.state_directory import StateDirectory


@click.command()
@click.argument("operation", metavar="SERVICE.METHOD")
@click.argument("request", required=False, metavar="[JSON]")
@system_option
@placement_option
@click.option("--address", help="Where it runs; by default where `meristem run` started it in this folder.")
@click.option("--key", help="The idempotency key of the call.")
@click.option("--user", help="Call for this user (its subject); the system has to run here, or MERISTEM_SECRET be set.")
@click.option("--tenant", help="The tenant of that user.")
@click.option("--token", help="Call from outside, as who has this bearer token; only public operations answer.")
@click.option("--header", "headers", multiple=True, help="Send this as well: 'Name: value'; may be repeated.")
@click.option("--travelling", multiple=True, help="Set a value that travels: 'locale=pt'; may be repeated.")
def call(  # noqa: PLR0917 - click gives each option by its name
    operation: str,
    request: str | None,
    target: str | None,
    placement: Path | None,
    address: str | None,
    key: str | None,
    user: str | None,
    tenant: str | None,
    token: str | None,
    headers: tuple[str, ...],
    travelling: tuple[str, ...],
) -> None:
    """Call an operation: meristem call payments.ledger '{"booking_id": "…"}'.

    One that takes a stream reads its items from standard input, a line of JSON each.
    """
    from meristem.runtime.remote import RemoteSystem  # noqa: PLC0415
    from meristem.system.state_directory import StateDirectory  # noqa: PLC0415

    blueprint, directory = load_blueprint(target, placement, as_it_runs=True)
    found, method = _find(blueprint, operation)
    arguments = _items(found, request) if found.takes_stream else _arguments(found, request or "{}")
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
    if user is None and tenant is not None:
        raise click.UsageError("--tenant is that of a user: give --user, too")
    baggage = _baggage(travelling, is_trusted=tokens is not None)
    who = None if user is None else Identity(user, tenant=tenant or "")
    context = Context(key=key, user=who, baggage=baggage)
    remote = RemoteSystem(address, sign=None if tokens is None else tokens.prove, headers=fields)
    with using(context):
        asyncio.run(_call(remote, method, found, arguments))


def _arguments(operation: Operation, request: str) -> dict[str, Any]:
    """What a request gives for each parameter."""
    message = _read(operation, request.encode(), "JSON")
    names = [each.name for each in operation.parameters]
    return {name: getattr(message, name) for name in names} if operation.spread else {names[0]: message}


def _items(operation: Operation, request: str | None) -> dict[str, Any]:
    """The items of standard input as the only argument."""
    name = operation.parameters[0].name
    if request is not None:
        text = f"{operation.label} takes a stream: give its items on standard input, a line of JSON each"
        raise click.BadParameter(text, param_hint="JSON")

    async def items() -> AsyncIterator[Any]:
        number = 0
        async for line in input_lines():
            number += 1
            # A value that is no message stands on its line alone, and in the request by the parameter's name.
            body = b'{"%b":%b}' % (name.encode(), line) if operation.spread else line
            message = _read(operation, body, f"item {number} of standard input")
            yield getattr(message, name) if operation.spread else message

    return {name: items()}


def _read(operation: Operation, body: bytes, hint: str) -> Any:
    from meristem.contracts.protojson import lenient  # noqa: PLC0415 - only this verb reads requests

    try:
        return lenient(operation.request)(body)
    except CallError as refusal:
        raise click.BadParameter(refusal.message, param_hint=hint) from None


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


def _baggage(travelling: tuple[str, ...], *, is_trusted: bool) -> str:
    """The values that go with the call; one that nothing declares, or a stranger can't set, would be ignored."""
    found: dict[str, str] = {}
    for line in travelling:
        name, equals, text = line.partition("=")
        declared = DECLARED.get(name)
        problem = ""
        if not equals:
            problem = f"{line!r} has no value: write name=value"
        elif declared is None:
            known = sorted(DECLARED)
            there_are = f"there are {', '.join(known)}" if known else "the system declares none"
            problem = f"no value travels as {name!r}; {meant(name, known, there_are)}"
        elif name in found:
            problem = f"{name} is given twice"
        elif not declared.public and not is_trusted:
            problem = f"{name} is not public: only the system sets it, and this call comes from outside"
        if problem or declared is None:
            raise click.BadParameter(problem, param_hint="--travelling")
        try:
            found[name] = declared.admit(quote(text, safe=""))
        except CallError as unfit:
            raise click.BadParameter(unfit.message.removeprefix("baggage: "), param_hint="--travelling") from None
    return ",".join(found.values())


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


async def _call(remote: RemoteSystem, contract: type[Any], operation: Operation, arguments: dict[str, Any]) -> None:
    """Print the reply, or each of a stream's."""
    async with remote as system:
        answer = getattr(system.client(contract), operation.name)(**arguments)
        if not operation.stream:
            print_json(await answer)
            return
        async for each in answer:
            print_json(each)
