"""The mail server as an ASGI application: ``uvicorn thirdparties.mail.app:app``. Its life cycle runs the SMTP server.

Environment, read at start: ``MAIL_SMTP_HOST`` (127.0.0.1), ``MAIL_SMTP_PORT`` (8025, unless ``create_app`` is told
otherwise; 0 takes a free port, which ``/health`` tells) and ``MAIL_DIRECTORY`` (``.meristem/mail``). It works under any
prefix (``root_path``).
"""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from thirdparties.nearby import nearby

from .maildir import Maildir
from .messages import Attachment, Message, Summary, sent_at
from .smtp import smtp_server

_SAFE = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}
_PAGE = _SAFE | {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-src 'self'; "
    "form-action 'self'"
}
# Mail comes from strangers: no script, no form, no cookie of ours, nothing loaded from anywhere.
_MAIL = _SAFE | {"Content-Security-Policy": "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:"}


BESIDE = 8026  # the port of a second mailbox, for a system that runs beside one that has the first


def create_app(smtp_port: int = 8025) -> Starlette:
    made = Starlette(
        routes=[
            Route("/", _mailbox, name="mailbox"),
            Route("/messages/{id}", _message_page, name="message"),
            Route("/messages/{id}/html", _message_html, name="html"),
            Route("/messages/{id}/raw", _message_raw, name="raw"),
            Route("/messages/{id}/attachments/{number:int}", _attachment, name="attachment"),
            Route("/api/messages", _api_messages),
            Route("/api/messages/{id}", _api_message, name="api_message"),
            Route("/api/messages/{id}/attachments/{number:int}", _attachment, name="api_attachment"),
            Route("/health", _health),
        ],
        exception_handlers={HTTPException: _on_http_error},
        lifespan=_receive_mail,
    )
    made.state.smtp_port = smtp_port
    return made


@asynccontextmanager
async def _receive_mail(app: Starlette) -> AsyncIterator[None]:
    host, port = (
        os.environ.get("MAIL_SMTP_HOST", "127.0.0.1"),
        int(os.environ.get("MAIL_SMTP_PORT", app.state.smtp_port)),
    )
    directory = Path(os.environ.get("MAIL_DIRECTORY", ".meristem/mail"))
    logging.getLogger("mail.log").setLevel(logging.WARNING)  # aiosmtpd tells every line of every session
    app.state.maildir = await run_in_threadpool(Maildir, directory)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True, trim_blocks=True
    )
    environment.filters["bytes"] = _readable_size
    app.state.templates = environment
    async with smtp_server(app.state.maildir, host, port) as app.state.smtp:
        yield


async def _mailbox(request: Request) -> Response:
    wanted = request.query_params.get("to", "")
    messages = await run_in_threadpool(_maildir(request).summaries, wanted)
    return _render(request, "mailbox.html", messages=messages, wanted=wanted, smtp=request.app.state.smtp)


async def _message_page(request: Request) -> Response:
    message = await _message(request)
    return _render(request, "message.html", message=message, sent=sent_at(message))


async def _message_html(request: Request) -> Response:
    message = await _message(request)
    if message.html is None:
        raise HTTPException(404, "This message has no HTML part.")
    return HTMLResponse(message.html, headers=_MAIL)


async def _message_raw(request: Request) -> Response:
    raw = await run_in_threadpool(_maildir(request).raw, request.path_params["id"])
    if raw is None:
        raise HTTPException(404, "There is no such message.")
    return Response(raw, media_type="text/plain; charset=utf-8", headers=_MAIL)


async def _attachment(request: Request) -> Response:
    attachments = (await _message(request)).attachments
    number = request.path_params["number"]
    if not 1 <= number <= len(attachments):
        raise HTTPException(404, "There is no such attachment.")
    attachment = attachments[number - 1]
    # Always a download: shown in place, an HTML or SVG file would run as a page of this server.
    disposition = f"attachment; filename*=UTF-8''{quote(attachment.filename, safe='')}"
    headers = _MAIL | {"Content-Disposition": disposition, "Content-Type": attachment.content_type}
    return Response(attachment.content, headers=headers)


async def _api_messages(request: Request) -> Response:
    summaries = await run_in_threadpool(_maildir(request).summaries, request.query_params.get("to", ""))
    return JSONResponse([_summary_json(summary) for summary in summaries], headers=_SAFE)


async def _api_message(request: Request) -> Response:
    message = await _message(request)
    body = _summary_json(message.summary) | {
        "headers": [{"name": name, "value": value} for name, value in message.headers],
        "text": message.text,
        "html": message.html,
        "attachments": [_attachment_json(request, *numbered) for numbered in enumerate(message.attachments, start=1)],
    }
    return JSONResponse(body, headers=_SAFE)


async def _health(request: Request) -> Response:
    host, port = request.app.state.smtp
    return JSONResponse({"status": "ok", "smtp": {"host": host, "port": port}})


async def _on_http_error(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    detail = error.detail if isinstance(error, HTTPException) else ""
    if "/api/" in request.url.path:
        body = {"title": detail, "status": status, "detail": detail}
        return JSONResponse(body, status, media_type="application/problem+json")
    return _render(request, "missing.html", detail=detail, status_code=status)


async def _message(request: Request) -> Message:
    message = await run_in_threadpool(_maildir(request).message, request.path_params["id"])
    if message is None:
        raise HTTPException(404, "There is no such message.")
    return message


def _maildir(request: Request) -> Maildir:
    maildir: Maildir = request.app.state.maildir
    return maildir


def _path_of(request: Request) -> Callable[..., str]:
    """Where a page of ours is, below whatever prefix we are mounted at."""
    return lambda name, **parts: request.url_for(name, **parts).path


def _render(request: Request, template: str, status_code: int = 200, **values: Any) -> Response:
    page = request.app.state.templates.get_template(template).render(path=_path_of(request), **values)
    return HTMLResponse(page, status_code, headers=_PAGE)


def _summary_json(summary: Summary) -> dict[str, Any]:
    return {
        "id": summary.id,
        "to": summary.recipient,
        "from": summary.sender,
        "subject": summary.subject,
        "received": summary.received.isoformat(),
        "size": summary.size,
        "attachment_count": summary.attachments,
    }


def _attachment_json(request: Request, number: int, attachment: Attachment) -> dict[str, Any]:
    return {
        "filename": attachment.filename,
        "content_type": attachment.content_type,
        "size": len(attachment.content),
        "url": _path_of(request)("api_attachment", id=request.path_params["id"], number=number),
    }


def _readable_size(size: int) -> str:
    return f"{size} B" if size < 1000 else f"{size / 1000:.0f} kB" if size < 1_000_000 else f"{size / 1_000_000:.1f} MB"


app = nearby(create_app())
beside = nearby(create_app(BESIDE))
