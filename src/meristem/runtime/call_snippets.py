"""A call of an operation as it is written in a shell, in Python and in TypeScript."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Any, Final

import msgspec

from meristem.contracts.codec import encode
from meristem.contracts.python_text import PythonText
from meristem.operators.catalogue_contract import Snippet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meristem.contracts.operation import Operation
    from meristem.operators.catalogue_contract import CallFor, SnippetQuestion

LANGUAGES: Final = ("curl", "Python", "TypeScript", "Command")
SIGN_IN: Final = "TOKEN holds a bearer token of the user: from outside nobody is believed to be whom they name."
INSIDE: Final = (
    "Run it in the folder in which the system was started, by the same user: it calls as a part of the system."
)


def snippets_of(
    contract: Any, operation: Operation, requests: Sequence[Any], question: SnippetQuestion
) -> list[Snippet]:
    """The snippets of one call, whose request was read already; as JSON it is written as it was given."""
    given = msgspec.json.decode(question.request)
    bodies = [encode(each).decode() for each in (given if operation.takes_stream else [given])]
    remark = _unreachable(operation, question)
    if remark:
        http = [Snippet(language=each, text="", remark=remark) for each in ("curl", "TypeScript")]
    else:
        told = SIGN_IN if _signs_in(operation, question) else ""
        url = f"{question.address.rstrip('/')}{operation.path}"
        http = [
            Snippet(language="curl", text=_curl(operation, url, bodies[0], question), remark=told),
            Snippet(language="TypeScript", text=_typescript(operation, url, bodies[0], question), remark=told),
        ]
    curl, typescript = http
    return [curl, _python(contract, operation, requests, question), typescript, _command(operation, bodies, question)]


def _signs_in(operation: Operation, question: CallFor) -> bool:
    return operation.authenticated or bool(question.user)


def _unreachable(operation: Operation, question: SnippetQuestion) -> str:
    """Why a program of any language does not call an operation as plainly as by one POST; empty if it does."""
    http = operation.http
    if not operation.public:
        return "Only parts of the system may call it: it has neither http= nor public=True."
    if http is not None and http.alone:
        return f"It asks for the address of who calls, which REST alone tells: {http.verb} {http.path}"
    if operation.lasts:
        where = "" if http is None else f", or in REST at {http.verb} {http.path}"
        return f"A stream is cut into frames on this wire: read it by Python{where}."
    if not question.address.startswith("http"):
        return "The system serves no address over HTTP."
    return ""


def _curl(operation: Operation, url: str, body: str, question: CallFor) -> str:
    lines = [f"curl {shlex.quote(url)}", "-H 'content-type: application/json'"]
    if _signs_in(operation, question):
        lines.append('-H "authorization: Bearer $TOKEN"')
    return " \\\n  ".join([*lines, f"-d {shlex.quote(body)}"]) + "\n"


def _typescript(operation: Operation, url: str, body: str, question: CallFor) -> str:
    headers = '"content-type": "application/json"'
    if _signs_in(operation, question):
        headers += ", authorization: `Bearer ${process.env.TOKEN}`"
    shown = json.dumps(json.loads(body), indent=2, ensure_ascii=False).replace("\n", "\n  ")
    return (
        f"const answer = await fetch({json.dumps(url)}, {{\n"
        f'  method: "POST",\n  headers: {{ {headers} }},\n  body: JSON.stringify({shown}),\n}});\n'
        "if (!answer.ok) throw new Error(await answer.text());\nconsole.log(await answer.json());\n"
    )


def _python(contract: Any, operation: Operation, requests: Sequence[Any], question: SnippetQuestion) -> Snippet:
    text = PythonText()
    name = text.name(contract)
    is_outside = operation.public and not _signs_in(operation, question) and question.address.startswith("http")
    names = {"connect"} if is_outside or not question.user else {"Identity", "connect", "using"}
    text.imports["meristem"] = names
    where = f'"{question.address}"' if is_outside else 'folder=".", service="script"'
    call = f"system.client({name}).{operation.name}({_arguments(operation, requests, text)})"
    streamed = [f"async for each in {call}:", "    print(each)"]
    lines = streamed if operation.stream else [f"print(await {call})"]
    if question.user and not is_outside:
        lines = [f"with using(user={_identity(question)}):", *(f"    {each}" for each in lines)]
    body = [f"async with connect({where}) as system:", *(f"    {each}" for each in lines)]
    items = _items(operation, requests, text)
    written = ["async def main() -> None:", *(f"    {each}" for each in body)]
    start = ["import asyncio", *(["from collections.abc import AsyncIterator"] if items else []), ""]
    parts = [*start, *text.import_lines(), *items, "", "", *written, "", "", "asyncio.run(main())", ""]
    return Snippet(language="Python", text="\n".join(parts), remark="" if is_outside else INSIDE)


def _arguments(operation: Operation, requests: Sequence[Any], text: PythonText) -> str:
    if operation.takes_stream:
        return "items()"
    if operation.spread:
        return ", ".join(text.arguments(requests[0]))
    name = f"{operation.parameters[0].name}=" if operation.parameters[0].named else ""
    return name + text.value(requests[0])


def _items(operation: Operation, requests: Sequence[Any], text: PythonText) -> list[str]:
    """What gives the items of a stream."""
    if not operation.takes_stream:
        return []
    name = operation.parameters[0].name
    values = [getattr(each, name) if operation.spread else each for each in requests]
    written = [f"    yield {text.value(each)}" for each in values]
    return ["", "", "async def items() -> AsyncIterator[object]:", *(written or ["    return", "    yield"])]


def _identity(question: CallFor) -> str:
    parts = [json.dumps(question.user)]
    if question.user_name or question.roles:
        parts.append(json.dumps(question.user_name))
    if question.roles:
        parts.append(PythonText().value(tuple(question.roles)))
    if question.tenant:
        parts.append(f"tenant={json.dumps(question.tenant)}")
    return f"Identity({', '.join(parts)})"


def _command(operation: Operation, bodies: Sequence[str], question: CallFor) -> Snippet:
    named = f"meristem call {question.service}.{operation.name}"
    options = f" --user {shlex.quote(question.user)}" if question.user else ""
    for name, value in question.travelling.items():
        options += f" --travelling {shlex.quote(f'{name}={value}')}"
    if question.tenant:
        options += f" --tenant {shlex.quote(question.tenant)}"
    remark = "The command names no roles." if question.roles else ""
    if operation.takes_stream:
        given = " ".join(map(shlex.quote, bodies))
        return Snippet(language="Command", text=f"printf '%s\\n' {given} | {named}{options}\n", remark=remark)
    return Snippet(language="Command", text=f"{named}{options} {shlex.quote(bodies[0])}\n", remark=remark)
