"""Messages are frozen and keyword-only; events know their name and key; faults carry their fields."""

import pickle

import pytest

from meristem import Code, ContractError, Event, Fault, Message
from meristem.contracts.codec import decode_fault, encode_fault


class Point(Message):
    x: int
    y: int = 0


class Moved(Event, package="map.v1", key="x"):
    x: int


class TooFar(Fault, code=Code.OUT_OF_RANGE, status=422):
    """That is beyond the edge."""

    limit: int
    unit: str = "km"


def test_a_message_cannot_be_changed_and_takes_keywords_only():
    point = Point(x=1)
    with pytest.raises(AttributeError):
        point.x = 2
    with pytest.raises(TypeError):
        Point(1)


def test_an_event_has_a_type_and_an_ordering_key():
    assert Moved.event_type == "map.v1.Moved"
    assert Moved(x=7).ordering_key() == "7"


class Turned(Moved):
    left: bool = True


class Halted(Turned, package="map.v2", key="left"):
    pass


def test_an_event_derived_from_another_has_a_type_of_its_own():
    assert (Turned.event_type, Turned(x=7).ordering_key()) == ("map.v1.Turned", "7")
    assert (Halted.event_type, Halted(x=7).ordering_key()) == ("map.v2.Halted", "True")
    assert Moved.event_type == "map.v1.Moved"


def test_an_event_without_a_package_or_with_an_unknown_key_is_refused():
    with pytest.raises(ContractError, match="name its package"):
        type(Event)("Lost", (Event,), {"__annotations__": {}})
    with pytest.raises(ContractError, match="none of its fields"):
        type(Event)("Lost", (Event,), {"__annotations__": {"a": int}}, package="x.v1", key="b")
    with pytest.raises(ContractError, match="belong to events"):
        type(Message)("Lost", (Message,), {"__annotations__": {}}, package="x.v1")


def test_a_fault_says_its_first_sentence_and_its_fields():
    fault = TooFar(limit=3)
    assert str(fault) == "That is beyond the edge. (limit=3)" or "limit=3" in str(fault)
    assert fault.values() == {"limit": 3, "unit": "km"}
    assert (fault.code, fault.status) == (Code.OUT_OF_RANGE, 422)


def test_a_fault_refuses_unknown_and_missing_fields():
    with pytest.raises(TypeError, match="needs 'limit'"):
        TooFar()
    with pytest.raises(TypeError, match="unexpected 'speed'"):
        TooFar(limit=1, speed=2)


@pytest.mark.parametrize(
    "copy", [lambda f: pickle.loads(pickle.dumps(f)), lambda f: decode_fault(TooFar, encode_fault(f))]
)
def test_a_fault_survives_pickling_and_the_wire(copy):
    fault = TooFar(limit=3, unit="mi")
    again = copy(fault)
    assert type(again) is TooFar
    assert again.values() == fault.values()
