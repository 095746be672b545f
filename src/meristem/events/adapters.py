"""The registry of buses: a URL's scheme, and what carries events there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from meristem.adapters import Adapters

if TYPE_CHECKING:
    from meristem.events.bus import Bus


class OpenBus(Protocol):
    """What a package brings under the entry point group `meristem.buses`, named like its URLs' scheme."""

    def __call__(self, url: str, *, system: str) -> Bus:
        """A bus that is not started; what it makes on a broker carries the name of `system`.

        Raises ConfigurationError for a URL that can't be meant.
        """
        ...


BUSES: Final[Adapters[OpenBus]] = Adapters(
    "bus",
    "meristem.buses",
    {
        "direct": "meristem.events.direct:open_bus",
        "amqp": "meristem.events.brokers.rabbitmq:open_bus [rabbitmq]",
        "amqps": "meristem.events.brokers.rabbitmq:open_bus [rabbitmq]",
        "kafka": "meristem.events.brokers.kafka:open_bus [kafka]",
        "nats": "meristem.events.brokers.nats:open_bus [nats]",
    },
    example="direct",
)


def bus_for(url: str, *, system: str) -> Bus:
    """The bus of one process, not started: `direct`, or what a package brings.

    Raises ConfigurationError for a scheme without an adapter, and for a URL that its adapter can't read.
    """
    return BUSES.adapter(url)(url, system=system)
