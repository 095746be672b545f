"""The bank, the partner and the mail server of the hotel example, in a process of their own at PORT."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.routing import Mount
from thirdparties.bank.app import create_app as create_bank
from thirdparties.mail.app import create_app as create_mail
from thirdparties.partner.app import create_app as create_partner

from benchmarks.peers.asgi import run
from meristem.hosting.wsgi.application import WSGIHost
from meristem.resilience.limits import Limits


def create_app() -> Starlette:
    """All three behind one port: `/bank`, `/partner`, `/mailbox`."""
    bank, mail = create_bank(), create_mail()

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with bank.router.lifespan_context(bank), mail.router.lifespan_context(mail):
            yield

    partner = WSGIHost("partner", create_partner(), Limits(app_threads=4))
    routes = [Mount("/bank", bank), Mount("/partner", partner), Mount("/mailbox", mail)]
    return Starlette(routes=routes, lifespan=lifespan)


if __name__ == "__main__":
    run(create_app())
