"""A certificate for trials on one's own machine, made on the spot, and what trusts it.

tls/ca.pem     what is to be trusted: an authority that signed this one certificate, and whose
               key was thrown away then: it signs nothing ever again
tls/cert.pem   the certificate, for one name and this machine;  tls/key.pem  its key
"""

from __future__ import annotations

import contextlib
import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from local import demo

GOOD_FOR = timedelta(days=365)
AT_LEAST = timedelta(days=30)
HERE = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Certificate:
    """Where it lies."""

    authority: Path
    chain: Path
    key: Path


def for_name(folder: Path, name: str) -> Certificate:
    """Return the certificate for a name and this machine, made anew if it is missing or ending."""
    made = Certificate(folder / "ca.pem", folder / "cert.pem", folder / "key.pem")
    names = list(dict.fromkeys((name, *HERE)))
    if not _is_good(made, names):
        folder.mkdir(parents=True, exist_ok=True)
        _make(made, names)
    return made


def _is_good(made: Certificate, names: list[str]) -> bool:
    with contextlib.suppress(OSError, ValueError, x509.ExtensionNotFound):
        found = x509.load_pem_x509_certificate(made.chain.read_bytes())
        known = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        lasts = found.not_valid_after_utc - datetime.now(UTC) > AT_LEAST
        is_whole = made.key.exists() and made.authority.exists()
        return is_whole and lasts and set(known) == set(_alternatives(names))
    return False


def _make(made: Certificate, names: list[str]) -> None:
    authority_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    authority_name, name = _named("Local trials of credits"), _named(names[0])
    authority = (
        _begun(authority_name, authority_name, authority_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_others=True), critical=True)
        .sign(authority_key, hashes.SHA256())
    )
    certificate = (
        _begun(name, authority_name, key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_others=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(_alternatives(names)), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()),
            critical=False,
        )
        .sign(authority_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    made.authority.write_bytes(authority.public_bytes(pem))
    made.chain.write_bytes(certificate.public_bytes(pem) + authority.public_bytes(pem))
    private = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    demo.write_private(made.key, private.decode())


def _begun(
    name: x509.Name, issuer: x509.Name, public_key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + GOOD_FOR)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


def _usage(*, signs_others: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_others,
        key_cert_sign=signs_others,
        crl_sign=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _named(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text[:64])])


def _alternatives(names: list[str]) -> list[x509.GeneralName]:
    found: list[x509.GeneralName] = []
    for name in names:
        try:
            found.append(x509.IPAddress(ipaddress.ip_address(name)))
        except ValueError:
            found.append(x509.DNSName(name))
    return found


def how_to_trust(authority: Path) -> list[str]:
    """Say what makes browsers and programs trust it, and no more than it."""
    return [
        "Browsers trust it once you import it as an authority for web sites:",
        f"  {authority}",
        "  Chromium, Linux   certutil -d sql:$HOME/.pki/nssdb -A -t C,, -n credits-trial -i FILE",
        "  Firefox           Settings, Certificates, View, Authorities, Import",
        "  macOS             security add-trusted-cert -k ~/Library/Keychains/login.keychain FILE",
        "  Windows           certutil -user -addstore Root FILE",
        f"A ComfyUI, like all Python: SSL_CERT_FILE={authority}",
    ]
