"""A small universe for tests of devices alone: CAs, a KeyEx over HTTPS and a C2 server's files, in one directory.

Uses python3-cryptography, srup5.py.  "S8" names a section of the SRUP version 5 notes.  No attack is refused here:
that is the real server's business.
"""

import datetime
import http.server
import ipaddress
import json
import pathlib
import ssl
import threading

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

import srup5
from peer_base import b64, unb64

DAY = datetime.timedelta(days=1)
ADDRESS = "127.0.0.1"


def name_of(common_name):
    """An X.509 name with nothing but a CN."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


class Authority:
    """A CA that lives in memory."""

    def __init__(self, common_name):
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = name_of(common_name)
        self.cert = self._sign(self.name, self.key.public_key(), None)

    def _sign(self, subject, public_key, usage, life=30 * DAY):
        now = datetime.datetime.utcnow()
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(self.name).public_key(public_key)
        builder = builder.serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(now - DAY if life > DAY else now).not_valid_after(now + life)
        builder = builder.add_extension(x509.BasicConstraints(ca=usage is None, path_length=None), critical=True)
        if usage is not None:
            builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        if usage == ExtendedKeyUsageOID.SERVER_AUTH:
            names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address(ADDRESS))]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(self.key, hashes.SHA256())

    def certify(self, common_name, public_key, usage=ExtendedKeyUsageOID.CLIENT_AUTH, life=30 * DAY):
        """PEM bytes of a leaf certificate."""
        return self._pem(self._sign(name_of(common_name), public_key, usage, life))

    @staticmethod
    def _pem(cert):
        return cert.public_bytes(srup5.serialization.Encoding.PEM)

    @property
    def pem(self):
        return self._pem(self.cert)


class FakeKeyEx:
    """KeyEx on https://localhost:port, and the files that a broker and a C2 server need.

    broken maps a path's first part ("access") to a status answered instead, requests lists what was asked, life is how
    long the devices' certificates are good.
    """

    def __init__(self, directory, port, broker="localhost"):
        self.dir, self.port, self.broker = pathlib.Path(directory), port, broker
        self.key = rsa.generate_private_key(65537, 2048)
        self.identity = srup5.id_text(srup5.new_id())
        self.web_ca, self.broker_ca = Authority("fake web CA"), Authority("fake broker CA")
        self.devices, self.broken, self.requests, self.life = {}, {}, [], 30 * DAY
        self._write_files()
        self._serve()

    def _leaf(self, authority, stem, common_name, usage):
        key = ec.generate_private_key(ec.SECP256R1())
        (self.dir / f"{stem}.key").write_bytes(srup5.private_pem(key))
        (self.dir / f"{stem}.crt").write_bytes(authority.certify(common_name, key.public_key(), usage))

    def _write_files(self):
        self.dir.mkdir(parents=True, exist_ok=True)
        (self.dir / "web_ca.crt").write_bytes(self.web_ca.pem)
        (self.dir / "broker_ca.crt").write_bytes(self.broker_ca.pem)
        (self.dir / "keyex_pub.pem").write_bytes(srup5.public_pem(self.key))
        self._leaf(self.web_ca, "web", "localhost", ExtendedKeyUsageOID.SERVER_AUTH)
        self._leaf(self.broker_ca, "broker", "localhost", ExtendedKeyUsageOID.SERVER_AUTH)
        self.server_id = srup5.id_text(srup5.new_id())
        server_key = rsa.generate_private_key(65537, 2048)
        self.server_pem = srup5.public_pem(server_key)
        (self.dir / "c2_server.id").write_text(self.server_id + "\n", "ascii")
        (self.dir / "c2_server.pem").write_bytes(srup5.private_pem(server_key))
        (self.dir / "c2_server_pub.pem").write_bytes(self.server_pem)
        self._leaf(self.broker_ca, "c2_server", self.server_id, ExtendedKeyUsageOID.CLIENT_AUTH)

    def _serve(self):
        keyex = self

        class Handler(http.server.BaseHTTPRequestHandler):
            """One request."""

            def log_message(self, *_args):
                """Silent."""

            def _answer(self, body):
                status, reply = keyex.answer(self.path, body)
                data = reply if isinstance(reply, bytes) else json.dumps(reply).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def do_GET(self):
                """GET"""
                self._answer(None)

            def do_POST(self):
                """POST"""
                self._answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.dir / "web.crt", self.dir / "web.key")
        self.httpd = http.server.ThreadingHTTPServer((ADDRESS, self.port), Handler)
        self.httpd.socket = context.wrap_socket(self.httpd.socket, server_side=True)
        threading.Thread(target=self.httpd.serve_forever, daemon=True).start()

    def close(self):
        """Stop listening."""
        self.httpd.shutdown()
        self.httpd.server_close()

    # -- S8

    def answer(self, path, body):
        """(status, reply) of a request."""
        parts = path.split("/")[3:]
        self.requests.append(parts[0])
        if parts[0] in self.broken:
            return self.broken[parts[0]], b"broken"
        return getattr(self, "_" + parts[0])(*parts[1:2] if body is None else [body])

    def _status(self):
        return 200, {"active": True, "identity": self.identity}

    def _register(self, body):
        pem = "-----BEGIN PUBLIC KEY-----\n{}-----END PUBLIC KEY-----\n"
        lines = "".join(body["key"][i:i + 64] + "\n" for i in range(0, len(body["key"]), 64))
        self.devices[body["identity"]] = {"key": pem.format(lines).encode(), "type": body["type"]}
        return 201, {"broker": self.broker, "default_c2": self.server_id, "key": b64(self.server_pem)}

    def _validate(self, body):
        device = self.devices[body["identity"]]
        srup5.verify_pss(unb64(body["signature"]), body["identity"].encode(), srup5.load_public(device["key"]))
        return 200, {"identity": self.identity, "signature": b64(srup5.sign_pss(self.identity.encode(), self.key))}

    def _access(self, body):
        device, csr = self.devices[body["identity"]], unb64(body["csr"])
        srup5.verify_pss(unb64(body["signature"]), csr, srup5.load_public(device["key"]))
        cert = self.broker_ca.certify(body["identity"], x509.load_pem_x509_csr(csr).public_key(),
                                      life=self.life)
        return 200, {"certificate": b64(cert), "CA_certificate": b64(self.broker_ca.pem)}

    def _get_key(self, identity):
        known = {self.server_id: self.server_pem, self.identity: srup5.public_pem(self.key)}
        pem = known.get(identity) or self.devices.get(identity, {}).get("key")
        return (200, b64(pem).encode()) if pem else (404, b"no such identity")

    def _get_type(self, identity):
        device = self.devices.get(identity)
        return (200, device["type"].encode()) if device else (404, b"no such identity")
