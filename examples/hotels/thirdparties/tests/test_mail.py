"""Mail is kept before it is acknowledged, once per recipient, and shown without trusting it."""

from __future__ import annotations

import asyncio
import re
import smtplib
import threading
from collections.abc import Callable
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import httpx
import pytest
from thirdparties.mail.app import create_app
from thirdparties.mail.maildir import Maildir
from thirdparties.mail.smtp import smtp_server

PDF = b"%PDF-1.4 not really"


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MAIL_SMTP_PORT", "0")
    monkeypatch.setenv("MAIL_DIRECTORY", str(tmp_path / "mail"))
    return tmp_path / "mail"


@pytest.fixture
def mail(directory: Path, serve: Callable[..., httpx.Client]) -> httpx.Client:
    return serve(create_app())


def letter(to: str = "ada@example.com", **changes: str) -> EmailMessage:
    message = EmailMessage()
    headers = {"From": "Hotels <hotels@example.com>", "To": to, "Subject": "Your stay in Łódź", "Message-ID": "<1@x>"}
    for name, value in (headers | {name.replace("_", "-"): value for name, value in changes.items()}).items():
        message[name] = value
    message.set_content("Dear Ada,\nsee you soon.\n")
    return message


def send(mail: httpx.Client, message: EmailMessage, *recipients: str) -> None:
    smtp = mail.get("health").json()["smtp"]
    with smtplib.SMTP(smtp["host"], smtp["port"]) as client:
        client.send_message(message, to_addrs=recipients or None)


def test_a_message_is_listed_and_read_by_recipient(mail: httpx.Client) -> None:
    send(mail, letter())
    send(mail, letter("grace@example.com", Message_ID="<2@x>"))

    (found,) = mail.get("api/messages", params={"to": "ADA@"}).json()
    message = mail.get(f"api/messages/{found['id']}").json()

    assert (found["to"], found["subject"]) == ("ada@example.com", "Your stay in Łódź")
    assert message["text"] == "Dear Ada,\nsee you soon.\n"
    assert {"name": "From", "value": "Hotels <hotels@example.com>"} in message["headers"]
    assert [entry["to"] for entry in mail.get("api/messages").json()] == ["grace@example.com", "ada@example.com"]


def test_letters_are_readable_by_the_mail_server_alone(mail: httpx.Client, directory: Path) -> None:
    send(mail, letter())

    (kept,) = (directory / "new").iterdir()
    assert kept.stat().st_mode & 0o777 == 0o600
    assert {each.stat().st_mode & 0o777 for each in (directory, directory / "new", directory / "tmp")} == {0o700}


def test_a_second_delivery_to_the_same_recipient_is_accepted_and_dropped(mail: httpx.Client) -> None:
    send(mail, letter())
    send(mail, letter())
    send(mail, letter(), "Ada@Example.com", "grace@example.com")

    assert sorted(entry["to"] for entry in mail.get("api/messages").json()) == ["ada@example.com", "grace@example.com"]


def test_a_message_that_a_mail_reader_moved_or_removed(mail: httpx.Client, directory: Path) -> None:
    send(mail, letter())
    (moved,) = (directory / "new").iterdir()
    moved.rename(directory / "cur" / f"{moved.name}:2,S")
    send(mail, letter("grace@example.com"))
    (removed,) = (directory / "new").iterdir()
    removed.unlink()

    assert mail.get(f"api/messages/{moved.name}").json()["to"] == "ada@example.com"
    assert mail.get(f"api/messages/{removed.name}").status_code == 404
    assert [each["to"] for each in mail.get("api/messages").json()] == ["ada@example.com"]


def test_messages_without_an_id_are_all_kept(mail: httpx.Client) -> None:
    message = letter()
    del message["Message-ID"]

    send(mail, message)
    send(mail, message)

    assert len(mail.get("api/messages").json()) == 2


def test_mail_survives_a_restart_and_so_does_the_memory_of_duplicates(
    directory: Path, serve: Callable[..., httpx.Client]
) -> None:
    send(serve(create_app()), letter())

    again = serve(create_app())
    send(again, letter())

    assert len(again.get("api/messages").json()) == 1
    assert len(list((directory / "new").iterdir())) == 1
    assert list((directory / "tmp").iterdir()) == []


def test_one_of_many_simultaneous_deliveries_wins(tmp_path: Path) -> None:
    # Two objects on one directory stand for two processes.
    maildirs, won = [Maildir(tmp_path), Maildir(tmp_path)], []
    start = threading.Barrier(8)

    def deliver(number: int) -> None:
        start.wait()
        won.append(maildirs[number % 2].deliver(letter().as_bytes(), "a@example.com", "b@example.com"))

    threads = [threading.Thread(target=deliver, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert won.count(True) == 1


def test_an_attachment_comes_back_as_it_was_sent(mail: httpx.Client) -> None:
    message = letter()
    message.add_attachment(PDF, maintype="application", subtype="pdf", filename='Rechnung "Zürich".pdf')
    send(mail, message)
    (found,) = mail.get("api/messages").json()

    (attachment,) = mail.get(f"api/messages/{found['id']}").json()["attachments"]
    download = mail.get(attachment["url"])

    assert (attachment["filename"], found["attachment_count"]) == ('Rechnung "Zürich".pdf', 1)
    assert download.content == PDF
    assert download.headers["content-type"] == "application/pdf"
    assert download.headers["content-disposition"].startswith("attachment; filename*=UTF-8''Rechnung%20%22Z%C3%BCrich")
    assert mail.get(f"api/messages/{found['id']}/attachments/2").status_code == 404


def test_html_mail_is_shown_in_a_sandbox_and_names_are_escaped(mail: httpx.Client) -> None:
    message = letter(Subject="<script>alert(1)</script>")
    message.add_alternative("<p>Hello <script>alert(2)</script></p>", subtype="html")
    send(mail, message)
    (found,) = mail.get("api/messages").json()

    page = mail.get(f"messages/{found['id']}")
    body = mail.get(f"messages/{found['id']}/html")

    assert "<script>" not in mail.get("/").text + page.text
    assert f'<iframe sandbox src="/messages/{found["id"]}/html"' in page.text
    assert body.headers["content-security-policy"].startswith("sandbox; default-src 'none'")
    assert "script" not in page.headers["content-security-policy"].replace("script-src", "")


def below(prefix: str, app: Any) -> Any:
    """Mount ``app`` as a host does: the path whole, the prefix in ``root_path``, the life cycle passed on."""

    async def mounted(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            assert scope["path"].startswith(f"{prefix}/")
            scope = scope | {"root_path": prefix}
        await app(scope, receive, send)

    return mounted


def test_every_link_works_below_a_prefix(directory: Path, serve: Callable[..., httpx.Client]) -> None:
    mail = serve(below("/mailbox", create_app()))
    mail.base_url = mail.base_url.join("/mailbox/")
    message = letter()
    message.add_attachment(PDF, maintype="application", subtype="pdf", filename="a.pdf")
    message.get_body(("plain",)).add_alternative("<p>Hello</p>", subtype="html")  # type: ignore[union-attr]
    send(mail, message)

    seen: set[str] = set()
    waiting = ["/mailbox/"]
    while waiting:
        seen.add(link := waiting.pop())
        answer = mail.get(httpx.URL(str(mail.base_url)).join(link))
        assert answer.status_code == 200, link
        if answer.headers["content-type"].startswith("text/html"):
            waiting += set(re.findall(r'(?:href|src|action)="(/[^"]*)"', answer.text)) - seen - set(waiting)

    (found,) = mail.get("api/messages").json()
    parts = {link.removeprefix(f"/mailbox/messages/{found['id']}") for link in seen}
    assert parts == {"/mailbox/", "", "/html", "/raw", "/attachments/1"}
    assert mail.get(f"api/messages/{found['id']}").json()["attachments"][0]["url"].startswith("/mailbox/api/")


@pytest.mark.parametrize("path", ["messages/none", "api/messages/none", "messages/..%2f..%2fetc%2fpasswd", "nowhere"])
def test_what_is_not_there_is_404(mail: httpx.Client, path: str) -> None:
    assert mail.get(path).status_code == 404


def test_a_disk_that_refuses_asks_the_sender_to_try_again(mail: httpx.Client, directory: Path) -> None:
    for folder in ("tmp", "new"):
        (directory / folder).rmdir()

    with pytest.raises(smtplib.SMTPDataError) as refused:
        send(mail, letter())

    assert refused.value.smtp_code == 451


def test_mail_of_any_shape_is_shown(mail: httpx.Client) -> None:
    smtp = mail.get("health").json()["smtp"]
    strange = [
        b"",
        b"no headers at all",
        b"Content-Type: text/plain; charset=klingon\r\n\r\n\xff\xfe",
        b"Date: soon\r\n\r\n",
    ]
    with smtplib.SMTP(smtp["host"], smtp["port"]) as client:
        for raw in strange:
            client.sendmail("a@example.com", ["b@example.com"], raw)

    found = mail.get("api/messages").json()

    assert len(found) == len(strange)
    for entry in found:
        assert mail.get(f"messages/{entry['id']}").status_code == 200
        assert mail.get(f"messages/{entry['id']}/raw").status_code == 200


async def test_stopping_ends_open_sessions_and_frees_the_port(directory: Path) -> None:
    app = create_app()
    async with app.router.lifespan_context(app):
        host, port = app.state.smtp
        reader, writer = await asyncio.open_connection(host, port)
        greeting = await reader.readline()

    assert greeting.startswith(b"220 ")
    assert await reader.read() == b""
    writer.close()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(host, port)


def test_the_search_page_says_when_nothing_was_found(mail: httpx.Client) -> None:
    assert "No mail yet" in mail.get("/").text
    assert "No mail to “nobody”" in mail.get("/", params={"to": "nobody"}).text


async def test_who_finds_the_port_taken_is_told_what_to_set(directory: Path) -> None:
    maildir = Maildir(directory)
    async with smtp_server(maildir, "127.0.0.1", 0) as (host, port):
        with pytest.raises(OSError, match="Set MAIL_SMTP_PORT to a free port"):
            async with smtp_server(maildir, host, port):
                pass
