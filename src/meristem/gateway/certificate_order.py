"""Orders certificates by ACME (RFC 8555) with certbot's library, which is imported once one is to be ordered."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import datetime, timedelta
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

try:
    import requests
    from acme import challenges, client, crypto_util, errors, messages
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from josepy.errors import Error as JoseError
    from josepy.jwa import ES256
    from josepy.jwk import JWK, JWKEC
    from requests.adapters import HTTPAdapter
except ModuleNotFoundError as error:
    from meristem.errors import ConfigurationError

    raise ConfigurationError("certificates by ACME need the library acme: pip install 'meristem[acme]'") from error

from meristem.gateway.certificate_folder import AcmeAccount
from meristem.gateway.order_failure import OrderFailureError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from meristem.gateway.certificate_folder import CertificateFolder

PATIENCE: Final = 20  # seconds for one answer of the authority
LONGEST: Final = 120.0  # seconds from the order to the certificate
NEEDED: Final = ("newNonce", "newAccount", "newOrder")  # of a directory (RFC 8555, 7.1.1)
MOST: Final = 1024 * 1024  # bytes of an answer of the authority: what comes without end must not fill this process
LIMITED: Final = "rateLimited"
NO_ACCOUNT: Final = "accountDoesNotExist"


class CertificateOrders:
    """Orders from the authority at `directory`, by the account in the folder, which is made where there is none.

    `ca` is a file of who signs the certificate of the authority's own address, where the machine does not know them.
    All of it blocks, and is for a thread; a certificate is waited for `longest` seconds.
    """

    def __init__(
        self, folder: CertificateFolder, directory: str, email: str, ca: str, *, longest: float = LONGEST
    ) -> None:
        self._folder = folder
        self._directory = directory
        self._email = email
        self._ca = ca
        self._longest = longest

    def order(self, hosts: Sequence[str]) -> bytes:
        """A new certificate for the hosts, its chain and its key, as PEM; raises OrderFailureError."""
        with _told(self._folder, self._directory):
            authority, key = self._authority()
            made = ec.generate_private_key(ec.SECP256R1()).private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            order = authority.new_order(crypto_util.make_csr(made, list(hosts)))
            deadline = datetime.now() + timedelta(seconds=self._longest)  # noqa: DTZ005 - as the library compares it
            try:
                for challenge in _open(order):
                    response, proof = challenge.response_and_validation(key)
                    self._folder.publish(challenge.chall.encode("token"), proof)
                    authority.answer_challenge(challenge, response)
                try:
                    issued = authority.poll_and_finalize(order, deadline)
                except errors.TimeoutError:
                    raise OrderFailureError(self._late(authority, order)) from None
            finally:
                self._folder.withdraw_all()
            return issued.fullchain_pem.encode() + made

    def suggested(self, certificate: bytes) -> float | None:
        """When the authority would like a certificate to be renewed (RFC 9773); None where it does not say."""
        with _told(self._folder, self._directory):
            authority, _ = self._authority(known=True)
            when, _ = authority.renewal_time(certificate)
            return None if when is None else when.timestamp()

    def _late(self, authority: client.ClientV2, order: messages.OrderResource) -> str:
        """What an authority has found until now that has not refused yet, but may look again (RFC 8555, 8.2)."""
        latest = [authority.poll(each)[0] for each in order.authorizations]
        return "; ".join(_unproved(latest)) or f"{self._directory} took longer than {self._longest:g} s"

    def _authority(self, *, known: bool = False) -> tuple[client.ClientV2, JWK]:
        """The authority, and the key of the account there; who is only asked about something need not know us."""
        account = self._folder.account()
        if account is None or account.directory != self._directory:
            made = JWKEC(key=ec.generate_private_key(ec.SECP256R1()))
            account = AcmeAccount(self._directory, made.json_dumps())
        key = JWK.json_loads(account.key)
        trusted: Any = self._ca or True
        net = client.ClientNetwork(key, alg=ES256, verify_ssl=trusted, user_agent="meristem", timeout=PATIENCE)
        net.session.mount("https://", SmallAnswers())
        found = client.ClientV2.get_directory(self._directory, net)
        told = found.to_partial_json()
        if missing := [each for each in NEEDED if each not in told]:
            raise OrderFailureError(f"{self._directory} is no directory of ACME: it tells no {missing[0]}")
        authority = client.ClientV2(found, net)
        if known:
            return authority, key
        if account.url:
            net.account = messages.RegistrationResource(uri=account.url, body=messages.Registration())
            return authority, key
        if authority.external_account_required():
            raise OrderFailureError(
                f"{self._directory} issues for accounts that were made elsewhere (external account binding), which is "
                "not supported: use another authority"
            )
        # Before the authority is told: else an account is made there whose key nobody has.
        self._folder.keep_account(account)
        self._folder.keep_account(AcmeAccount(self._directory, account.key, self._register(authority, net)))
        return authority, key

    def _register(self, authority: client.ClientV2, net: client.ClientNetwork) -> str:
        asked = messages.NewRegistration.from_data(email=self._email or None, terms_of_service_agreed=True)
        try:
            url: str = authority.new_account(asked).uri
        except errors.ConflictError as known:  # made before, and not noted
            url = known.location
            net.account = messages.RegistrationResource(uri=url, body=messages.Registration())
        return url


class SmallAnswers(HTTPAdapter):
    """Takes answers of `MOST` bytes, as they are: what is compressed may be small on its way alone."""

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        """The answer, read to its end; raises requests.ConnectionError for a longer one."""
        request.headers["accept-encoding"] = "identity"
        answer = super().send(request, *args, **options)
        body = answer.raw.read(MOST + 1, decode_content=False)
        if len(body) > MOST:
            answer.close()
            raise requests.ConnectionError(f"it answers more than {MOST} bytes")
        answer.raw = BytesIO(body)
        return answer


def _open(order: messages.OrderResource) -> Iterator[messages.ChallengeBody]:
    """The challenges that are left, those over HTTP; what was proved lately need not be proved again."""
    for authorization in order.authorizations:
        if authorization.body.status == messages.STATUS_VALID:
            continue
        offered = authorization.body.challenges
        found = [each for each in offered if isinstance(each.chall, challenges.HTTP01)]
        if not found:
            host, types = authorization.body.identifier.value, ", ".join(each.chall.typ for each in offered)
            raise OrderFailureError(f"the authority wants {host} to be proved by {types}, and not by http-01")
        yield found[0]


@contextmanager
def _told(folder: CertificateFolder, directory: str) -> Iterator[None]:
    """Says in one line what an authority has refused, and how much it is to be spared then."""
    try:
        yield
    except (errors.Error, JoseError, OSError, ValueError) as raised:  # the errors of requests are of the system's
        error = raised.__cause__ if isinstance(raised, errors.ARIError) and raised.__cause__ is not None else raised
        error = error.error if isinstance(error, errors.IssuanceError) else error
        code = error.code if isinstance(error, messages.Error) else None
        if code == NO_ACCOUNT:
            folder.forget_account()
        is_away = isinstance(error, OSError)
        raise OrderFailureError(_reason(error, directory), is_away=is_away, is_limited=code == LIMITED) from raised


def _reason(error: BaseException, directory: str) -> str:
    match error:
        case requests.exceptions.SSLError():
            text = (
                f"{directory} does not prove who it is ({_inner(error)}); who signs the certificate of a private "
                "authority is told by the setting `ca`"
            )
        case OSError():
            text = f"{directory} cannot be reached: {_inner(error)}"
        case errors.ValidationError():
            text = "; ".join(_unproved(error.failed_authzrs))
        case messages.Error(code=code) if code == NO_ACCOUNT:
            text = f"{directory} knows the account no more; another is made at the next attempt"
        case messages.Error():
            text = f"{directory}: {error.detail or error.title or error.typ}"
        case _:
            told = " ".join(str(error).split()) or type(error).__name__
            text = f"{directory} does not answer as ACME asks (RFC 8555): {told[:300]}"
    return text


def _unproved(authorizations: Iterable[messages.AuthorizationResource]) -> Iterator[str]:
    for each in authorizations:
        if why := [str(one.error.detail) for one in each.body.challenges if one.error is not None]:
            yield f"{each.body.identifier.value} was not proved: {', '.join(why)}"


def _inner(error: BaseException) -> str:
    """What is at the bottom of an error: those around it repeat it with addresses of objects."""
    at: Any = error
    while (below := at.__cause__ or at.__context__ or next(iter(at.args), None)) is not None:
        below = getattr(below, "reason", below)
        if not isinstance(below, BaseException):
            break
        at = below
    return str(getattr(at, "strerror", None) or getattr(at, "verify_message", None) or at)
