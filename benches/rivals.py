"""rivals - revocation by what mosquitto has itself: its dynamic-security plugin, and a new CRL with SIGHUP. Not a benchmark: it is
not executable. Uses mqtt5.py, rig.py.
"""
import base64
import contextlib
import datetime
import hashlib
import json
import os
import signal
import ssl
import time

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

import mqtt5
import rig

DYNSEC = "/usr/lib/x86_64-linux-gnu/mosquitto_dynamic_security.so"
CONTROL = "$CONTROL/dynamic-security/v1"
TOPIC, PASSWORD, ITERATIONS = "victim", "bench", 101
DROP = ["plugin", "allow_anonymous", "crlfile"]
BOUND_S = 5  # how long it is waited whether a new CRL ends a session


class Certifier:
    """The universe's broker CA."""

    def __init__(self, keys, folder):
        self.folder, self.authority = folder, keys / "broker_ca.crt"
        self.cert = x509.load_pem_x509_certificate(self.authority.read_bytes())
        self.key = serialization.load_pem_private_key((keys / "broker_ca.key").read_bytes(), None)

    def context(self, name):
        """TLS as somebody of that name, and the serial number of the certificate."""
        key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.utcnow()
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        cert = (x509.CertificateBuilder().subject_name(subject).issuer_name(self.cert.subject)
                .public_key(key.public_key()).serial_number(x509.random_serial_number())
                .not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=1))
                .sign(self.key, hashes.SHA256()))
        path = self.folder / f"{name}.pem"
        path.write_bytes(cert.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        context = ssl.create_default_context(cafile=str(self.authority))
        context.load_cert_chain(path)
        return context, cert.serial_number

    def crl(self, serials):
        """PEM of a CRL."""
        now = datetime.datetime.utcnow()
        builder = (x509.CertificateRevocationListBuilder().issuer_name(self.cert.subject)
                   .last_update(now - datetime.timedelta(hours=1)).next_update(now + datetime.timedelta(days=1)))
        for serial in serials:
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now).build())
        return builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def dynsec_client(name):
    """A client of the dynamic-security plugin that may do everything."""
    salt = os.urandom(12)
    digest = hashlib.pbkdf2_hmac("sha512", PASSWORD.encode(), salt, ITERATIONS)
    return {"username": name, "password": base64.b64encode(digest).decode(), "salt": base64.b64encode(salt).decode(),
            "iterations": ITERATIONS, "roles": [{"rolename": "all"}]}


def dynsec_rules(names):
    """The plugin's file."""
    kinds = ("publishClientSend", "publishClientReceive", "subscribePattern", "unsubscribePattern")
    acls = [{"acltype": kind, "topic": topic, "priority": 0, "allow": True} for kind in kinds
            for topic in ("#", "$CONTROL/dynamic-security/#")]
    return {"clients": [dynsec_client(name) for name in names], "groups": [], "roles": [{"rolename": "all", "acls": acls}]}


class Dynsec:
    """A broker with the dynamic-security plugin, and its admin. names: its clients."""

    def __init__(self, universe, names):
        self.broker = rig.Broker(universe, rig.PEER_PORT, DROP,
                                 ["allow_anonymous false", f"plugin {DYNSEC}", "plugin_opt_config_file FOLDER/dynsec.json"])
        (self.broker.folder / "dynsec.json").write_text(json.dumps(dynsec_rules(["admin", "flood", *names])), "ascii")
        self.broker.start()
        self.context, _ = Certifier(universe.keys, self.broker.folder).context("bench")
        self.admin = self.link("admin")
        self.admin.subscribe(f"{CONTROL}/response")

    def link(self, name):
        """A connection as that client."""
        return mqtt5.Link(rig.PEER_PORT, self.context, name, (name, PASSWORD))

    def revoke(self, name):
        """(when asked, when answered, whether it said done)."""
        asked = time.monotonic_ns()
        command = {"commands": [{"command": "disableClient", "username": name}]}
        self.admin.sock.sendall(mqtt5.publish(CONTROL, json.dumps(command).encode(), packet_id=1))
        answer = self.admin.wait(mqtt5.PUBLISH)
        return asked, time.monotonic_ns(), b"disableClient" in answer and b"error" not in answer

    def close(self):
        """Ends the broker."""
        self.broker.close()


def crl_run(universe):
    """Does a client still hear BOUND_S after its certificate stands in the broker's CRL?"""
    broker = rig.Broker(universe, rig.PEER_PORT + 1, DROP, ["allow_anonymous true"])
    certifier = Certifier(universe.keys, broker.folder)
    crl = broker.folder / "crl.pem"
    crl.write_bytes(certifier.crl([]))
    conf = broker.folder / "mosquitto.conf"
    conf.write_text(conf.read_text("ascii") + f"crlfile {crl}\n", "ascii")  # of the last listener
    broker.start()
    try:
        context, serial = certifier.context("revoked")
        link, other = (mqtt5.Link(broker.port, each, name) for each, name in
                       ((context, "revoked"), (certifier.context("other")[0], "other")))
        link.subscribe(TOPIC)
        crl.write_bytes(certifier.crl([serial]))
        broker.process.send_signal(signal.SIGHUP)
        time.sleep(BOUND_S)
        try:
            mqtt5.Link(broker.port, context, "again")
            raise RuntimeError("the CRL does not work: the revoked certificate connects anew")
        except OSError:
            pass
        other.sock.sendall(mqtt5.publish(TOPIC, b"still there?"))
        link.sock.settimeout(1)
        with contextlib.suppress(OSError):
            return b"still there?" in link.wait(mqtt5.PUBLISH)
        return False
    finally:
        broker.close()

