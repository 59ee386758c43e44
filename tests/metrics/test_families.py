"""Names by the conventions, as promtool's linter has them; and readings of several processes as one."""

from __future__ import annotations

import json
import re
from pathlib import Path

import msgspec
import pytest

from tomada.metrics.exposition import as_text
from tomada.metrics.families import DURATION, FAMILIES, Distribution, Number, Reading, Sum

UNITS = ("seconds", "bytes", "info")
NOT_BASE = "milliseconds|millis|ms|minutes|hours|kilobytes|megabytes|kb|mb|percent|celsius"


def joined(readings: list[Reading]) -> Reading:
    total = Sum()
    for one in readings:
        total.add(one)
    return total.reading


@pytest.mark.parametrize("name", FAMILIES)
def test_names_are_by_the_conventions(name: str) -> None:
    kind, text, labels, _ = FAMILIES[name]

    assert re.fullmatch(r"tomada_[a-z][a-z0-9]*(_[a-z0-9]+)*", name)
    assert name.endswith("_total") is (kind == "counter")
    assert not re.search(r"_(count|sum|bucket|counter|gauge|histogram)(_|$)", name)
    assert not re.search(rf"_({NOT_BASE})(_|$)", name)
    assert name.endswith("_seconds") or kind != "histogram"
    assert text.endswith(".")
    assert all(re.fullmatch(r"[a-z]+", label) for label in labels)
    assert not {"le", "quantile", "peer", "session", "id"} & set(labels)


def test_units_are_last_but_for_total() -> None:
    for name in FAMILIES:
        words = name.removesuffix("_total").split("_")
        assert not set(UNITS) & set(words[:-1]), name


def reading(count: float, gauge: float = 0, **more: float) -> Reading:
    numbers = [Number("tomada_received_bytes_total", count), Number("tomada_handlers", gauge)]
    return Reading([*numbers, *(Number(f"tomada_{name}", value) for name, value in more.items())], [])


def values(reading: Reading) -> dict[str, float]:
    return {number.name.removeprefix("tomada_"): number.value for number in reading.numbers}


def test_several_processes_are_added_up() -> None:
    whole = joined([reading(2, 1, start_time_seconds=20), reading(3, 4, start_time_seconds=10)])

    assert values(whole) == {"received_bytes_total": 5, "handlers": 5, "start_time_seconds": 10}


def test_of_one_that_is_gone_only_what_it_has_counted_stays() -> None:
    total = Sum()
    total.add(reading(2, 1), is_gone=True)
    total.add(reading(3, 4))

    assert values(total.reading) == {"received_bytes_total": 5, "handlers": 4}


def test_labels_are_kept_apart() -> None:
    def of(name: str) -> Reading:
        return Reading([Number("tomada_requests_failed_total", 1, (name,))], [])

    whole = joined([of("A"), of("B"), of("A")])
    assert {number.labels: number.value for number in whole.numbers} == {("A",): 2, ("B",): 1}


def test_histograms_are_added_up_bucket_by_bucket() -> None:
    one = Distribution(DURATION, 1.5, ((0.1, 1), (float("inf"), 3)), ("A",))
    other = Distribution(DURATION, 0.5, ((0.1, 2), (float("inf"), 2)), ("A",))
    (both,) = joined([Reading([], [one]), Reading([], [other])]).distributions

    assert both == Distribution(DURATION, 2.0, ((0.1, 3), (float("inf"), 5)), ("A",))


def test_what_another_version_tells_differently_does_no_harm() -> None:
    one = Distribution(DURATION, 1.5, ((0.1, 1), (float("inf"), 3)), ("A",))
    other = Distribution(DURATION, 0.5, ((0.2, 2), (float("inf"), 2)), ("A",))
    odd = [Number("tomada_unheard_of", 1), Number("tomada_handlers", 1, ("a label too many",))]
    whole = joined([Reading([], [one]), Reading(odd, [other, Distribution("tomada_unheard_of_seconds", 1, ())])])

    assert whole == Reading([], [other])


def test_a_reading_travels() -> None:
    one = Reading(
        [Number("tomada_handlers", 1.5)], [Distribution(DURATION, 1.5, ((0.1, 1), (float("inf"), 3)), ("A",))]
    )

    assert msgspec.msgpack.decode(msgspec.msgpack.encode(one), type=Reading) == one


def test_labels_are_escaped() -> None:
    text, _ = as_text(Reading([Number("tomada_requests_failed_total", 1, ('a"b\\c\nd',))], []), "")

    assert rb'tomada_requests_failed_total{type="a\"b\\c\nd"} 1.0' in text


DOCS = Path(__file__).parents[2] / "docs" / "how-to"


def test_the_page_about_them_names_all() -> None:
    told = dict(re.findall(r"^\| `(tomada_\w+)` \| ([^|]*) \|", (DOCS / "metrics.md").read_text(), re.MULTILINE))

    assert {name: set(re.findall(r"`(\w+)`", labels)) for name, labels in told.items()} == {
        name: set(family.labels) for name, family in FAMILIES.items()
    }


@pytest.mark.parametrize("document", ["metrics.md", "tracing.md", "grafana-dashboard.json"])
def test_no_query_asks_for_a_name_that_there_is_not(document: str) -> None:
    text = (DOCS / document).read_text()
    asked = {re.sub(r"_(bucket|count|sum)$", "", name) for name in re.findall(r"\btomada_\w+", text)}

    assert asked - set(FAMILIES) == set()
    if document.endswith(".json"):
        panels = json.loads(text)["panels"]
        assert len({panel["id"] for panel in panels}) == len(panels) == 12
