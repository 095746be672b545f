"""What is written is what any reader of mail reads."""

from __future__ import annotations

from email import message_from_bytes, policy
from email.encoders import encode_base64
from email.header import decode_header, make_header
from email.message import EmailMessage, Message
from email.utils import parseaddr

import pytest
from hotels.notifications.composing import ENCODED_LINE, LINE, compose, line, pdf, person

EVIL = ["a\r\nBcc: all@guest.example", "a\nBcc: all@guest.example", "a\u2028b", "a\x00"]
SLY = "=?utf-8?q?a=0D=0ABcc=3A_all=40guest=2Eexample?="


def letter(**headers: str) -> bytes:
    return compose(headers, "text", "<p>text</p>")


def read(content: bytes) -> EmailMessage:
    parsed = message_from_bytes(content, policy=policy.default)
    assert isinstance(parsed, EmailMessage)
    assert not parsed.defects
    return parsed


def head(content: bytes) -> list[bytes]:
    """The lines of the headers."""
    return content.partition(b"\r\n\r\n")[0].split(b"\r\n")


def named(content: bytes) -> tuple[str, str]:
    """The name and the address of `To`, read by the older of the library's two parsers.

    The newer one leaves a space between encoded words that belong together.
    """
    raw: Message[str, str] = message_from_bytes(content)
    ((_, value),) = [(name, value) for name, value in raw.raw_items() if name == "To"]
    words, _, address = value.replace("\r\n", "").rpartition("<")
    name = parseaddr(f"{words} <a@b>")[0]
    return str(make_header(decode_header(name))), address.strip(">").encode("ascii", "surrogateescape").decode()


@pytest.mark.parametrize(
    "subject",
    [
        "Receipt",
        "Your room in Lisbon is booked: Casa do Rio, Friday 7 June 2030, and some more that needs another line, or two",
        "Ihr Zimmer in Nürnberg: Pension Grüner Baum, Königstraße 77, ein langer Name, der mehr als eine Zeile braucht",
        "Київ Αθήνα 東京",
        f"short {'w' * 90} short",
        SLY,
    ],
)
def test_a_subject_reads_back_and_keeps_to_the_length_of_a_line(subject: str) -> None:
    content = letter(Subject=line("Subject", subject))

    assert read(content)["Subject"] == subject
    for each in head(content):
        assert len(each) <= LINE or b" " not in each.removeprefix(b"Subject:").strip(), each


@pytest.mark.parametrize("value", EVIL)
def test_no_value_begins_another_header(value: str) -> None:
    with pytest.raises(ValueError, match="one line"):
        line("Subject", value)
    with pytest.raises(ValueError, match="one line"):
        person("To", value, "ada@guest.example")


def test_a_name_that_looks_encoded_is_read_as_it_was_written() -> None:
    content = letter(To=person("To", SLY, "ada@guest.example"))

    assert named(content) == (SLY, "ada@guest.example")
    assert read(content)["Bcc"] is None


@pytest.mark.parametrize(
    "name",
    [
        "Ada",
        "Zoë Łuczak",
        'Ada "the first", Countess; of <Lovelace> (née Byron)',
        "Ωμέγα " * 20,
        "O\\'Neil",
        "x, y " * 9,
    ],
)
@pytest.mark.parametrize("address", ["ada@guest.example", "ada@xn--gste-loa.example"])
def test_a_person_reads_back(name: str, address: str) -> None:
    content = letter(To=person("To", name.strip(), address))

    assert named(content) == (name.strip(), address)
    assert all(len(each) <= LINE for each in head(content))
    assert read(content).get_content_type() == "multipart/alternative"


def test_a_person_without_a_name_is_an_address() -> None:
    assert read(letter(To=person("To", "", "ada@guest.example")))["To"] == "ada@guest.example"


@pytest.mark.parametrize(
    "address",
    ["nobody", "a@b\r\nBcc: c@d", "a@b\n", "a@b, c@d", "a@b> <c@d", "zoë@guest.example", "ada@gäste.example"],
)
@pytest.mark.parametrize("name", ["Ada", "Zoë", ""])
def test_what_is_no_address_is_refused(name: str, address: str) -> None:
    with pytest.raises(ValueError, match="address"):
        person("To", name, address)


@pytest.mark.parametrize(
    "text", ["plain\n", "Zoë\n.\n..\nFrom here\ntrailing \n", "a=b\r\nc\rd\n", "w" * 3000 + "\n", ""]
)
def test_texts_and_files_read_back(text: str) -> None:
    receipt = bytes(range(256)) * 40
    content = compose({"Subject": "x"}, text, f"<p>{text}</p>", pdf(receipt, "a.pdf"))
    parsed = read(content)

    plain, html = parsed.get_body(("plain",)), parsed.get_body(("html",))
    assert plain is not None
    assert html is not None
    assert plain.get_content().split() == text.split()
    assert html.get_content().split() == f"<p>{text}</p>".split()
    (attached,) = parsed.iter_attachments()
    assert (attached.get_filename(), attached.get_content_type()) == ("a.pdf", "application/pdf")
    assert attached.get_content() == receipt
    assert content.isascii()
    assert all(len(each) <= LINE for each in content.split(b"\r\n"))
    assert b"\n" not in content.replace(b"\r\n", b"")
    for part in parsed.walk():
        if not part.is_multipart():
            assert all(len(each) <= ENCODED_LINE for each in part.get_payload().split("\r\n"))


def test_the_library_writes_the_same() -> None:
    headers = {
        "From": person("From", "Lamplight, Ltd", "desk@site.example"),
        "To": person("To", "Zoë", "zoe@guest.example"),
        "Subject": line("Subject", "A subject of more than one line " * 4),
        "X-Long": "w" * LINE,
    }
    texts = {"plain": "Zoë\n.\nFrom here\n", "html": "<p>Zoë</p>\n" * 50}
    receipt = bytes(range(256)) * 40

    whole = Message()
    for name, value in headers.items():
        whole[name] = value
    whole["MIME-Version"], whole["Content-Type"] = "1.0", 'multipart/mixed; boundary="letter"'
    both = Message()
    both["Content-Type"] = 'multipart/alternative; boundary="texts"'
    whole.attach(both)
    for kind, text in texts.items():
        both.attach(encoded({"Content-Type": f'text/{kind}; charset="utf-8"'}, text.encode()))
    named = {"Content-Disposition": 'attachment; filename="a.pdf"', "Content-Type": "application/pdf"}
    whole.attach(encoded(named, receipt))

    by_library = whole.as_bytes(policy=policy.compat32.clone(linesep="\r\n", max_line_length=LINE))
    assert compose(headers, texts["plain"], texts["html"], pdf(receipt, "a.pdf")) == by_library


def encoded(headers: dict[str, str], content: bytes) -> Message:
    """A part in base64, made by the library."""
    part = Message()
    for name, value in headers.items():
        part[name] = value
    part.set_payload(content)
    encode_base64(part)
    return part


def test_a_letter_without_a_file_has_two_texts_only() -> None:
    parsed = read(letter(Subject="x"))

    assert parsed.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in parsed.iter_parts()] == ["text/plain", "text/html"]
