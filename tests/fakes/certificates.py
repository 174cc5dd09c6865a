"""Certificates of a made-up authority."""

import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, NameOID

from gateway.proxy.downstream.tls import CertificateFiles


class Authority:
    """Signs certificates; all its files are in one folder."""

    def __init__(self, folder: Path, name: str = "ca") -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(name)
        self.file = folder / f"{name}.pem"
        """The authority's own certificate."""
        usage = x509.KeyUsage(
            digital_signature=False,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=True,
            crl_sign=True,
            encipher_only=False,
            decipher_only=False,
        )
        builder = (
            self._builder(self._name, self._key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(usage, critical=True)
        )
        self.file.write_bytes(_pem(builder.sign(self._key, hashes.SHA256())))

    def issue(
        self, *names: str, file: str = "", raw_dns_name: bytes = b"", days: int = 1
    ) -> CertificateFiles:
        """
        A certificate for ``names``, hosts or addresses, and its key, valid for so many days.

        ``raw_dns_name`` is one name instead, of any bytes. Files of the same name are replaced.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        purposes = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        authority_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        builder = (
            self._builder(_name(file or names[0]), key, days)
            .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
            .add_extension(authority_key, critical=False)
        )
        if names:
            subjects = x509.SubjectAlternativeName(map(_general_name, names))
            builder = builder.add_extension(subjects, critical=False)
        if raw_dns_name:
            builder = builder.add_extension(_raw_subjects(raw_dns_name), critical=False)
        base = self._folder / (file or names[0])
        certificate, key_file = Path(f"{base}.crt"), Path(f"{base}.key")
        certificate.write_bytes(_pem(builder.sign(self._key, hashes.SHA256())))
        key_file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        key_file.chmod(0o600)
        return CertificateFiles(str(certificate), str(key_file))

    def server(self, name: str, *, asks_clients: bool = False) -> ssl.SSLContext:
        """What a server that is called ``name`` uses; whether clients must show a certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.issue(name))
        if asks_clients:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(self.file)
        return context

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, days: int = 1
    ) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        public = key.public_key()
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=days))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        pass
    if "://" in name:
        return x509.UniformResourceIdentifier(name)
    return x509.RFC822Name(name) if "@" in name else x509.DNSName(name)


def _raw_subjects(dns_name: bytes) -> x509.UnrecognizedExtension:
    """The extension with one DNS name (RFC 5280 section 4.2.1.6), in DER."""
    general_name = bytes((0x82, len(dns_name))) + dns_name
    sequence = bytes((0x30, len(general_name))) + general_name
    return x509.UnrecognizedExtension(ExtensionOID.SUBJECT_ALTERNATIVE_NAME, sequence)


def serial_of(der: bytes | None) -> int:
    """Which certificate a peer has shown."""
    assert der is not None
    return x509.load_der_x509_certificate(der).serial_number


def serial_in(path: str) -> int:
    """Which certificate a file holds."""
    return x509.load_pem_x509_certificate(Path(path).read_bytes()).serial_number


def der_in(path: str) -> bytes:
    """The certificate in a file, as it is shown in a handshake."""
    found = x509.load_pem_x509_certificate(Path(path).read_bytes())
    return found.public_bytes(serialization.Encoding.DER)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
