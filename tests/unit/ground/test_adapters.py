"""The registry of adapters: what is built in, what packages bring, and what is said when neither helps."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from meristem.adapters import Adapters
from meristem.errors import ConfigurationError

GROUP = "meristem.tests"
Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    monkeypatch.syspath_prepend(str(tmp_path))

    def install(package: str, entry_points: str, **modules: str) -> None:
        """Unpack a package as an installer does: its modules, and the record of what it brings."""
        about = tmp_path / f"{package}-1.0.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        (about / "entry_points.txt").write_text(f"[{GROUP}]\n{entry_points}\n")
        for name, text in modules.items():
            (tmp_path / f"{name}.py").write_text(text)

    return install


@pytest.fixture
def adapters() -> Adapters[object]:
    built_in = {"direct": "json:loads", "far": "no_such_module:thing [far]"}
    return Adapters("bus", GROUP, built_in, example="direct")


def test_an_adapter_is_imported_when_its_scheme_is_first_asked_for(install: Install, adapters: Adapters[object]):
    install("acme-bus", "acme = acme_bus:opened", acme_bus="opened = dict")

    adapters.check("acme://host")

    assert "acme_bus" not in sys.modules
    assert adapters.adapter("acme://host") is sys.modules["acme_bus"].opened
    assert adapters.adapter("ACME://another") is sys.modules["acme_bus"].opened


def test_a_scheme_with_a_driver_is_that_or_else_its_family(install: Install, adapters: Adapters[object]):
    install("acme-bus", "acme = acme_plain:it\nacme+fast = acme_fast:it", acme_plain="it = int", acme_fast="it = str")

    assert adapters.adapter("acme+fast://host") is str
    assert adapters.adapter("acme+slow://host") is int


def test_an_unknown_scheme_is_told_what_is_known_and_what_to_install(install: Install, adapters: Adapters[object]):
    install("acme-bus", "acme = acme_bus:opened")

    with pytest.raises(ConfigurationError) as refused:
        adapters.check("nats://user:secret@host")

    assert "no adapter for the bus 'nats': there is one for acme, direct, far" in str(refused.value)
    assert f"install the package that brings another, by an entry point in the group '{GROUP}'" in str(refused.value)
    assert "secret" not in str(refused.value)


def test_an_adapter_whose_library_is_missing_names_the_extra(adapters: Adapters[object]):
    said = r"^the bus 'far' needs an extra \(no_such_module is missing\): pip install 'meristem\[far\]'$"
    with pytest.raises(ConfigurationError, match=said):
        adapters.adapter("far://host")


def test_a_missing_library_that_an_adapter_tells_in_its_own_words_names_the_extra_too(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    (tmp_path / "worded_bus.py").write_text(
        "from meristem.errors import ConfigurationError\n"
        "try:\n    import no_such_module\n"
        "except ImportError as error:\n    raise ConfigurationError('install another extra') from error\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    adapters: Adapters[object] = Adapters("bus", GROUP, {"own": "worded_bus:opened [far]"}, example="own://host")

    with pytest.raises(ConfigurationError, match=r"^the bus 'own' needs an extra .*: pip install 'meristem\[far\]'$"):
        adapters.adapter("own://host")


@pytest.mark.parametrize(
    ("module", "problem"),
    [
        ("import libacme", "ModuleNotFoundError: No module named 'libacme'"),
        ("", "AttributeError: module 'acme_broken' has no attribute 'opened'"),
        ("raise OSError('no licence')", "OSError: no licence"),
        ("raise OSError('no\\nlicence')", "OSError: no licence"),
        ("raise SystemExit('no licence')", "SystemExit: no licence"),
        ("opened = 3", "TypeError: opened is no function that opens one"),
    ],
)
def test_a_broken_package_is_told_in_one_sentence(
    install: Install, adapters: Adapters[object], module: str, problem: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delitem(sys.modules, "acme_broken", raising=False)
    install("acme-bus", "acme = acme_broken:opened", acme_broken=module)

    with pytest.raises(ConfigurationError) as refused:
        adapters.adapter("acme://host")

    assert str(refused.value) == (
        f"the adapter acme_broken:opened for the bus 'acme' can't be imported: {problem}; "
        "mend or reinstall the package acme-bus"
    )


def test_two_packages_that_bring_one_scheme_are_both_named(install: Install, adapters: Adapters[object]):
    install("acme-bus", "acme = acme_bus:opened")
    install("other-bus", "acme = other_bus:opened")

    with pytest.raises(ConfigurationError, match="both .* bring .* the bus 'acme': uninstall one") as refused:
        adapters.check("acme://host")

    assert "acme-bus" in str(refused.value)
    assert "other-bus" in str(refused.value)


def test_two_packages_that_bring_one_scheme_are_in_no_others_way(install: Install, adapters: Adapters[object]):
    install("acme-bus", "acme = acme_bus:opened")
    install("other-bus", "acme = other_bus:opened\nother = other_bus:Opens.here")
    install("third-bus", "third = third_bus:Opens.here", third_bus="class Opens:\n here = dict")

    adapters.check("other://host")
    assert adapters.adapter("third://host") is dict
    with pytest.raises(ConfigurationError, match="there is one for acme, direct, far, other, third"):
        adapters.check("unknown://host")


def test_a_built_in_adapter_is_not_replaced_by_a_package(install: Install, adapters: Adapters[object]):
    install("acme-bus", "direct = acme_bus:opened", acme_bus="opened = dict")

    assert adapters.adapter("direct") is sys.modules["json"].loads
