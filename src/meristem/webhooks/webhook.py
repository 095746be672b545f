"""A subscriber outside of the system: each event is posted to its URL, and what it answers decides what follows."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import re
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final

import msgspec

from meristem.errors import Undeliverable
from meristem.events.bus import SubscriberAway
from meristem.events.cloudevents import to_headers, to_message
from meristem.events.outage import FailedElsewhere
from meristem.webhooks.posting import AnswerLostError, NotPostedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meristem.events.envelope import Envelope
    from meristem.webhooks.posting import PostAnswer, Poster

NEVER: Final = frozenset((410, 413, 415))
"""It is retired, or takes no events so large or in this format: no repetition changes that."""
AWAY: Final = frozenset((429, 503))
"""It says of all events, and not of this one, that they are to come later."""
PASSING: Final = frozenset((401, 407, 408, 425))
"""What is wrong says nothing of the event, and may be put right: a token that has expired."""
_LONGEST_PAUSE: Final = 3600.0  # seconds that it may ask for
_PATIENCE: Final = 7 * 86400.0  # seconds for which an event waits for it to be there
_QUOTED: Final = 200  # characters of an answer
_UNPRINTED: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\s]+")
_OUR_OWN: Final = dict.fromkeys(("authtype", "authid", "authclaims", "causationid", "baggage", "sender"), "")


class Webhook:
    """Posts events as CloudEvents, with a `token` as Bearer where there is one, each within `timeout` seconds.

    With a `secret`, which is bytes, it signs what it sends as Standard Webhooks has it (1.0.0): `webhook-signature` is
    an HMAC of `webhook-id`, `webhook-timestamp` and the body.
    """

    def __init__(
        self, name: str, poster: Poster, *, binary: bool, timeout: float, token: str = "", secret: bytes = b""
    ) -> None:
        self.name = name
        self._poster = poster
        self._binary = binary
        self._timeout = timeout
        self._token = token
        self._secret = secret

    async def deliver(self, envelope: Envelope) -> None:
        """Return when it has been taken.

        Raises SubscriberAway where it can't be reached or asks for patience, Undeliverable for what it will never take,
        FailedElsewhere for what it refuses, and for what may pass.
        """
        try:
            async with asyncio.timeout(self._timeout):
                answer = await self._post(envelope)
        except TimeoutError:
            raise FailedElsewhere(f"{self.name} did not answer within {self._timeout:g} s", is_outage=True) from None
        except NotPostedError as error:
            raise self._away(envelope, f"{self.name} can't be reached: {error}", None) from None
        except AnswerLostError as error:
            raise FailedElsewhere(f"{self.name}: {error}", is_outage=True) from None
        if not 200 <= answer.status < 300:
            raise self._failure(envelope, answer)

    def close(self) -> None:
        """Close the connections that are kept."""
        self._poster.close()

    async def _post(self, envelope: Envelope) -> PostAnswer:
        # Users, keys and values that travel are this system's own.
        sent = msgspec.structs.replace(envelope, **_OUR_OWN)
        content_type, attributes, body = to_message(sent, binary=self._binary)
        attributes.pop("datacontenttype", None)  # content-type says it (HTTP binding 1.0.2, section 3.1.1)
        fields = {"user-agent": "meristem", **to_headers(attributes, "ce-")}
        if content_type:
            fields["content-type"] = content_type
        if self._token:
            fields["authorization"] = f"Bearer {self._token}"
        if self._secret:
            fields |= self._signed(envelope, body)
        return await self._poster.post(fields, body)

    def _signed(self, envelope: Envelope, body: bytes) -> Mapping[str, str]:
        name, now = envelope.short_name, str(int(time.time()))
        digest = hmac.digest(self._secret, f"{name}.{now}.".encode() + body, hashlib.sha256)
        signature = f"v1,{base64.b64encode(digest).decode()}"
        return {"webhook-id": name, "webhook-timestamp": now, "webhook-signature": signature}

    def _failure(self, envelope: Envelope, answer: PostAnswer) -> Exception:
        status, said = answer.status, _quoted(answer.body)
        text = f"{self.name} answered {status}" + (f": {said}" if said else "")
        if status in NEVER:
            return Undeliverable(text)
        if status in AWAY:
            return self._away(envelope, text, _pause(answer))
        if 300 <= status < 400:
            text = f"{self.name} answered {status}, and redirects are not followed: give the address that it means"
        return FailedElsewhere(text, is_outage=status in PASSING or status >= 500, retry_after=_pause(answer))

    def _away(self, envelope: Envelope, text: str, pause: float | None) -> Exception:
        """All that waits for it pauses; an event of a week ago is given up as after any other outage."""
        if envelope.time is not None and time.time() - _moment(envelope.time) > _PATIENCE:
            return FailedElsewhere(text, is_outage=True, retry_after=pause)
        away = SubscriberAway(text)
        away.retry_after = pause
        return away


def _moment(at: datetime) -> float:
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


def _quoted(body: bytes) -> str:
    """The beginning of an answer in one line."""
    text = _UNPRINTED.sub(" ", body[: 4 * _QUOTED].decode(errors="replace")).strip()
    return text if len(text) <= _QUOTED else f"{text[:_QUOTED]}…"


def _pause(answer: PostAnswer) -> float | None:
    """The seconds after which it wants to be asked again (RFC 9110, 10.2.3)."""
    said = answer.head.get(b"retry-after", b"").decode("latin-1").strip()
    if said.isascii() and said.isdigit():
        return min(float(said[:10]), _LONGEST_PAUSE)
    try:
        seconds = parsedate_to_datetime(said).timestamp() - time.time()
    except (ValueError, OverflowError):
        return None
    return min(max(0.0, seconds), _LONGEST_PAUSE)
