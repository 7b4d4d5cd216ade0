"""Certificates for scenarios, made with the commands that ops/README.md has.

    ca = Authority(directory, "ca")
    server = ca.issue("server", "DNS:localhost,IP:127.0.0.1")
    Daemon(..., *ca.server_flags(server))
"""
import dataclasses
import pathlib
import ssl
import subprocess

KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
LOCAL = "DNS:localhost,IP:127.0.0.1"


def openssl(*args):
    """Run it; answers what it prints."""
    done = subprocess.run(["openssl", *map(str, args)], capture_output=True,
                          stdin=subprocess.DEVNULL, text=True, check=False)
    assert done.returncode == 0, f"{args}: {done.stderr}"
    return done.stdout


@dataclasses.dataclass
class Certificate:
    """Two PEM files."""
    cert: pathlib.Path
    key: pathlib.Path

    def serial(self):
        """As Python's getpeercert() has it."""
        return openssl("x509", "-in", self.cert, "-noout",
                       "-serial").strip().split("=")[1]


class Authority:
    """A CA in a directory of its own."""

    def __init__(self, directory, name):
        self.directory = directory / name
        self.directory.mkdir(parents=True)
        self.pem = self.directory / "ca.pem"
        self._key = self.directory / "ca.key"
        openssl("req", "-x509", *KEY, "-keyout", self._key, "-out", self.pem,
                "-subj", f"/CN=Comb {name}", "-days", 30)

    def issue(self, name, names=None, usage=None, expired=False, subject=None):
        """A certificate of common name name; names: alternative ones.

        Issued again under a name, it takes the other's place. subject: the
        common name where it is another.
        """
        common_name = name if subject is None else subject
        made = Certificate(self.directory / f"{name}.pem",
                           self.directory / f"{name}.key")
        request = self.directory / f"{name}.csr"
        extensions = ["basicConstraints=critical,CA:FALSE"]
        extensions += [f"subjectAltName={names}"] if names else []
        extensions += [f"extendedKeyUsage={usage}"] if usage else []
        openssl("req", "-new", *KEY, "-keyout", made.key, "-out", request,
                "-subj", "/O=Comb/CN=" + common_name.replace("/", "\\/"),
                *(word for it in extensions for word in ("-addext", it)))
        openssl("x509", "-req", "-in", request, "-CA", self.pem, "-CAkey",
                self._key, "-copy_extensions", "copy", "-days",
                -1 if expired else 7, "-out", made.cert)
        return made

    def server_flags(self, own, allow=None):
        """A daemon's: shows own, wants callers of this CA, table allow."""
        flags = ["--tls-cert", own.cert, "--tls-key", own.key,
                 "--tls-ca", self.pem]
        return flags + (["--tls-allow", allow] if allow else [])

    def cell_flags(self, own):
        """A router's: shows own to cells of this CA."""
        return ["--cell-tls-ca", self.pem, "--cell-tls-cert", own.cert,
                "--cell-tls-key", own.key]

    def context(self, own=None):
        """A Python client's: shows own, believes servers of this CA."""
        made = ssl.create_default_context(cafile=self.pem)
        if own:
            made.load_cert_chain(own.cert, own.key)
        return made

    def combctl_flags(self, own):
        """combctl's: likewise."""
        return ["--tls-ca", str(self.pem), "--tls-cert", str(own.cert),
                "--tls-key", str(own.key)]
