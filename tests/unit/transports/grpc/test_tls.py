"""TLS by files at both ends: who is believed, and what the others are told."""

from __future__ import annotations

import datetime as dt
import ipaddress
from pathlib import Path

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from meristem.errors import CallError, Code, ConfigurationError
from meristem.transports.grpc.grpc_client import GrpcClient
from meristem.transports.grpc.grpc_port import GrpcPort

DAY = dt.timedelta(days=1)


class Authority:
    """Signs certificates, and writes each with its key into a folder."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.key = ec.generate_private_key(ec.SECP256R1())
        signed = self._signed(self.name, self.key.public_key(), DAY, ca=True)
        self.file = self.write(f"{name}.pem", signed.public_bytes(serialization.Encoding.PEM))

    def issue(self, name: str, *, lasts: dt.timedelta = DAY) -> tuple[str, str]:
        """The files of a certificate for 127.0.0.1 and of its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        signed = self._signed(subject, key.public_key(), lasts, ca=False)
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        certificate = self.write(f"{name}.pem", signed.public_bytes(serialization.Encoding.PEM))
        return certificate, self.write(f"{name}.key", private)

    def _signed(self, subject, public_key, lasts: dt.timedelta, *, ca: bool) -> x509.Certificate:
        now = dt.datetime.now(dt.UTC)
        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        builder = x509.CertificateBuilder(
            issuer_name=self.name,
            subject_name=subject,
            public_key=public_key,
            serial_number=x509.random_serial_number(),
            not_valid_before=now - 2 * DAY,
            not_valid_after=now + lasts,
        )
        builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        return builder.add_extension(names, critical=False).sign(self.key, hashes.SHA256())

    def read(self, name: str) -> bytes:
        return (self.folder / name).read_bytes()

    def write(self, name: str, content: bytes) -> str:
        path = self.folder / name
        path.write_bytes(content)
        return str(path)


@pytest.fixture
def ours(tmp_path):
    return Authority(tmp_path, "ours")


@pytest.fixture
def theirs(tmp_path):
    return Authority(tmp_path, "theirs")


async def listening(shop, authority, **options):
    certificate, key = authority.issue("server")
    port = GrpcPort(listen=1, certificate=certificate, key=key, **options)
    return (await shop.server("127.0.0.1:0", port=port)).addresses[0]


def query(**files):
    return "&".join(f"{name}={path}" for name, path in files.items())


async def asked(shop, address, **files):
    client = shop.client(f"grpcs://{address}?{query(**files)}")
    return await shop.within(client.call(shop.call("stays", hotel_id=1)))


async def refused(shop, address, **files):
    with pytest.raises(CallError) as caught:
        await asked(shop, address, **files)
    assert caught.value.code is Code.UNAVAILABLE
    return caught.value


async def test_a_server_is_believed_by_the_authority_that_a_client_names(shop, ours, theirs):
    address = await listening(shop, ours)

    assert (await asked(shop, address, ca=ours.file))[0].city == "Rome"
    assert not (await refused(shop, address, ca=theirs.file)).may_have_happened


async def test_a_client_shows_a_certificate_where_one_is_wanted(shop, ours, theirs):
    address = await listening(shop, ours, client_ca=ours.file)
    certificate, key = ours.issue("client")
    strange, strange_key = theirs.issue("stranger")
    old, old_key = ours.issue("old", lasts=-DAY)

    assert await asked(shop, address, ca=ours.file, certificate=certificate, key=key)
    for files in ({}, {"certificate": strange, "key": strange_key}, {"certificate": old, "key": old_key}):
        error = await refused(shop, address, ca=ours.file, **files)
        assert "certificate" in error.message
    assert len(shop.handlers.contexts) == 1


async def test_a_certificate_that_was_renewed_counts_from_the_next_connection_on(shop, ours, theirs):
    address = await listening(shop, ours)
    await asked(shop, address, ca=ours.file)

    theirs.issue("server")  # the same files

    assert await asked(shop, address, ca=theirs.file)
    await refused(shop, address, ca=ours.file)


async def test_a_certificate_that_is_renewed_before_its_key_leaves_what_was_there(shop, ours, theirs):
    address = await listening(shop, ours)
    before = ours.read("server.key")
    theirs.issue("server")
    after = ours.read("server.key")
    ours.write("server.key", before)

    assert await asked(shop, address, ca=ours.file)
    ours.write("server.key", after)
    assert await asked(shop, address, ca=theirs.file)


async def test_a_client_without_tls_is_told_what_to_write(shop, ours):
    address = await listening(shop, ours)

    with pytest.raises(CallError) as caught:
        await shop.within(shop.client(f"grpc://{address}").call(shop.call("stays", hotel_id=1)))

    assert caught.value.code is Code.UNAVAILABLE
    assert "grpcs://" in caught.value.message


async def test_a_stock_client_with_its_certificate_is_answered(shop, ours):
    address = await listening(shop, ours, client_ca=ours.file)
    files = [Path(each).read_bytes() for each in (ours.file, *reversed(ours.issue("client")))]  # noqa: ASYNC240
    async with grpc.aio.secure_channel(address, grpc.ssl_channel_credentials(*files)) as channel:
        reply = await shop.within(shop.method(channel, "stays")(shop.request("stays", hotel_id=1)))

    assert reply.result[0].city == "Rome"


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"ca": "/nowhere.pem"}, r"ca = '/nowhere\.pem': No such file"),
        ({"ca": "here"}, "is no PEM file with a line `-----BEGIN CERTIFICATE"),
        ({"key": "here"}, "certificate= and key= of a grpcs address: give both or neither"),
    ],
)
async def test_files_that_cannot_be_meant_are_named(shop, tmp_path, files, said):
    (tmp_path / "here").write_text("nothing")
    found = {name: str(tmp_path / "here") if path == "here" else path for name, path in files.items()}
    client = shop.client(f"grpcs://127.0.0.1:1?{query(**found)}")

    with pytest.raises(ConfigurationError, match=said):
        await client.call(shop.call("stays", hotel_id=1))
    with pytest.raises(ConfigurationError, match="by files, not a context of TLS"):
        GrpcClient("grpcs://127.0.0.1:1", tls=object())


def encrypted(ours, tmp_path):
    """A key that has a password."""
    key = ec.generate_private_key(ec.SECP256R1())
    locked = serialization.BestAvailableEncryption(b"tiger")
    content = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked)
    (tmp_path / "locked.key").write_bytes(content)
    return ours.issue("server")[0], str(tmp_path / "locked.key")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda ours, _: (ours.issue("server")[0], ours.issue("another")[1]), "do not belong together; give the key"),
        (lambda ours, _: ours.issue("server")[::-1], r"key = .*BEGIN PRIVATE KEY-----`, only CERTIFICATE$"),
        (encrypted, r"locked.key' is encrypted, .*openssl pkey"),
    ],
    ids=["another's key", "swapped", "encrypted"],
)
async def test_a_pair_that_cannot_be_used_is_told_by_its_files_at_both_ends(shop, ours, tmp_path, wrong, said):
    certificate, key = wrong(ours, tmp_path)
    files = query(ca=ours.file, certificate=certificate, key=key)

    with pytest.raises(ConfigurationError, match=said):
        await shop.server("127.0.0.1:0", port=GrpcPort(listen=1, certificate=certificate, key=key))
    with pytest.raises(ConfigurationError, match=said):
        await shop.client(f"grpcs://127.0.0.1:1?{files}").call(shop.call("stays", hotel_id=1))
