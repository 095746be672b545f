"""Addresses from variables."""

import pytest

from meristem.discovery.environment import read_environment, url_variable
from meristem.errors import ConfigurationError
from meristem.transports.adapters import CLIENTS


def read(taken: tuple[str, ...] = (), **environment: str) -> dict[str, tuple[str, ...]]:
    return read_environment(environment, "hotels", ["search", "fast-lane"], check=CLIENTS.check, taken=taken)


def test_a_variable_gives_one_address_or_several():
    found = read(SEARCH_URL="http://a:8000, tcp://[fd00::7]:81 ,unix:/run/s.sock", FAST_LANE_URL="http://b")

    assert found == {
        "search": ("tcp://a:8000", "tcp://[fd00::7]:81", "unix:/run/s.sock"),
        "fast-lane": ("tcp://b:80",),
    }


def test_the_variable_that_names_the_system_is_stronger():
    assert read(SEARCH_URL="http://a:1", HOTELS_SEARCH_URL="http://b:2") == {"search": ("tcp://b:2",)}


def test_an_address_of_tls_keeps_its_name():
    assert read(SEARCH_URL="https://search.example") == {"search": ("https://search.example",)}


def test_a_variable_that_is_a_setting_is_no_address():
    assert read(("HOTELS_SEARCH_URL",), HOTELS_SEARCH_URL="https://api.example/v1", SEARCH_URL="") == {}


@pytest.mark.parametrize(
    "url",
    [
        "https://a:1/path",
        "http://a:1/path",
        "a:1",
        "tcp://a",
        "http://a:99999",
        "unix:",
        "http://",
        "http://a:0",
        "tcp://a:0",
    ],
)
def test_a_malformed_address_is_refused_by_the_name_of_its_variable(url: str):
    with pytest.raises(ConfigurationError, match="SEARCH_URL.*write http://host:port"):
        read(SEARCH_URL=url)


def test_a_variable_is_upper_case_without_signs():
    assert url_variable("hotels", "fast-lane") == "HOTELS_FAST_LANE_URL"
