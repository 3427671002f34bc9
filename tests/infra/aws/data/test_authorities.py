"""The authorities of RDS that the images carry."""

import re
import ssl

from cryptography import x509

from infra.settings import ROOT


def test_the_authorities_of_rds_sign_themselves_and_are_named_by_region():
    text = (ROOT / "compose" / "images" / "rds-authorities.pem").read_text()
    regions = re.findall(r"^# (\S+), until", text, re.MULTILINE)
    found = x509.load_pem_x509_certificates(text.encode())
    assert len(found) == len(regions) > 20
    for region, authority in zip(regions, found, strict=True):
        authority.verify_directly_issued_by(authority)
        assert f"Amazon RDS {region} Root CA RSA2048 G1" in authority.subject.rfc4514_string()
    assert len(ssl.create_default_context(cadata=text).get_ca_certs()) == len(found)
