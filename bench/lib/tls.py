"""The certificate that every server shows, and what every connection has to agree on."""
import ssl
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from .failure import Failed
from .processes import quietly

VERSION, CIPHER = "TLSv1.3", "TLS_AES_128_GCM_SHA256"  # as load/openssl.cnf says


@dataclass(frozen=True)
class Certificate:
    """An ECDSA key on P-256 and its self-signed certificate, in files of their own and in one."""

    chain: Path
    key: Path
    both: Path

    @cached_property
    def client(self):
        """What a client needs that trusts it."""
        return ssl.create_default_context(cafile=self.chain)


def make_certificate(folder):
    made = Certificate(folder / "chain.pem", folder / "key.pem", folder / "both.pem")
    quietly(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
             "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
             "-keyout", str(made.key), "-out", str(made.chain)])
    made.both.write_text(made.chain.read_text() + made.key.read_text())
    for file in (made.key, made.both):
        file.chmod(0o644)  # servers that give up root's rights read it too
    return made


def check(label, connection):
    """The same for everybody, or the figures cannot be compared."""
    agreed = connection.version(), connection.cipher()[0]
    if agreed != (VERSION, CIPHER):
        raise Failed(f"{label} agreed on {' with '.join(agreed)} instead of {VERSION} with {CIPHER}")
