"""The webhook's own certificate: good for the Service, shared by the replicas, changed in time, with no restart."""

import asyncio
import ssl
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509

from lastcall_operator.cluster.resources import MUTATING_WEBHOOKS, SECRETS, VALIDATING_WEBHOOKS
from lastcall_operator.settings import Settings
from lastcall_operator.telemetry.metrics import Metrics
from lastcall_operator.testing import FakeCluster, pod_deletion_review
from lastcall_operator.webhook.certificates import Certificates, make, service_names, usable
from lastcall_operator.webhook.trust import RETRY_SECONDS, CertificateError, Trust, server_context

from .stage import HOST, staged

NOW = datetime(2026, 11, 22, tzinfo=UTC)
NAMES = service_names("f-webhook", "lastcall")
MADE = make(NAMES, NOW)


@pytest.mark.parametrize(
    ("certificates", "names", "days", "good"),
    [
        pytest.param(MADE, NAMES, 0, True, id="new"),
        pytest.param(MADE, NAMES, 244, True, id="before the change is due"),
        pytest.param(MADE, NAMES, 246, False, id="a third of its life is left"),
        pytest.param(MADE, NAMES, -1, False, id="not valid yet"),
        pytest.param(MADE, (*NAMES, "other"), 0, False, id="not for this name"),
        pytest.param(
            Certificates(MADE.certificate, MADE.key, make(NAMES, NOW).authority), NAMES, 0, False, id="another CA's"
        ),
        pytest.param(
            Certificates(MADE.certificate, make(NAMES, NOW).key, MADE.authority), NAMES, 0, False, id="another key"
        ),
        pytest.param(Certificates(MADE.certificate, "", MADE.authority), NAMES, 0, False, id="no key"),
        pytest.param(Certificates("x", "y", "z"), NAMES, 0, False, id="no certificate at all"),
    ],
)
def test_whether_a_certificate_is_good(certificates, names, days, good):
    assert usable(certificates, names, NOW + timedelta(days=days)) is good


def test_a_new_one_keeps_trusting_the_ca_before():
    second = make(NAMES, NOW, MADE)
    third = make(NAMES, NOW, second)
    bundle = x509.load_pem_x509_certificates(third.authority.encode())
    assert len(bundle) == 2
    assert bundle[1] == x509.load_pem_x509_certificate(second.authority.encode())
    assert usable(third, NAMES, NOW)
    assert make(NAMES, NOW, Certificates("", "", "x")).authority.count("BEGIN") == 1


def test_the_key_shows_in_no_repr():
    assert "PRIVATE" not in repr(MADE)


@pytest.fixture
async def cluster():
    async with FakeCluster() as found:
        for resource, name in ((MUTATING_WEBHOOKS, "f-injection"), (VALIDATING_WEBHOOKS, "f-removals")):
            webhooks = [{"name": "a", "clientConfig": {}}, {"name": "b", "clientConfig": {"caBundle": "old"}}]
            found.put(resource, {"metadata": {"name": name}, "webhooks": webhooks})
        yield found


@pytest.fixture
async def api(cluster):
    async with cluster.connect() as found:
        yield found


@pytest.fixture
def metrics():
    found = Metrics()
    yield found
    found.shutdown()


def keeper(api, metrics, now=NOW, **settings):
    chosen = Settings(own_namespace="lastcall", fullname="f", **settings)
    return Trust(api, chosen, server_context(), metrics, lambda: now)


def bundles(cluster):
    return {
        webhook["clientConfig"]["caBundle"]
        for resource in (MUTATING_WEBHOOKS, VALIDATING_WEBHOOKS)
        for each in cluster.all(resource)
        for webhook in each["webhooks"]
    }


async def test_two_replicas_share_one_and_a_second_look_writes_nothing(cluster, api, metrics):
    cluster.delay_seconds = 0.02  # both have looked before either has made one
    both = [keeper(api, metrics) for _ in range(2)]
    assert not both[0].ready
    await asyncio.gather(*(each.look() for each in both))
    assert [each.ready for each in both] == [True, True]
    assert bundles(cluster) == {cluster.get(SECRETS, "lastcall", "f-webhook-tls")["data"]["ca.crt"]}
    before = cluster.requests["PATCH", "validatingwebhookconfigurations"]
    await both[0].look()
    assert cluster.requests["PATCH", "validatingwebhookconfigurations"] == before


async def test_an_old_one_is_replaced_and_both_cas_are_trusted(cluster, api, metrics):
    await keeper(api, metrics).look()
    old = cluster.get(SECRETS, "lastcall", "f-webhook-tls")["data"]
    await keeper(api, metrics, NOW + timedelta(days=300)).look()
    new = cluster.get(SECRETS, "lastcall", "f-webhook-tls")["data"]
    assert new["tls.crt"] != old["tls.crt"]
    assert bundles(cluster) == {new["ca.crt"]}


async def test_a_bundle_that_somebody_overwrote_is_put_back(cluster, api, metrics):
    trust = keeper(api, metrics)
    await trust.look()
    found = cluster.get(MUTATING_WEBHOOKS, None, "f-injection")
    found["webhooks"][0]["clientConfig"]["caBundle"] = "c29tZXRoaW5n"
    cluster.put(MUTATING_WEBHOOKS, found)
    await trust.look()
    assert len(bundles(cluster)) == 1


class Contended(FakeCluster):
    """An API server whose webhook configurations somebody else changes between each read and each write."""

    async def _handle(self, request):
        if request.method == "PATCH":
            found = self.get(VALIDATING_WEBHOOKS, None, "f-removals")
            self.put(VALIDATING_WEBHOOKS, found)
        return await super()._handle(request)


async def test_a_leaf_that_nobody_trusts_yet_is_not_served(metrics):
    async with Contended() as cluster, cluster.connect() as api:
        for resource, name in ((MUTATING_WEBHOOKS, "f-injection"), (VALIDATING_WEBHOOKS, "f-removals")):
            cluster.put(resource, {"metadata": {"name": name}, "webhooks": [{"name": "a", "clientConfig": {}}]})
        trust = keeper(api, metrics)
        with pytest.raises(CertificateError, match="f-removals keeps changing"):
            await trust.look()
        assert not trust.ready
        assert trust._loaded is None  # the one before, if there is one, is served until then


async def test_a_missing_configuration_stops_nothing(cluster, api, metrics):
    cluster.remove(MUTATING_WEBHOOKS, None, "f-injection")
    trust = keeper(api, metrics)
    await trust.look()
    assert trust.ready


async def test_a_configuration_that_comes_later_trusts_it_soon(cluster, api, metrics):
    found = cluster.get(MUTATING_WEBHOOKS, None, "f-injection")
    cluster.remove(MUTATING_WEBHOOKS, None, "f-injection")
    trust = keeper(api, metrics)
    keeping = asyncio.create_task(trust.keep())
    async with asyncio.timeout(2 * RETRY_SECONDS):
        while not trust.ready:  # noqa: ASYNC110 - seen from outside, as a probe does
            await asyncio.sleep(0.01)
        cluster.put(MUTATING_WEBHOOKS, found)
        config = lambda: cluster.get(MUTATING_WEBHOOKS, None, "f-injection")["webhooks"][0]["clientConfig"]  # noqa: E731
        while "caBundle" not in config():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    keeping.cancel()


async def test_with_cert_manager_files_are_loaded_and_nothing_is_patched(cluster, api, metrics, tmp_path):
    trust = keeper(api, metrics, certificate_folder=str(tmp_path))
    with pytest.raises(CertificateError, match="no certificate in"):
        await trust.look()
    (tmp_path / "tls.crt").write_text("x")
    (tmp_path / "tls.key").write_text("x")
    with pytest.raises(CertificateError, match="is no certificate"):
        await trust.look()
    (tmp_path / "tls.crt").write_text(MADE.certificate)
    with pytest.raises(CertificateError, match="cannot be loaded"):
        await trust.look()
    assert not trust.ready
    (tmp_path / "tls.key").write_text(MADE.key)
    await trust.look()
    assert trust.ready
    assert cluster.requests.total() == 0


async def served(stage):
    """The certificate that a new connection sees."""
    port = stage.webhooks[0][1].webhook_port
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=stage.trusted, server_hostname=HOST)
    found = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    await writer.wait_closed()
    return found


async def test_a_new_certificate_is_served_without_a_restart():
    async with staged() as stage:
        before = await served(stage)
        stage.cluster.remove(SECRETS, "lastcall", "f-webhook-tls")
        await stage.webhooks[0][0].trust.look()
        assert await served(stage) != before


async def test_nobody_without_the_bundle_trusts_it():
    async with staged() as stage:
        port = stage.webhooks[0][1].webhook_port
        with pytest.raises(ssl.SSLCertVerificationError):
            await asyncio.open_connection("127.0.0.1", port, ssl=ssl.create_default_context(), server_hostname=HOST)


async def test_probes_and_metrics_are_plain():
    async with staged() as stage:
        assert await stage.probe("/livez") == (200, "ok\n")
        assert await stage.probe("/readyz") == (200, "ok\n")
        stage.policy()
        stage.workload(a=1, b=0)
        await stage.removal(pod_deletion_review(stage.get_pod("a")))
        _, text = await stage.probe("/metrics")
        assert 'lastcall_removals_total{decision="Refuse",kind="ReplicaSet"} 1.0' in text
        assert 'lastcall_removal_duration_seconds_count{kind="ReplicaSet"} 1.0' in text
        assert "lastcall_webhook_certificate_expiry_timestamp_seconds 1." in text
        stage.webhooks[0][0].leaving = True
        assert (await stage.probe("/readyz"))[0] == 503
        assert (await stage.probe("/livez"))[0] == 200
