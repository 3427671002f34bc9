"""The certificate of a stack that was given none: made once by `make stack`, for names that no public authority signs."""

import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from infra.aws.names import HOSTS

# The longest that Apple's clients take, and how long before its end `make stack` makes another.
VALID_DAYS, RENEWED_DAYS = 825, 60
_TLS_SERVER = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])


def make(domain: str) -> tuple[str, str]:
    """A private key and a certificate for the hosts of a domain, as PEM text; clients are given the certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, domain)])
    hosts = x509.SubjectAlternativeName([x509.DNSName(f"{host}.{domain}") for host in HOSTS.values()])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))  # for clients whose clock is behind
        .not_valid_after(now + datetime.timedelta(days=VALID_DAYS))
        .add_extension(hosts, critical=False)
        # Its own authority for exactly one certificate: nothing else can be signed with it.
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_TLS_SERVER, critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return secret.decode(), certificate.public_bytes(serialization.Encoding.PEM).decode()


def is_due(certificate: str, domain: str) -> bool:
    """Whether another one has to be made: it ends soon, or it is for another domain."""
    found = x509.load_pem_x509_certificate(certificate.encode())
    left = found.not_valid_after_utc - datetime.datetime.now(datetime.UTC)
    return left < datetime.timedelta(days=RENEWED_DAYS) or found.subject.rfc4514_string() != f"CN={domain}"
