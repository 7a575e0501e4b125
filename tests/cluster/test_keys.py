"""The key of leased drains: made once, whoever is first, and its tokens are what the sidecar accepts."""

import asyncio
import base64
import time

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from lastcall_operator.cluster.keys import DrainKey, KeyUnusableError, make_pair
from lastcall_operator.cluster.resources import SECRETS
from lastcall_operator.testing import FakeCluster
from lastcall_sidecar.auth import TokenError, check_drain_token

NOW = 1_800_000_000.0


@pytest.fixture
async def cluster():
    async with FakeCluster() as found:
        yield found


@pytest.mark.parametrize(
    ("uid", "later", "accepted"),
    [
        pytest.param("pod-1", 0, True, id="fresh"),
        pytest.param("pod-1", -4, True, id="the pod's clock is behind"),
        pytest.param("pod-2", 0, False, id="another pod's"),
    ],
)
def test_the_sidecar_accepts_a_token_for_itself_alone(uid, later, accepted):
    pair, now = make_pair(), time.time()
    header = f"Bearer {pair.token('pod-1', now - later)}"
    if accepted:
        assert check_drain_token(header, public_key=pair.public_pem, pod_uid=uid, now=now)["aud"] == "pod-1"
    else:
        with pytest.raises(TokenError):
            check_drain_token(header, public_key=pair.public_pem, pod_uid=uid, now=now)


def test_a_token_lasts_a_minute():
    claims = jwt.decode(make_pair().token("pod-1", NOW), options={"verify_signature": False})
    assert (claims["iat"], claims["exp"]) == (NOW, NOW + 60)


def test_the_sidecar_refuses_another_key():
    header = f"Bearer {make_pair().token('pod-1', time.time())}"
    with pytest.raises(TokenError):
        check_drain_token(header, public_key=make_pair().public_pem, pod_uid="pod-1")


def test_the_private_half_shows_in_no_repr():
    assert "PRIVATE" not in repr(make_pair())


async def test_ten_processes_at_once_agree_on_one_key(cluster):
    apis = [cluster.connect() for _ in range(10)]
    cluster.delay_seconds = 0.02  # all of them have looked before the first has made one
    pairs = await asyncio.gather(*(DrainKey(api, "lastcall", "f-drain-key").pair() for api in apis))
    assert len({pair.private_pem for pair in pairs}) == 1
    assert cluster.requests["POST", "secrets"] == 10
    stored = cluster.get(SECRETS, "lastcall", "f-drain-key")["data"]
    assert base64.b64decode(stored["public.pem"]).decode() == pairs[0].public_pem
    await asyncio.gather(*(api.close() for api in apis))


async def test_the_key_is_read_once_until_it_is_forgotten(cluster):
    async with cluster.connect() as api:
        key = DrainKey(api, "lastcall", "f-drain-key")
        headers = await key.headers("pod-1")
        public = (await key.pair()).public_pem
        check_drain_token(headers["Authorization"], public_key=public, pod_uid="pod-1")
        assert cluster.requests["GET", "secrets"] == 1
        key.forget()
        assert (await key.pair()).public_pem == public
        assert cluster.requests["GET", "secrets"] == 2


ELLIPTIC = ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@pytest.mark.parametrize(
    ("data", "why"),
    [
        pytest.param({}, "no private key", id="empty"),
        pytest.param({"private.pem": "?"}, "no private key", id="not base64"),
        pytest.param({"private.pem": base64.b64encode(b"x").decode()}, "no private key", id="not PEM"),
        pytest.param({"private.pem": base64.b64encode(ELLIPTIC).decode()}, "no Ed25519", id="another kind of key"),
    ],
)
async def test_a_secret_without_a_key_is_said_so(cluster, data, why):
    cluster.put(SECRETS, {"metadata": {"name": "f-drain-key", "namespace": "lastcall"}, "data": data})
    async with cluster.connect() as api:
        with pytest.raises(KeyUnusableError, match=why):
            await DrainKey(api, "lastcall", "f-drain-key").pair()
