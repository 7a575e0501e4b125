"""Numbers and times that others wrote: read, or taken for absent. Nothing that one pod says may stop a reader."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.status.scenes import pod_body, workload_body

from lastcall_operator.api import names
from lastcall_operator.api.annotations import admin_port, seconds, whole_number
from lastcall_operator.cluster.reading import read_pod
from lastcall_operator.cluster.sidecars import target_of
from lastcall_operator.commands.rows import row_of
from lastcall_operator.status.records import pod_record, workload_record

#: What `int` refuses with an exception, and what it takes although no API server writes it.
ODD_NUMBERS = ["9" * 5000, "-" + "9" * 5000, "²", "१", "1_000", " 1", "+1", "-", "", "0x1", "1.0", "NaN"]
_SIGNS = '0123456789-+:.TZ²१[]{}"a'
_READ = [
    names.ADMIN_PORT, names.DELETION_COST, names.COST_WRITTEN, names.HELD_SINCE, names.ASK_AGAIN, names.ROLLOUT_SINCE,
    names.NOTES, names.ALLOW_REMOVAL, names.STREAM_PROXY, "deployment.kubernetes.io/revision",
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "number"), [("0", 0), ("7", 7), ("-8", -8), ("08", 8), ("99", None), ("-9", None), (7, None), (None, None)]
)
def test_a_whole_number_is_decimal_and_within_its_bounds(text: object, number: int | None) -> None:
    assert whole_number(text, least=-8, most=98) == number


@pytest.mark.parametrize("text", ODD_NUMBERS, ids=lambda text: repr(text[:8]))
def test_what_is_no_number_is_none(text: str) -> None:
    assert whole_number(text, least=-(2**31), most=2**31 - 1) is None


@pytest.mark.parametrize(
    ("text", "port"),
    [("18081", 18081), ("65535", 65535), ("", 8081), ("x", 8081), ("0", 8081), ("65536", 8081), ("9" * 5000, 8081)],
    ids=["named", "the last", "empty", "no number", "zero", "too large", "far too large"],
)
def test_a_pod_that_names_no_port_has_the_usual_one(text: str, port: int) -> None:
    assert admin_port({names.ADMIN_PORT: text}) == port


def test_a_pod_without_annotations_has_the_usual_port() -> None:
    assert admin_port(None) == admin_port({}) == 8081


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("1970-01-01T00:01:00Z", 60.0), ("1970-01-01T00:01:00", 60.0), ("1970-01-01T01:01:00+01:00", 60.0),
        (None, None), ("", None), ("soon", None), ("0000-00-00", None), (60, None), ("2026-02-30T00:00:00Z", None),
    ],
)  # fmt: skip
def test_a_time_is_read_or_none(text: object, time: float | None) -> None:
    assert seconds(text) == time


@given(
    st.dictionaries(
        st.sampled_from(_READ), st.sampled_from(ODD_NUMBERS) | st.text('0123456789-+:.TZ²१[]{}"a', max_size=20)
    )
)
def test_no_annotation_of_a_pod_stops_its_readers(annotations: dict[str, str]) -> None:
    body = pod_body()
    body["metadata"]["annotations"] = annotations
    body["status"]["podIP"] = "10.0.0.1"
    assert 1 <= pod_record(body).port <= 65535
    assert read_pod(body, None, 0, 60.0).name == body["metadata"]["name"]
    assert row_of(body, None).state == "silent"
    assert (target := target_of(body)) is None or 1 <= target.port <= 65535


@pytest.mark.parametrize("text", ODD_NUMBERS, ids=lambda text: repr(text[:8]))
def test_no_annotation_of_a_replica_set_stops_its_reader(text: str) -> None:
    body = workload_body()
    body["metadata"].setdefault("annotations", {})["deployment.kubernetes.io/revision"] = text
    assert workload_record(body, "ReplicaSet").sequence == 0
