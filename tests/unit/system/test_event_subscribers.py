"""Subscribers outside: what a placement may say of them, and what is refused with file and line."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from meristem import ConfigurationError, Event, Service, System, on
from meristem.events.policy import DeliveryPolicy
from meristem.runtime.assembly import Assembly
from meristem.system.blueprint import Blueprint
from meristem.system.placement import ALONE, Placement
from meristem.system.placement_errors import read_from


class Booked(Event, package="subscribers.v1"):
    number: int


class PostService(Service, formerly="mail"):
    @on(Booked)
    async def note(self, event: Booked) -> None: ...


SOUND = '[events.subscribers.crm]\nurl = "https://crm.example/"\ntypes = ["subscribers.v1.*"]\n'


def started(folder: Path, text: str) -> Assembly:
    path = folder / "placement.toml"
    path.write_text(text)
    placement = Placement.read(path)
    with read_from(path):
        blueprint = Blueprint(System("shop", services=[PostService]), placement, directory=folder)
        return Assembly(blueprint, ALONE)


def test_an_event_is_owed_to_it_beside_the_services(tmp_path: Path) -> None:
    bus: Any = started(tmp_path, SOUND.replace("crm", "crm-2"))._bus
    bus.forward("post", {"subscribers.v1.Booked": DeliveryPolicy()}, None)
    assert bus.destinations("subscribers.v1.Booked") == ("post", "crm-2")
    assert bus.destinations("subscribers.v2.Booked") == ()
    assert bus.policy("crm-2", "subscribers.v1.Booked").timeout == 40.0


Change = Callable[[str], str]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text.replace("https://crm", "ftp://crm"), "line 2: .*url: its url is none of HTTP"),
        (lambda text: text.replace('["subscribers.v1.*"]', "[]"), "line 3: .*types"),
        (lambda text: text.replace("subscribers.v1.*", "*.v1.Booked"), "line 3: .*is no type"),
        (lambda text: text.replace("subscribers.v1.*", "subscribers.v1.Boked"), "Boked' is no event.*Booked"),
        (lambda text: text + 'mode = "batched"\n', "line 4: .*mode"),
        (lambda text: text + "attempts = 0\n", "line 4: .*attempts = 0"),
        (lambda text: text + "timeout = 0\n", "line 4: .*timeout = 0"),
        (lambda text: text + 'token = "secret"\n', "token"),
        (lambda text: text.replace("crm]", "CRM]"), "small letters"),
        (lambda text: text.replace("subscribers.crm", "subscribers.post"), "a part of the system is called so"),
        (lambda text: text.replace("subscribers.crm", "subscribers.mail"), "is called so, or was"),
        (lambda text: text + "[settings.crn]\ntoken = 'x'\n", "crm"),
    ],
)
def test_what_can_not_be_meant_is_refused(tmp_path: Path, change: Change, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said) as caught:
        started(tmp_path, change(SOUND))
    assert "secret" not in str(caught.value)
