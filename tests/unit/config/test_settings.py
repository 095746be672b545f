"""Settings: which place wins, what text becomes, and what the errors tell."""

from datetime import timedelta
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal

import msgspec
import pytest

from meristem.config.secret import Secret
from meristem.config.setting_sources import File, Sources
from meristem.config.settings import Settings, explain, load, load_all
from meristem.contracts.message import Message
from meristem.errors import ConfigurationError


class Mode(Enum):
    FAST = "fast"
    SAFE = "safe"


class Retry(Message):
    attempts: int = 3
    base: float = 0.05


class BankSettings(Settings):
    url: str = "app://bank"
    timeout: float = 2.0
    retry: Retry = Retry(attempts=5)
    hosts: tuple[str, ...] = ()
    debug: bool = False
    mode: Mode = Mode.SAFE
    level: Literal["low", "high"] = "low"
    pool: Annotated[int, msgspec.Meta(ge=1)] = 4
    wait: timedelta = timedelta(seconds=1)
    fee: Decimal = Decimal("0.1")
    limit: int | None = 7
    key: Secret = Secret("development")
    labels: dict[str, int] = msgspec.field(default_factory=dict)


class StrictSettings(Settings):
    url: str
    key: Secret


def bank(**sources: Any) -> BankSettings:
    return load(BankSettings, system="hotels", service="payments", sources=Sources(**sources))


def from_env(**environment: str) -> BankSettings:
    return bank(environment={f"HOTELS_PAYMENTS_{name}": text for name, text in environment.items()})


def in_file(origin: str = "meristem.toml", **values: Any) -> File:
    return File(origin, {"payments": values})


def test_without_a_source_the_defaults_of_the_class_hold():
    assert bank() == BankSettings()


def test_overrides_beat_the_environment_which_beats_files_which_beat_defaults():
    files = (in_file("split.toml", timeout=3.0), in_file(timeout=4.0, url="http://file", pool=9))
    environment = {"HOTELS_PAYMENTS_URL": "http://env", "HOTELS_PAYMENTS_TIMEOUT": "5"}
    made = bank(overrides={"payments": {"timeout": 6.0}}, environment=environment, files=files)
    assert (made.timeout, made.url, made.pool, made.level) == (6.0, "http://env", 9, "low")
    assert bank(files=files).timeout == 3.0


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("timeout", "0.3", 0.3),
        ("debug", "yes", True),
        ("debug", "0", False),
        ("debug", "True", True),
        ("mode", "fast", Mode.FAST),
        ("level", "high", "high"),
        ("hosts", "a, b,c", ("a", "b", "c")),
        ("hosts", '["a,b"]', ("a,b",)),
        ("hosts", "", ()),
        ("labels", '{"a": 1}', {"a": 1}),
        ("wait", "2.5", timedelta(seconds=2.5)),
        ("fee", "0.25", Decimal("0.25")),
        ("limit", "9", 9),
        ("limit", "none", None),
        ("url", " kept ", " kept "),
        ("url", "123", "123"),
        ("key", "s3cret", Secret("s3cret")),
    ],
)
def test_text_becomes_the_type_of_the_setting(name, text, value):
    assert getattr(from_env(**{name.upper(): text}), name) == value


def test_a_variable_of_a_nested_message_changes_one_field_and_keeps_the_others():
    assert from_env(RETRY__BASE="0.5").retry == Retry(attempts=5, base=0.5)


def test_nested_tables_and_variables_are_merged():
    made = bank(files=(in_file(retry={"attempts": 2}),), environment={"HOTELS_PAYMENTS_RETRY__BASE": "1"})
    assert made.retry == Retry(attempts=2, base=1.0)


def test_names_that_a_variable_cannot_have_are_spelled_with_underscores():
    environment = {"MY_SHOP_CREDIT_CARDS_URL": "x"}
    sources = Sources(environment=environment)
    assert load(BankSettings, system="my shop", service="credit-cards", sources=sources).url == "x"


def test_a_value_may_come_from_a_mounted_file(tmp_path):
    mounted = tmp_path / "key"
    mounted.write_text("from the file\n")
    assert from_env(KEY_FILE=str(mounted)).key.reveal() == "from the file"


def test_a_mounted_file_that_is_missing_is_named():
    with pytest.raises(ConfigurationError, match=r"key: the file /nowhere/key cannot be read"):
        from_env(KEY_FILE="/nowhere/key")


def test_a_value_and_a_file_for_it_contradict_each_other(tmp_path):
    with pytest.raises(ConfigurationError, match=r"both HOTELS_PAYMENTS_KEY and HOTELS_PAYMENTS_KEY_FILE are set"):
        from_env(KEY="a", KEY_FILE=str(tmp_path))


def test_every_problem_is_told_at_once_with_its_place_type_and_example():
    environment = {"HOTELS_PAYMENTS_TIMEOUT": "soon", "HOTELS_PAYMENTS_LEVEL": "middle"}
    with pytest.raises(ConfigurationError) as caught:
        bank(environment=environment, files=(in_file(pool=0, tiemout=1, retry={"attemps": 1}),))
    text = str(caught.value)
    assert "timeout: 'soon' from the environment variable HOTELS_PAYMENTS_TIMEOUT is not a number" in text
    assert "write e.g. HOTELS_PAYMENTS_TIMEOUT=2.0" in text
    assert "is not one of low, high" in text
    assert "pool: 0 from [settings.payments] in meristem.toml is not a whole number (expected `int` >= 1)" in text
    assert "[settings.payments] in meristem.toml has an unknown key 'tiemout'; did you mean 'timeout'?" in text
    assert "unknown key 'retry.attemps'; did you mean 'attempts'?" in text


def test_a_setting_without_a_default_must_be_given():
    with pytest.raises(ConfigurationError) as caught:
        load(StrictSettings, system="hotels", service="payments", sources=Sources())
    assert "url: nothing sets it (text); write e.g. HOTELS_PAYMENTS_URL=text" in str(caught.value)
    assert "key: nothing sets it (a secret text)" in str(caught.value)


def test_a_key_of_one_settings_class_is_not_unknown_to_another_of_the_same_service():
    files = (File("meristem.toml", {"payments": {"url": "u", "key": "k", "pool": 2}}),)
    made = load_all([BankSettings, StrictSettings], system="s", service="payments", sources=Sources(files=files))
    assert made[BankSettings].pool == 2
    assert made[StrictSettings].url == "u"


def test_an_override_with_an_unknown_name_is_refused():
    with pytest.raises(ConfigurationError, match="unknown key 'uri'; did you mean 'url'"):
        bank(overrides={"payments": {"uri": "x"}})


def test_a_check_of_the_class_itself_is_reported_as_a_problem():
    class Window(Settings):
        low: int = 1
        high: int = 2

        def __post_init__(self) -> None:
            if self.low > self.high:
                raise ValueError("low must not be above high")

    with pytest.raises(ConfigurationError, match="Window: low must not be above high"):
        load(Window, system="s", service="p", sources=Sources(environment={"S_P_LOW": "9"}))


class Node(Message):
    """Holds itself; only the second kind holds a secret, too."""

    inner: "Node | None" = None
    others: dict[str, "Node"] = {}


class Guarded(Message):
    inner: "Guarded | None" = None
    nodes: list[Node] = []
    key: Secret | None = None


class TreeSettings(Settings):
    tree: Node = Node()
    guarded: Guarded = Guarded()


def test_a_settings_class_may_hold_a_message_that_holds_itself():
    found = explain([TreeSettings], system="s", service="payments", sources=Sources())

    assert {each.name: each.value == "***" for each in found} == {"tree": False, "guarded": True}


def test_secrets_are_shown_nowhere():
    made = from_env(KEY="s3cret")
    assert "s3cret" not in f"{made} {made.key} {made.key!r} {[made.key]}"
    with pytest.raises(ConfigurationError) as caught:
        bank(files=(in_file(key=12345),))
    assert "12345" not in str(caught.value)
    found = explain([BankSettings], system="hotels", service="payments", sources=Sources())
    assert {each.value for each in found if each.name == "key"} == {"***"}


def test_the_password_of_a_url_is_shown_nowhere():
    environment = {"HOTELS_PAYMENTS_URL": "amqp://app:s3cret@broker"}
    found = explain([BankSettings], system="hotels", service="payments", sources=Sources(environment=environment))
    assert {each.value for each in found if each.name == "url"} == {"'amqp://app:***@broker'"}
    with pytest.raises(ConfigurationError, match=r"'amqp://app:\*\*\*@broker' from the environment"):
        from_env(POOL="amqp://app:s3cret@broker")


def test_every_setting_can_tell_where_its_value_came_from():
    sources = Sources(environment={"HOTELS_PAYMENTS_URL": "x"}, files=(in_file(pool=2),))
    found = {each.name: each for each in explain([BankSettings], system="hotels", service="payments", sources=sources)}
    assert found["url"].origin == "the environment variable HOTELS_PAYMENTS_URL"
    assert found["pool"].origin == "[settings.payments] in meristem.toml"
    assert found["timeout"].origin == "default"
    assert found["timeout"].variable == "HOTELS_PAYMENTS_TIMEOUT"
