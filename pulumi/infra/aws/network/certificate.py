"""The certificate of a stack that was given none: made by `make stack`, for names that no public authority signs."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

# The longest that Apple's clients take, and how long before its end `make stack` makes another.
VALID_DAYS, RENEWED_DAYS = 825, 60


@dataclass(frozen=True, kw_only=True)
class Made:
    """PEM texts: the key, its certificate, and the authority that signed it, which clients have to trust.

    The authority's own key is forgotten at once, so that nothing else can ever be signed with it.
    """

    key: str
    certificate: str
    authority: str


def make(domain: str, hosts: Sequence[str]) -> Made:
    """A certificate for hosts of a domain, by their whole names."""
    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    identifier = x509.SubjectKeyIdentifier.from_public_key(authority_key.public_key())
    issuer = _name(f"{domain} authority")
    authority = (
        _builder(issuer, issuer, authority_key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.NameConstraints([x509.DNSName(domain)], None), critical=True)
        .add_extension(identifier, critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    certificate = (
        _builder(_name(domain), issuer, key)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return Made(key=secret.decode(), certificate=_pem(certificate), authority=_pem(authority))


def is_due(certificate: str, domain: str, hosts: Sequence[str]) -> bool:
    """Whether another one has to be made: it ends soon, or it is for another domain or for other hosts."""
    found = x509.load_pem_x509_certificate(certificate.encode())
    left = found.not_valid_after_utc - datetime.datetime.now(datetime.UTC)
    named = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    other = found.subject != _name(domain) or set(named.get_values_for_type(x509.DNSName)) != set(hosts)
    return other or left < datetime.timedelta(days=RENEWED_DAYS)


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))  # for clients whose clock is behind
        .not_valid_after(now + datetime.timedelta(days=VALID_DAYS))
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()
