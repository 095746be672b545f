"""Every kind of change that breaks a caller is found and told by kind, what breaks nobody passes, and buf agrees.

Buf reads the exported `.proto`: its FILE stands for source, WIRE_JSON for JSON, WIRE for wire. Where it and we differ,
the case names the reason.
"""

from typing import Any

import pytest

from meristem.contracts.evolution.snapshot import read_snapshot, write_snapshot
from tests.unit.contracts.evolved import INN, bufs, ours, releases
from tests.unit.contracts.evolved_cases import CASES, Case


@pytest.mark.parametrize("case", CASES, ids=[each.name for each in CASES])
def test_a_change_breaks_whom_it_is_said_to_break(case: Case, tmp_path: Any) -> None:
    old, new = releases(tmp_path, *case.edits)
    found = ours(old, new)
    kinds = {kind.value for each in found for kind in each.kinds}
    theirs = bufs(old, new, tmp_path)

    assert kinds == set(case.kinds.split())
    assert {each.rule for each in found} == set(case.rules.split())
    assert kinds ^ theirs.keys() == case.apart.keys(), theirs


def test_a_change_says_where_it_is_whom_it_breaks_and_what_to_do(tmp_path):
    old, new = releases(tmp_path, ("    note: str | None = None", "    note: str | None = None\n    late: bool"))
    (change,) = ours(old, new)

    assert change.key == "field-required Stay.late"
    assert change.says == "is new and must be given"
    assert change.remedy == "give it a default that means what was meant without it: `late: … = …`"
    assert change.uses == ("requests of Rooms.hold", "the input of desk.book in journals")
    assert change.file == "inn.py"
    assert (tmp_path / "new" / "inn.py").read_text().splitlines()[change.line - 1] == "    late: bool"


def test_a_field_that_was_renamed_is_told_how_to_keep_its_name_on_the_wire(tmp_path):
    old, new = releases(tmp_path, ("guests: int = 2", "people: int = 2"))
    (change,) = ours(old, new)

    assert "msgspec.field(name='guests')" in change.remedy


def test_a_stream_that_goes_is_told_by_what_is_taken_and_given(tmp_path):
    old, new = releases(
        tmp_path, ("def watch(self, city: str) -> AsyncIterator[Hold]", "async def watch(self, city: str) -> Hold")
    )
    (change,) = ours(old, new)

    assert change.says == "took one message and gave a stream, and takes one message and gives one message"


def test_the_same_contracts_are_the_same_bytes(tmp_path):
    one, other = releases(tmp_path)

    assert write_snapshot(one.snapshot) == write_snapshot(other.snapshot)
    assert read_snapshot(write_snapshot(one.snapshot), "a test") == one.snapshot


def test_a_field_whose_number_a_lock_keeps_may_go_for_all_but_python_code(tmp_path):
    lock = '[message."inn.v1.Stay"]\nroom = 1\nnights = 2\nkind = 3\nwishes = 4\n-note = 5\n'
    old, new = releases(tmp_path, ("    note: str | None = None\n", ""), lock=lock)

    assert {kind.value for each in ours(old, new) for kind in each.kinds} == {"source"}
    assert bufs(old, new, tmp_path).keys() == {"source"}


def test_a_value_of_an_open_enum_may_come_but_its_number_may_not_be_free_when_it_goes(tmp_path):
    numbered = (
        'class Kind(Enum):\n    SINGLE = "single"\n    DOUBLE = "double"\n',
        "class Kind(ProtoEnum):\n    SINGLE = 0\n    DOUBLE = 1\n",
    )
    more = (numbered[0], numbered[1] + "    SUITE = 2\n")
    imported = ("import msgspec\n", "import msgspec\nfrom meristem.contracts.protokinds import ProtoEnum\n")
    for name in ("few", "many"):
        (tmp_path / name).mkdir()
    _, few = releases(tmp_path / "few", numbered, imported)
    _, many = releases(tmp_path / "many", more, imported)

    assert ours(few, many) == []
    assert {each.rule for each in ours(many, few)} == {"member-removed", "number-free"}
    assert "wire" in bufs(many, few, tmp_path)


OPEN = (
    ("import msgspec\n", "import msgspec\nfrom meristem.proto import JsonName, Oneof, ProtoEnum\n"),
    (
        'class Kind(Enum):\n    SINGLE = "single"\n    DOUBLE = "double"\n',
        "class Kind(ProtoEnum):\n    DOUBLE = 0\n    BED = 1\n",
    ),
    ("    note: str | None = None\n", '    note: Annotated[str | None, JsonName("wish"), Oneof("extra")] = None\n'),
)


@pytest.mark.parametrize(
    ("edit", "kinds", "rule", "told"),
    [
        (("    BED = 1\n", "    BED = 1\n    COT = 1\n"), set(), None, ""),
        (
            ("    BED = 1\n", "    COT = 1\n"),
            {"json", "source"},
            "member-removed",
            "has another name in protobuf's JSON",
        ),
        (('"wish"', '"hope"'), {"json"}, "field-renamed", "is 'hope' in protobuf's JSON and was 'wish'"),
        (('JsonName("wish"), ', ""), {"json"}, "field-renamed", "is 'note' in protobuf's JSON and was 'wish'"),
        (('"extra"', '"more"'), {"wire"}, "wire-type-changed", "stood in the oneof extra and stands in the oneof more"),
    ],
)
def test_names_that_only_protobuf_knows_are_compared_too(edit, kinds, rule, told, tmp_path):
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
    _, old = releases(tmp_path / "old", *OPEN)
    _, new = releases(tmp_path / "new", *OPEN, edit)

    found = ours(old, new)

    assert {kind.value for each in found for kind in each.kinds} == kinds
    assert {each.rule for each in found} == ({rule} if rule else set())
    assert not rule or any(told in each.says for each in found)
    assert bufs(old, new, tmp_path).keys() >= kinds - {"source"}


def test_two_contracts_of_one_name_are_compared_each_with_its_own(tmp_path):
    again = INN[INN.index("class Rooms(") : INN.index("class Held(")].replace("inn.v1", "inn.v2")
    (tmp_path / "one").mkdir()
    both = ("class Held(", f"{again}class Held(")
    _, before = releases(tmp_path / "one", both)
    other = again.replace("guests: int = 2", "guests: int")
    _, after = releases(tmp_path, ("class Held(", f"{other}class Held("))

    assert [(each.rule, each.where) for each in ours(before, after)] == [("field-required", "Rooms.free.guests")]


@pytest.mark.parametrize(("kept", "rules"), [("-late = 8\n", []), ("", ["number-free"])])
def test_a_number_that_was_reserved_stays_so(kept, rules, tmp_path):
    numbers = '[message."inn.v1.Stay"]\nroom = 1\nnights = 2\nkind = 3\nwishes = 4\nnote = 5\n'
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
    _, old = releases(tmp_path / "old", lock=numbers + "-late = 8\n")
    _, new = releases(tmp_path / "new", lock=numbers + kept)

    assert [each.rule for each in ours(old, new)] == rules
    assert ("wire" in bufs(old, new, tmp_path)) == bool(rules)


def greeting(request: str, reply: str) -> tuple[tuple[str, str], tuple[str, str]]:
    """The inn, whose `greet` takes and gives other messages, among them those that protobuf brings."""
    imported = ("import msgspec\n", "import msgspec\nfrom meristem.proto import AnyMessage, Empty, FieldMask\n")
    return imported, ("greet(self, guest: Guest) -> Guest", f"greet(self, guest: {request}) -> {reply}")


@pytest.mark.parametrize(
    ("before", "after", "wire"),
    [
        (("Empty", "Empty"), ("Empty", "Empty"), []),
        (("FieldMask", "AnyMessage"), ("FieldMask", "AnyMessage"), []),
        (("Empty", "Empty"), ("Guest", "Guest"), []),
        (("Guest", "Empty"), ("Empty", "Empty"), ["number-free", "number-free"]),
        (("FieldMask", "Empty"), ("AnyMessage", "Empty"), ["wire-type-changed"]),
        (("Guest", "FieldMask"), ("Guest", "Empty"), ["wire-type-changed"]),
        (("Guest", "AnyMessage"), ("Guest", "Guest"), ["wire-type-changed"]),
    ],
)
def test_messages_that_protobuf_brings_are_compared_too(before, after, wire, tmp_path):
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
    _, old = releases(tmp_path / "old", *greeting(*before))
    _, new = releases(tmp_path / "new", *greeting(*after))

    found = [each for each in ours(old, new) if "wire" in {kind.value for kind in each.kinds}]

    assert [each.rule for each in found if each.rule in ("number-free", "wire-type-changed")] == wire


FILES = ("import msgspec\n", "import msgspec\nfrom meristem.rest import Body, FilePart\n")
PHOTO = "payload: Annotated[bytes, Body({})]"
PIECES = "pieces: AsyncIterator[{}]"


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (PHOTO.format('"image/*"'), PHOTO.format('"image/png"'), "takes a body of image/png, and took one of image/*"),
        (PHOTO.format(""), PHOTO.format('"image/*"'), "takes a body of image/*, and took one of */*"),
        (PHOTO.format('"text/csv"'), PHOTO.format('"image/*"'), "takes a body of image/*, and took one of text/csv"),
        (PHOTO.format('"image/png"'), PHOTO.format('"image/*"'), None),
        (PHOTO.format('"image/*"'), PHOTO.format(""), None),
        (
            PIECES.format("FilePart"),
            PIECES.format("bytes"),
            "takes a body of */*, and took one of multipart/form-data",
        ),
    ],
)
def test_an_upload_may_be_of_more_types_and_not_of_fewer(before, after, told, tmp_path):
    """A form that any bytes take the place of is read no longer, although its type is among any."""
    found = []
    for name, taken in (("old", before), ("new", after)):
        (tmp_path / name).mkdir()
        added = (
            f'    @operation(http="POST /photos")\n    async def photo(self, {taken}) -> None: ...\n\n    @idempotent\n'
        )
        found.append(releases(tmp_path / name, FILES, ("    @idempotent\n", added))[1])

    says = [each.says for each in ours(*found) if each.rule == "upload-changed"]

    assert says == ([] if told is None else [told])
