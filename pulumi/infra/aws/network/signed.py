"""The certificate that the way in shows: one of the user's, one that ACM signs, or the one that `make stack` made."""

import pulumi
import pulumi_aws as aws

from infra.aws.names import EDGE, Names
from infra.aws.settings import AwsSettings
from infra.groups import Groups
from infra.settings import SettingError


def build(names: Names, settings: AwsSettings, groups: Groups) -> tuple[pulumi.Input[str], str | None]:
    """The certificate's ARN, and the text of its authority where clients have to be given it."""
    if settings.certificate_arn:
        return settings.certificate_arn, None
    if settings.hosted_zone:
        return _by_acm(settings.hosted_zone, names, groups), None
    return _imported(names, groups)


def _by_acm(zone: str, names: Names, groups: Groups) -> pulumi.Output[str]:
    """A certificate for all names of the domain, once the zone has shown ACM that the domain is ours."""
    opts = groups.within("Edge", EDGE)
    certificate = aws.acm.Certificate(
        EDGE, domain_name=f"*.{names.domain}", validation_method="DNS", tags=names.tags(EDGE), opts=opts
    )
    asked = certificate.domain_validation_options[0]
    shown = aws.route53.Record(
        EDGE,
        zone_id=zone,
        name=asked.resource_record_name,
        type=asked.resource_record_type,
        records=[asked.resource_record_value],
        ttl=60,
        allow_overwrite=True,  # it is the same one for every stack of this domain
        opts=opts,
    )
    validated = aws.acm.CertificateValidation(
        EDGE, certificate_arn=certificate.arn, validation_record_fqdns=[shown.fqdn], opts=opts
    )
    return validated.certificate_arn


def _imported(names: Names, groups: Groups) -> tuple[pulumi.Input[str], str | None]:
    config = pulumi.Config()
    key, certificate, authority = config.get_secret("tlsKey"), config.get("tlsCertificate"), config.get("tlsAuthority")
    if key is None or certificate is None or authority is None:
        raise SettingError(
            f"tlsKey, tlsCertificate or tlsAuthority is not set in {pulumi.get_stack()}; `make stack "
            f"STACK={pulumi.get_stack()}` makes them, or certificateArn names a certificate of yours in ACM."
        )
    imported = aws.acm.Certificate(
        EDGE,
        private_key=key,
        certificate_body=certificate,
        certificate_chain=authority,
        tags=names.tags(EDGE),
        opts=groups.within("Edge", EDGE),
    )
    return imported.arn, authority
