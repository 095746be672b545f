"""The figures of several processes are one page that Prometheus reads."""

from collections.abc import Iterable

import pytest
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from meristem.telemetry.exposition import exposition
from meristem.telemetry.merging import OPENMETRICS, PROMETHEUS, MetricsPage, merged, wanted
from meristem.telemetry.metrics import Measure, Registry

READERS = {PROMETHEUS: text_string_to_metric_families, OPENMETRICS: openmetrics.text_string_to_metric_families}


def page(process: str, media: str, *operations: str) -> MetricsPage:
    """What a process exposes that answered each operation once."""
    registry = Registry()
    for operation in operations:
        stats = registry.operation("server", "stock", operation)
        stats.begun += 1
        stats.record(0.002)
    registry.add(Measure("meristem_waiting", "What waits.", "gauge", (), lambda: {(): 3.0}))
    body, found = exposition(registry, media)
    assert found.split(";")[0] == media.split(";", maxsplit=1)[0]
    return MetricsPage({"process": process, "replica": "0"}, body.decode())


def samples(pages: Iterable[MetricsPage], media: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    families = list(READERS[media](merged(pages, media)))
    assert len({each.name for each in families}) == len(families)
    found = [(each.name, frozenset(each.labels.items()), each.value) for family in families for each in family.samples]
    assert len({each[:2] for each in found}) == len(found)
    return {(name, labels): value for name, labels, value in found}


@pytest.mark.parametrize("media", [PROMETHEUS, OPENMETRICS])
def test_each_sample_is_there_once_with_the_labels_of_its_process(media):
    pages = [page("stock", media, "Stock.left", "Stock.take"), page("rest", media, "Stock.left")]
    alone = [{name: value for (name, _), value in samples([each], media).items()} for each in pages]
    together = samples(pages, media)

    assert len(together) == sum(len(samples([each], media)) for each in pages)
    assert {name for name, _ in together} == set(alone[0]) | set(alone[1])
    waiting = {labels: value for (name, labels), value in together.items() if name == "meristem_waiting"}
    assert waiting == {frozenset({("process", each), ("replica", "0")}): 3.0 for each in ("stock", "rest")}


@pytest.mark.parametrize("media", [PROMETHEUS, OPENMETRICS])
def test_a_family_has_one_help_and_one_type_and_its_samples_stand_together(media):
    text = merged([page("stock", media, "Stock.left"), page("rest", media, "Stock.left")], media)

    assert text.count("# TYPE meristem_waiting gauge") == text.count("# HELP meristem_waiting ") == 1
    assert text.count("# TYPE meristem_server_request_duration_seconds ") == 1
    assert text.count("# EOF") == (1 if media == OPENMETRICS else 0)


def test_a_value_of_a_label_is_escaped():
    found = samples([MetricsPage({"process": 'a "b"\\\nc'}, "# TYPE up gauge\nup 1\n")], PROMETHEUS)

    assert found == {("up", frozenset({("process", 'a "b"\\\nc')})): 1.0}


def test_of_two_types_of_a_family_the_first_stands():
    old, new = "# TYPE depth gauge\ndepth 1\n", "# TYPE depth counter\ndepth 2\n# TYPE up gauge\nup{} 1\n"
    found = samples([MetricsPage({"process": "old"}, old), MetricsPage({"process": "new"}, new)], PROMETHEUS)

    assert {(name, value) for (name, _), value in found.items()} == {("depth", 1.0), ("up", 1.0)}


def test_a_sample_with_empty_braces_gets_labels_too():
    found = samples([MetricsPage({"process": "rest"}, "# TYPE up gauge\nup{} 1\n# EOF\n")], OPENMETRICS)

    assert found == {("up", frozenset({("process", "rest")})): 1.0}


def test_no_page_is_a_page():
    assert merged([], PROMETHEUS) == ""
    assert list(openmetrics.text_string_to_metric_families(merged([], OPENMETRICS))) == []


@pytest.mark.parametrize(
    ("accept", "media"),
    [
        ("", PROMETHEUS),
        ("text/plain", PROMETHEUS),
        ("*/*", PROMETHEUS),
        ("application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1", OPENMETRICS),
    ],
)
def test_who_names_openmetrics_gets_it(accept, media):
    assert wanted(accept) == media
