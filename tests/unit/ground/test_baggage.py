"""The list of values that travel: what is believed of it, and what of a stranger's."""

import time

import pytest

from meristem.baggage import LONGEST, LONGEST_SENT, admitted, member, sound, spanned, text_of, with_member
from meristem.contracts.travelling import Travelling
from meristem.errors import CallError, Code

Locale = Travelling[str]("baggage.locale", default="en", public=True)
Seats = Travelling[int]("baggage.seats", default=1, public=True, traced=False)
Tenant = Travelling[str]("baggage.tenant")


@pytest.mark.parametrize("text", ["", "de", "a,b;c=d", 'say "no" \\', "100 %", "Ümläut 🚂", "\r\nx: y", "\0", "%2C"])
def test_any_text_arrives_and_is_a_sound_list(text):
    baggage = with_member(with_member("a=1", "b", text), "c", "3")

    assert text_of(baggage, "b") == text
    assert sound(baggage) == baggage
    assert baggage.isascii()
    assert baggage.isprintable()
    assert " " not in baggage


def test_one_name_has_one_value():
    assert with_member("a=1,ab=2,b=3", "a", "4") == "ab=2,b=3,a=4"


@pytest.mark.parametrize(
    "baggage",
    [
        "a", "a=1,", ",a=1", "a=1,,b=2", "a=1, b=2", "a=1;p=q", "A=1", "1a=1", "a=\x7f", "a=é", "a=%2", "a=%zz",
        'a="b"', "a=1\r\nx: y", "a=\\", f"a={'b' * LONGEST}", f"{'a' * 65}=1", "a =1", "=1", "",
    ],
)  # fmt: skip
def test_what_is_no_such_list_counts_for_nothing(baggage):
    assert sound(baggage) == ""


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("baggage.locale=de", "baggage.locale=de"),
        (" baggage.locale = de ; a=b;c ,\tx=y", "baggage.locale=de"),
        ("baggage.tenant=evil,baggage.locale=de", "baggage.locale=de"),
        ("baggage.locale=%64%65", "baggage.locale=de"),
        ("baggage.locale=a=b", "baggage.locale=a=b"),
        ("BAGGAGE.LOCALE=de", ""),
        ("unknown=1,,=,;,a", ""),
        ("", ""),
        ("baggage.seats=7,baggage.locale=", "baggage.seats=7,baggage.locale="),
        ("baggage.locale=%0D%0Ax:%20y", "baggage.locale=%0D%0Ax:%20y"),
        ("baggage.locale=a%2Cbaggage.tenant=evil", "baggage.locale=a%2Cbaggage.tenant=evil"),
    ],
)
def test_of_a_strangers_list_the_public_values_are_kept_in_their_one_form(sent, kept):
    assert admitted(sent) == kept
    assert text_of(kept, "baggage.tenant") is None


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        ("baggage.seats=seven", "baggage: baggage.seats: JSON is malformed: invalid character (byte 0)"),
        ("baggage.seats=", "baggage: baggage.seats: "),
        ("baggage.seats=1,baggage.seats=1", "baggage: baggage.seats is given more than once"),
        ("baggage.locale=%FF", "baggage: baggage.locale: "),
        ("baggage.locale=\xe9", "baggage: baggage.locale: "),
        (f"baggage.locale={'a' * 1024}", "baggage: baggage.locale: 1039 bytes as it travels, and may have 1024"),
        (f"baggage.locale={'é' * 200}", "baggage: baggage.locale: "),
    ],
)
def test_a_public_value_that_does_not_fit_is_refused_with_its_name(sent, said):
    with pytest.raises(CallError) as caught:
        admitted(sent)

    assert caught.value.code is Code.INVALID_ARGUMENT
    assert caught.value.message.startswith(said)
    assert caught.value.may_have_happened is False


@pytest.mark.parametrize("part", [",", "a=1,", "baggage.tenant=x,", "%", ";", "=", " ", "a", "a=%2C"])
def test_the_longest_list_is_read_in_a_moment(part):
    """Twice as much takes about twice as long, which a pattern that goes back would not; of more nothing is read."""

    def seconds(length: int) -> float:
        text, best = (part * length)[:length], 1.0
        for _ in range(7):
            began = time.process_time()
            assert (admitted(text), sound(f"a={text}"[:LONGEST]) is None) == ("", False)
            best = min(best, time.process_time() - began)
        return best

    assert seconds(LONGEST_SENT) < 20 * max(seconds(LONGEST_SENT // 8), 0.0001)
    assert seconds(64 * 1024) < 2 * max(seconds(LONGEST_SENT), 0.0001)


def test_spans_tell_what_is_declared_and_traced():
    baggage = ",".join((member("baggage.locale", "é"), "baggage.seats=7", "unknown=1", "baggage.tenant=a"))

    assert spanned(baggage) == {"meristem.value.baggage.locale": "é", "meristem.value.baggage.tenant": "a"}
    assert spanned("") == {}


def test_of_a_list_that_is_longer_than_any_system_must_carry_nothing_counts():
    fits = "baggage.locale=de," + "a=b," * 2043

    assert admitted(fits) == "baggage.locale=de"
    assert admitted(f"{fits},a=b,") == ""
