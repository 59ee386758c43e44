"""An authority of the tests' own, and the certificates it issues, as files."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import trustme

from tomada.settings import TLS


class Authority:
    """Issues certificates into a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ca = trustme.CA(organization_name="tests", organization_unit_name="authority")
        self.file = self._write("authority.pem", self.ca.cert_pem.bytes())
        self.certificate = self.issue("server", "localhost", "127.0.0.1", "::1")
        self.server = TLS(certificate=str(self.certificate))
        self.client = TLS(authority=str(self.file))

    def issue(self, name: str, *identities: str, begins: int = 2020, ends: int = 2500, common_name: str = "") -> Path:
        """A file with key and certificate for the names."""
        issued = self.ca.issue_cert(
            *identities,
            common_name=common_name or None,
            not_before=datetime(begins, 1, 1, tzinfo=UTC),
            not_after=datetime(ends, 1, 1, tzinfo=UTC),
        )
        return self._write(f"{name}.pem", issued.private_key_and_cert_chain_pem.bytes())

    def apart(self, name: str, *identities: str) -> tuple[Path, Path]:
        """Certificate and key in files of their own."""
        issued = self.ca.issue_cert(*identities)
        certificate = self._write(f"{name}.pem", issued.cert_chain_pems[0].bytes())
        return certificate, self._write(f"{name}-key.pem", issued.private_key_pem.bytes())

    def mutual(self, *protocols: str) -> TLS:
        """Of a server whose clients must have a certificate."""
        return TLS(certificate=str(self.certificate), authority=str(self.file), protocols=protocols)

    def teller(self) -> TLS:
        """Of a client with a certificate."""
        file = self.issue("teller", "teller@example.org", common_name="teller 1")
        return TLS(certificate=str(file), authority=str(self.file))

    def _write(self, name: str, content: bytes) -> Path:
        file = self.folder / name
        file.write_bytes(content)
        return file
