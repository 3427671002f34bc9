"""A team's key pair for versions, as the settings of a stack have it: looked at before anything is brought up."""

from collections.abc import Iterator

from infra import stack

_MAKING = "openssl ecparam -name prime256v1 -genkey -noout -out hm-mlflow.pem"
_PUBLIC = "openssl ec -in hm-mlflow.pem -pubout -out hm-mlflow.pub.pem"


def wrong_keys(name: str) -> Iterator[str]:
    """A line for each key of a stack that signs or checks nothing; they are on elliptic curves, in PEM."""
    if (text := stack.read_setting("signingKey", name)) is not None and not _reads(text, private=True):
        yield (
            f"signingKey of {name} is no private key on an elliptic curve; it takes the file that `{_MAKING}` writes: "
            f"pulumi config set --secret signingKey --stack {name} < hm-mlflow.pem"
        )
    if (text := stack.read_setting("trustedKey", name)) is not None and not _reads(text, private=False):
        yield (
            f"trustedKey of {name} is no public key on an elliptic curve; it takes the file that `{_PUBLIC}` writes: "
            f"pulumi config set trustedKey --stack {name} < hm-mlflow.pub.pem"
        )


def _reads(text: str, *, private: bool) -> bool:
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415  most stacks have no key
    from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key  # noqa: PLC0415

    try:
        if private:
            return isinstance(load_pem_private_key(text.encode(), password=None), ec.EllipticCurvePrivateKey)
        return isinstance(load_pem_public_key(text.encode()), ec.EllipticCurvePublicKey)
    except (ValueError, TypeError):  # no PEM, a key of an unknown kind, or one with a passphrase
        return False
