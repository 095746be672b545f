"""The bank's HTTP service, a FastAPI application: ``uvicorn thirdparties.bank.app:app``.

Environment: ``BANK_DATABASE`` (default ``.meristem/bank.db``) and ``BANK_SLOW_SECONDS`` (default 10), read at start.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import jinja2
from fastapi import APIRouter, Depends, FastAPI, Header, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, JSONResponse

from thirdparties.nearby import nearby

from .cards import TEST_CARDS, InvalidCardError, examine
from .ledger import Answer, Ledger, card_key
from .models import CardDetails, Charge, Health, NewCharge, NewRefund, ProblemBody, Refund, StatementLine, Token
from .money import decimals_of
from .problems import Problem, answer_with_problems, problem_response

IdempotencyKey = Annotated[str, Header(alias="Idempotency-Key", min_length=1, max_length=255)]

router = APIRouter()


def _problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {status: {"model": ProblemBody} for status in statuses}


@dataclass(frozen=True, slots=True)
class Branch:
    """What one running bank holds."""

    ledger: Ledger
    card_key: bytes
    slow_seconds: float


@asynccontextmanager
async def _open_for_business(app: FastAPI) -> AsyncIterator[None]:
    path = Path(os.environ.get("BANK_DATABASE", ".meristem/bank.db"))
    slow_seconds = float(os.environ.get("BANK_SLOW_SECONDS", "10"))
    ledger = await run_in_threadpool(Ledger, path)
    app.state.branch = Branch(ledger, await run_in_threadpool(card_key, path), slow_seconds)
    try:
        yield
    finally:
        await run_in_threadpool(ledger.close)


def _branch(request: Request) -> Branch:
    branch: Branch = request.app.state.branch
    return branch


At = Annotated[Branch, Depends(_branch)]


@router.post("/tokens", status_code=201, response_model=Token, responses=_problems(422))
def make_token(card: CardDetails, branch: At) -> Token:
    """Exchange a card for a token. The number and the security code are checked and forgotten."""
    today = datetime.now(UTC).date()
    try:
        checked = examine(card.number, card.expiry, card.cvc, key=branch.card_key, today=today)
    except InvalidCardError as error:
        raise Problem(422, str(error), field=error.field) from error
    return branch.ledger.keep(checked)


@router.post("/charges", status_code=201, response_model=Charge, responses=_problems(400, 402, 409, 422, 503))
async def charge(new: NewCharge, key: IdempotencyKey, branch: At) -> JSONResponse:
    """Charge a card. The same key and body get the first answer again; the same key with another body is a 409."""
    answer = await run_in_threadpool(branch.ledger.charge, key, new)
    if answer.is_late:
        await asyncio.sleep(branch.slow_seconds)
    return _respond(answer)


@router.post(
    "/charges/{charge_id}/refunds", status_code=201, response_model=Refund, responses=_problems(400, 404, 409, 422)
)
def refund(charge_id: str, key: IdempotencyKey, branch: At, new: NewRefund | None = None) -> JSONResponse:
    """Give money back: an amount, or all that is left. All refunds together never exceed the charge."""
    return _respond(branch.ledger.refund(key, charge_id, new.amount if new else None))


@router.get("/charges/{charge_id}", responses=_problems(404))
def one_charge(charge_id: str, branch: At) -> StatementLine:
    line = branch.ledger.find(charge_id)
    if line is None:
        raise Problem(404, f"There is no charge {charge_id}.")
    return line


@router.get("/charges", responses=_problems(422))
def charges(reference: Annotated[str, Query(min_length=1, max_length=200)], branch: At) -> list[StatementLine]:
    """The charges that carry a reference."""
    return branch.ledger.with_reference(reference)


@router.get("/statement")
def statement(branch: At) -> list[StatementLine]:
    """The bank's own record: every charge with its refunds and what remains, oldest first."""
    return branch.ledger.statement()


@router.get("/health")
def health() -> Health:
    return Health()


@router.get("/", response_class=HTMLResponse, include_in_schema=False)
def statement_page(request: Request, branch: At) -> str:
    lines = branch.ledger.statement()
    root = request.scope.get("root_path", "")
    template = _templates().get_template("statement.html")
    return template.render(lines=lines[::-1], totals=_totals(lines), cards=TEST_CARDS, root=root)


def _totals(lines: list[StatementLine]) -> list[tuple[str, Decimal, Decimal, Decimal]]:
    """Currency, charged, refunded and net, one row a currency."""
    rows = []
    for currency in sorted({line.currency for line in lines}):
        of_currency = [line for line in lines if line.currency == currency]
        zero = Decimal(0).scaleb(-decimals_of(currency))
        charged = sum((Decimal(line.amount) for line in of_currency), zero)
        refunded = sum((Decimal(line.refunded) for line in of_currency), zero)
        rows.append((currency, charged, refunded, charged - refunded))
    return rows


def _templates() -> jinja2.Environment:
    folder = jinja2.FileSystemLoader(Path(__file__).parent / "templates")
    environment = jinja2.Environment(loader=folder, autoescape=True)
    environment.filters["grouped"] = lambda amount: f"{Decimal(amount):,f}"
    return environment


def _respond(answer: Answer) -> JSONResponse:
    headers = {"Idempotent-Replayed": "true"} if answer.is_repeat else {}
    if answer.status == 503:
        headers["Retry-After"] = "1"
    if answer.status >= 400:
        return problem_response(answer.status, answer.body, headers)
    return JSONResponse(answer.body, answer.status, headers)


def _describe_test_cards() -> str:
    rows = "\n".join(f"| `{number}` | {meaning} |" for number, (_, meaning) in TEST_CARDS.items())
    return f"Test cards (any expiry to come, any security code):\n\n| number | a charge |\n|---|---|\n{rows}"


def create_app() -> FastAPI:
    app = FastAPI(
        title="Bank",
        version="1",
        summary="Charges cards once per Idempotency-Key.",
        description=_describe_test_cards(),
        lifespan=_open_for_business,
    )
    answer_with_problems(app)
    app.include_router(router)
    return app


app = nearby(create_app())
