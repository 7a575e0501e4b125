"""Certificates of the webhook's own making: a CA that nobody else knows, and a leaf for the Service's names.

No I/O and no clock here: `now` is given.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

#: A year; the API server trusts the CA through the caBundle alone, so nobody else is concerned by a new one.
LIFETIME = timedelta(days=365)
#: A third of it is left for the change: a cluster that was asleep for months wakes up with a good certificate.
RENEW_BEFORE = timedelta(days=120)
#: Clocks of the nodes may be apart.
BACKDATED = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Certificates:
    """PEM texts. The key is in no `repr`; the CA's own key was thrown away.

    `authority` is the CA that signed the leaf, and after it the one before: the other replica serves the old leaf until
    it looks again.
    """

    certificate: str
    key: str = field(repr=False)
    authority: str

    @property
    def expires(self) -> datetime:
        """When the leaf ends."""
        return x509.load_pem_x509_certificate(self.certificate.encode()).not_valid_after_utc


def make(names: tuple[str, ...], now: datetime, previous: Certificates | None = None) -> Certificates:
    """A new CA and a leaf for these DNS names; the CA of `previous` stays trusted beside it."""
    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "lastcall webhook CA")])
    authority = (
        _builder(issuer, issuer, authority_key.public_key(), now)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(authority_key.public_key()), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    # A common name holds 64 characters; nobody reads it where there are alternative names.
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "lastcall webhook")])
    leaf = (
        _builder(subject, issuer, key.public_key(), now)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    return Certificates(
        leaf.public_bytes(Encoding.PEM).decode(),
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
        authority.public_bytes(Encoding.PEM).decode() + _authority_of(previous),
    )


def _authority_of(previous: Certificates | None) -> str:
    """The CA of the certificates before; nothing when it is none: the API server would refuse the bundle."""
    try:
        found = None if previous is None else x509.load_pem_x509_certificate(previous.authority.encode())
    except ValueError:
        found = None
    return "" if found is None else found.public_bytes(Encoding.PEM).decode()


def usable(certificates: Certificates, names: tuple[str, ...], now: datetime) -> bool:
    """Whether the leaf is for all these names, signed by this CA, of this key, and far enough from its end."""
    try:
        leaf = x509.load_pem_x509_certificate(certificates.certificate.encode())
        leaf.verify_directly_issued_by(x509.load_pem_x509_certificate(certificates.authority.encode()))
        its_own = load_pem_private_key(certificates.key.encode(), password=None).public_key() == leaf.public_key()
        alternative = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except Exception:  # noqa: BLE001 - whatever is wrong with it, a new one is made; cryptography has many words for it
        return False
    covered = set(alternative.get_values_for_type(x509.DNSName))
    return (
        its_own and set(names) <= covered and leaf.not_valid_before_utc <= now < leaf.not_valid_after_utc - RENEW_BEFORE
    )


def service_names(service: str, namespace: str) -> tuple[str, ...]:
    """The names by which the API server, and people, call a Service."""
    return (f"{service}.{namespace}.svc", f"{service}.{namespace}.svc.cluster.local", f"{service}.{namespace}", service)


def _builder(
    subject: x509.Name, issuer: x509.Name, public: ec.EllipticCurvePublicKey, now: datetime
) -> x509.CertificateBuilder:
    now = now.astimezone(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + LIFETIME)
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        key_cert_sign=signs,
        crl_sign=signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
