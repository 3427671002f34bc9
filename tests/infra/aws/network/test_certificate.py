"""The certificate that `make stack` makes: for whom, until when, and when it is made again."""

import pytest
from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store

from infra.aws.network import certificate

DOMAIN = "hm-mlflow.internal"
HOSTS = [f"{label}.{DOMAIN}" for label in ("mlflow", "ray", "app")]


def test_a_certificate_is_for_every_host_and_verified_by_its_authority():
    made = certificate.make(DOMAIN, HOSTS)
    [leaf] = x509.load_pem_x509_certificates(made.certificate.encode())
    [authority] = x509.load_pem_x509_certificates(made.authority.encode())
    for host in HOSTS:
        policy = PolicyBuilder().store(Store([authority])).build_server_verifier(x509.DNSName(host))
        assert policy.verify(leaf, [])[0] == leaf
    stranger = PolicyBuilder().store(Store([authority])).build_server_verifier(x509.DNSName("www.hm-mlflow.internal"))
    with pytest.raises(x509.verification.VerificationError):
        stranger.verify(leaf, [])
    assert "PRIVATE KEY" in made.key
    assert not certificate.is_due(made.certificate, DOMAIN, HOSTS[::-1])
    assert certificate.is_due(made.certificate, "hm-mlflow-try.internal", HOSTS)


def test_a_certificate_is_made_again_when_a_public_service_comes_or_goes():
    made = certificate.make(DOMAIN, HOSTS)
    assert certificate.is_due(made.certificate, DOMAIN, [*HOSTS, f"labels.{DOMAIN}"])
    assert certificate.is_due(made.certificate, DOMAIN, HOSTS[:-1])


def test_a_certificate_is_renewed_before_it_ends(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(certificate, "VALID_DAYS", certificate.RENEWED_DAYS - 1)
    assert certificate.is_due(certificate.make(DOMAIN, HOSTS).certificate, DOMAIN, HOSTS)
