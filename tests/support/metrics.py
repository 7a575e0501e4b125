"""Reading a sidecar's `/metrics`, with the parser of Prometheus' own client."""

from collections.abc import Iterator

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from tests.support.calls import get
from tests.support.sidecar_process import SidecarProcess


class Scraped:
    """Found by name and the values of labels in the order of their names, as in `found["x_total", "anthropic"]`."""

    def __init__(self, text: str) -> None:
        self._samples = list(_samples(text))

    def __getitem__(self, key: str | tuple[str, ...]) -> float:
        name = key if isinstance(key, str) else key[0]
        found = self._values(key)
        assert len(found) == 1, f"{key}: {found} of {[s for s in self._samples if s.name == name]}"
        return found[0]

    def has(self, *key: str) -> bool:
        """Whether there is such a sample."""
        return bool(self._values(key))

    def _values(self, key: str | tuple[str, ...]) -> list[float]:
        name, *values = (key,) if isinstance(key, str) else key
        return [s.value for s in self._samples if s.name == name and [s.labels[n] for n in sorted(s.labels)] == values]

    def labels(self, name: str) -> set[frozenset[str]]:
        """The names of the labels of each sample of that name; empty where there is no such sample."""
        return {frozenset(sample.labels) for sample in self._samples if sample.name == name}

    @property
    def names(self) -> set[str]:
        return {sample.name for sample in self._samples}


async def scrape(sidecar: SidecarProcess) -> Scraped:
    answer = await get(sidecar.admin_url, "/metrics")
    assert answer.head.status == 200
    return Scraped(answer.body.decode())


def _samples(text: str) -> Iterator[Sample]:
    for family in text_string_to_metric_families(text):
        yield from family.samples
