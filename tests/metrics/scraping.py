"""Scrapes a page as Prometheus does, and reads it with the parser of `prometheus_client`."""

from __future__ import annotations

import urllib.error
import urllib.request
from typing import TYPE_CHECKING

from prometheus_client.parser import text_string_to_metric_families

if TYPE_CHECKING:
    from prometheus_client.core import Metric


class Scrape:
    """What was told at one moment."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.families: dict[str, Metric] = {}
        for family in text_string_to_metric_families(text):
            assert family.name not in self.families, "each name is told once"
            self.families[family.name] = family

    def __call__(self, name: str, **labels: str) -> float:
        """The value of one sample; 0 where there is none with these labels."""
        found = [
            sample.value
            for family in self.families.values()
            for sample in family.samples
            if sample.name == name and sample.labels == labels
        ]
        assert len(found) <= 1
        return found[0] if found else 0.0

    @property
    def counters(self) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
        """All that must never go back, by name and labels."""
        return {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in self.families.values()
            if family.type in ("counter", "histogram")
            for sample in family.samples
        }


def fetch(url: str, accept: str = "", method: str = "GET") -> tuple[int, str, str]:
    """Status, content type and body."""
    request = urllib.request.Request(url, headers={"Accept": accept} if accept else {}, method=method)  # noqa: S310 - http
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - as above
            return answer.status, answer.headers["Content-Type"], answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers["Content-Type"], error.read().decode()


def scrape(url: str) -> Scrape:
    """The page, which must be fine."""
    status, kind, text = fetch(url)
    assert (status, kind.partition(";")[0]) == (200, "text/plain")
    return Scrape(text)
