"""An upstream behind TLS: served when its certificate is good, and told in a sentence when it is not."""

import asyncio
import contextlib
import datetime as dt
import ipaddress
import ssl

import pytest
import pytest_asyncio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from tests.support.raw_client import End
from tests.support.scripted_upstream import LAST_CHUNK, ScriptedUpstream, chunk, sse_head
from tests.support.stage import START, STOP, error_of, on_stage
from tests.support.together import Together

pytestmark = pytest.mark.asyncio(loop_scope="session")

cases = Together()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate for 127.0.0.1 that vouches for itself, and its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "lastcall test")])
    now = dt.datetime.now(dt.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    path = tmp_path_factory.mktemp("tls") / "certificate.pem"
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM) + pem)
    return path


@contextlib.asynccontextmanager
async def secure_upstream(certificate):
    """Answers each request with a short stream; yields its port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    async def serve(reader, writer):
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
            await reader.readexactly(length)
            writer.write(sse_head() + chunk(START) + chunk(STOP) + LAST_CHUNK)
            await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def asked(port, **upstream):
    """The answer of a sidecar with that upstream."""
    given = {"upstream": {"url": f"https://127.0.0.1:{port}", "connectTimeoutSeconds": 5, **upstream}}
    async with on_stage(given) as wire:
        return await wire.ask(wire.part())


@cases.add
async def whose_certificate_we_trust_is_served(certificate):
    async with secure_upstream(certificate) as port:
        answer = await asked(port, caFile=str(certificate))
    assert (answer.head.status, bytes(answer.body), answer.end) == (200, START + STOP, End.COMPLETE)


@cases.add
async def whose_certificate_we_do_not_trust_is_a_502(certificate):
    async with secure_upstream(certificate) as port:
        answer = await asked(port)
    assert (answer.head.status, error_of(answer)["type"]) == (502, "api_error")
    assert error_of(answer)["message"].startswith("cannot connect to the upstream: TLS failed: ")


@cases.add
async def that_speaks_no_tls_is_a_502(certificate):
    async with ScriptedUpstream(_plain) as upstream:
        answer = await asked(upstream.port, caFile=str(certificate))
    assert (answer.head.status, error_of(answer)["type"]) == (502, "api_error")
    assert error_of(answer)["message"].startswith("cannot connect to the upstream: ")


async def _plain(connection):
    await connection.until(lambda: len(connection.received) > 10)
    await connection.send(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")
    await connection.wait_gone()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def running(certificate):
    async with cases.started(certificate=certificate) as found:
        yield found


@pytest.mark.parametrize("name", cases.names)
async def test_an_upstream(running, name):
    await running[name]
