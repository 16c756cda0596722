"""attack_keyex - attacks at KeyEx: registration, certificates, server tokens, TLS. Uses universe.py. Run by attack_story.py."""
import base64
import hashlib
import json
import os
import ssl
import time

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

import srup5
from links import MqttLink, client_context, http_request, open_tls
from peer_base import b64, b64_mime, make_csr, unb64
from universe import HTTPS, MQTT, URL

BAD_IDS = ["#", "+/x", "+", "", "0", "0a", "ABC", "12345678901234567", "xyz", "1 ", " 1", "1\n", "-1", "0x1", "1/..", "a\0b", "\0",
           "a" * 64, "a" * 5000, "' OR 1=1 --", "\u00e9", "holdfast-control", "*"]


def spki(key):
    """The key body of any public key."""
    return b64(key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo))


class KeyexAttacks:
    """On one universe."""

    def __init__(self, universe):
        self.u = universe

    def _sentence(self, reply, *statuses):
        """A refusal with one of these statuses that tells a person why."""
        assert reply.status in statuses, (reply.status, reply.body[:300])
        assert len(json.loads(reply.body)["message"].split()) >= 3, reply.body
        return reply

    def _stored(self):
        return self.u.query("SELECT id, kind, state, key FROM identity ORDER BY id"), self.u.query("SELECT serial FROM certificate")

    def _proven(self, name):
        """A device that has proven its key, no more."""
        device = self.u.device(name)
        device.new_identity()
        device.rest_register()
        device.rest_validate()
        return device

    def _access(self, device, csr, signer=None):
        body = {"identity": device.identity, "csr": b64_mime(csr),
                "signature": b64_mime(srup5.sign_pss(csr, signer or device.identity_key))}
        return device.keyex.request("POST", "access", body)

    @staticmethod
    def _certificate(reply):
        return x509.load_pem_x509_certificate(unb64(json.loads(reply.body)["certificate"]))

    # --- certificates ---------------------------------------------------------------------------------------------------

    def K1_csr_names_another(self):
        """Whatever the request names, the certificate names who has proven to be asking."""
        device, other = self._proven("k1"), self.u.joined("k1-other")
        for name in (other.identity, self.u.server_id, "holdfast-control", "#", f"{device.identity}/x", device.identity.upper()):
            key = rsa.generate_private_key(65537, 2048)
            reply = self._access(device, make_csr(name, key))
            assert reply.status == 200, reply
            names = self._certificate(reply).subject.get_attributes_for_oid(NameOID.COMMON_NAME)
            assert [n.value for n in names] == [device.identity], names

    def K2_csr_not_self_signed(self):
        device, thief = self._proven("k2"), rsa.generate_private_key(65537, 2048)
        stored, good = self._stored(), make_csr(device.identity, thief)
        der = bytearray(x509.load_pem_x509_csr(good).public_bytes(serialization.Encoding.DER))
        der[-7] ^= 1
        broken = x509.load_der_x509_csr(bytes(der)).public_bytes(serialization.Encoding.PEM)
        weak = make_csr(device.identity, rsa.generate_private_key(65537, 1024))
        for csr in (broken, weak, b"", b"x", good[:200], good.replace(b"REQUEST", b"REQUES"), good * 40):
            self._sentence(self._access(device, csr), 400, 413)
        self._sentence(self._access(device, good, thief), 400)
        body = {"identity": device.identity, "csr": b64(good), "signature": b64(os.urandom(256))}
        self._sentence(device.keyex.request("POST", "access", body), 400)
        assert self._stored() == stored

    def K2_certificate_is_narrow_and_short(self):
        device = self._proven("k2-good")
        certificate = self._certificate(self._access(device, make_csr(device.identity, rsa.generate_private_key(65537, 2048))))
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
        assert constraints.critical and not constraints.value.ca
        assert (certificate.not_valid_after - certificate.not_valid_before).days <= 31  # as the profile says

    # --- proofs ---------------------------------------------------------------------------------------------------------

    def K3_replayed_validate_and_access(self):
        """Gives a thief nothing: the key it is for lies with the owner. Under another id, or after a revocation: refused."""
        device, other = self._proven("k3"), self._proven("k3-other")
        validate, access = device.validate_body(), device.access_body()
        first = device.keyex.request("POST", "access", access)
        again = device.keyex.request("POST", "access", access)
        assert self._certificate(first).public_key().public_numbers() == self._certificate(again).public_key().public_numbers()
        assert device.keyex.request("POST", "validate", validate).status == 200
        assert self.u.api.state(device.identity) == "registered"
        for step, body in (("validate", validate), ("access", access)):
            self._sentence(other.keyex.request("POST", step, {**body, "identity": other.identity}), 400)
            self._sentence(other.keyex.request("POST", step, {**body, "identity": "4242"}), 400, 404)
        self.u.api.post(f"/devices/{device.identity}/revoke", {})
        for step, body in (("validate", validate), ("access", access), ("register", device.register_body())):
            self._sentence(device.keyex.request("POST", step, body), 400, 403)
        assert self.u.api.state(device.identity) == "revoked"

    def K5_unproven_key_not_served(self):
        device = self.u.device("k5")
        device.new_identity()
        device.rest_register()
        for path in (f"get_key/{device.identity}", f"get_type/{device.identity}", f"c2_check/{device.identity}"):
            self._sentence(device.keyex.request("GET", path), 404)
        self._sentence(device.keyex.request("POST", "access", device.access_body()), 400)
        thief = rsa.generate_private_key(65537, 2048)
        for signature in (srup5.sign_pss(device.identity.encode(), thief), srup5.sign(device.identity.encode(), device.identity_key),
                          srup5.sign_pss(b"4242", device.identity_key), b"", bytes(256), bytes(600)):
            self._sentence(device.keyex.request("POST", "validate", {"identity": device.identity, "signature": b64(signature)}), 400)
        self._sentence(device.keyex.request("GET", f"get_key/{device.identity}"), 404)
        assert self.u.query("SELECT state FROM identity WHERE id = ?", self.u.key_of(device.identity)) == [("new",)]
        self.u.api.post(f"/devices/{device.identity}/identify", {}, 404)

    def K5_anothers_key_is_never_proven(self):
        owner, device = self.u.joined("k5-owner"), self.u.device("k5-thief")
        device.new_identity()
        body = {**device.register_body(), "key": owner.register_body()["key"]}
        assert device.keyex.request("POST", "register", body).status in (201, 400)
        self._sentence(device.keyex.request("POST", "validate", device.validate_body()), 400, 404)
        self._sentence(device.keyex.request("GET", f"get_key/{device.identity}"), 404)
        assert owner.keyex.get_key(owner.identity)

    # --- K4: what is no id, no key, no body -----------------------------------------------------------------------------

    def K4_bad_ids_and_keys(self):
        stored, device = self._stored(), self.u.device("k4")
        device.new_identity()
        good = device.register_body()
        ask = device.keyex.request
        for bad in BAD_IDS + [None, 7, True, [], {}, ["1"]]:
            self._sentence(ask("POST", "register", {**good, "identity": bad}), 400)
            self._sentence(ask("POST", "validate", {**device.validate_body(), "identity": bad}), 400)
            self._sentence(ask("POST", "access", {**device.access_body(), "identity": bad}), 400)
            self._sentence(ask("POST", "c2/", {"identity": bad, "key": good["key"], "signature": "hf1.1.1.x"}), 400)
        raw = b'{"identity":"1\\u0000","key":"%s","type":"x"}' % good["key"].encode()
        self._sentence(ask("POST", "register", raw), 400)
        for key in self._bad_keys(good["key"]):
            self._sentence(ask("POST", "register", {**good, "key": key}), 400)
            self._sentence(ask("POST", "c2/", {"identity": "1", "key": key, "signature": "hf1.1.1.x"}), 400)
        for kind in ("", "a b", "<script>", "x" * 100, "\u00e9", "a\0b", None, 3, "../x", "a;b", "\x1b[31m"):
            self._sentence(ask("POST", "register", {**good, "type": kind}), 400)
        for missing in good:
            self._sentence(ask("POST", "register", {k: v for k, v in good.items() if k != missing}), 400)
        for size in (65537, 200000, 5000000):
            self._sentence(ask("POST", "register", json.dumps({**good, "more": "x" * size}).encode()), 413)
        assert self._stored() == stored

    @staticmethod
    def _bad_keys(good):
        der = base64.b64decode(good)
        weak = spki(rsa.generate_private_key(65537, 1024).public_key())
        pem = "-----BEGIN PUBLIC KEY-----\n" + good + "\n-----END PUBLIC KEY-----\n"
        return ["", "x", "AAAA", "!" * 392, b64(os.urandom(294)), weak, spki(ec.generate_private_key(ec.SECP256R1()).public_key()),
                spki(ed25519.Ed25519PrivateKey.generate().public_key()), b64(der[:-1]), b64(der + b"\0"), b64(der[:100] + der[101:]),
                pem * 3, good[:-1] + "*", "A" * 1201, "A" * 60000, None, 5, [good],
                b64(rsa.generate_private_key(65537, 2048).private_bytes(serialization.Encoding.DER,
                    serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()))]

    def K4_bad_ids_in_paths(self):
        context = client_context(self.u.keys / "web_ca.crt")
        paths = ["%23", "#", "+/x", "+%2Fx", "", "12345678901234567", "%00", "1%00", f"{self.u.server_id}%00", "%2e%2e%2fx", "%ff", "..",
                 "%", "%1", "1%20", "ABC", "a" * 3000, f"%30{self.u.server_id}", f"0{self.u.server_id}"]
        for word in ("get_key", "get_type", "c2_check", "C_check"):
            for path in paths:
                reply = http_request(URL, "GET", f"/KeyEx/register/{word}/{path}", None, {}, context)
                assert 400 <= reply.status < 500, (word, path, reply)
                assert len(json.loads(reply.body)["message"].split()) >= 3, reply

    # --- K7: server tokens ----------------------------------------------------------------------------------------------

    def K7_server_token_bound(self):
        """To one id, one key and a time."""
        server, third = self.u.reference_server("second"), self.u.reference_server("third")
        own, foreign = server.register_body(), third.register_body()
        stored, keyex = self._stored(), srup5.load_private((self.u.keys / "keyex.pem").read_bytes())
        _, identity, expiry, signature = own["signature"].split(".", 3)

        def token(name, until_s, key, signer=keyex):
            digest = hashlib.sha256(base64.b64decode(key)).digest()
            text = b"HOLDFAST server token\0" + name.encode() + b"\0" + str(until_s).encode() + b"\0" + digest
            return f"hf1.{name}.{until_s}.{b64(srup5.sign_pss(text, signer))}"

        bad = [{**own, "identity": foreign["identity"]}, {**own, "key": foreign["key"]}, {**own, "signature": foreign["signature"]},
               {**foreign, "signature": own["signature"]}, {**own, "signature": f"hf1.{identity}.{int(expiry) + 9}.{signature}"},
               {**own, "signature": token(identity, int(time.time()) - 5, own["key"])},
               {**own, "signature": token(identity, int(expiry), own["key"], server.identity_key)},
               {**own, "signature": token("4242", int(expiry), own["key"])}, {**own, "signature": f"hf2.{identity}.{expiry}.{signature}"},
               {**own, "signature": f"hf1.{identity}.-1.{signature}"}, {**own, "signature": f"hf1.{identity}.{'9' * 30}.{signature}"},
               {**own, "signature": own["signature"][:-4]}, {**own, "signature": own["signature"] + "AAAA"},
               {**own, "signature": own["signature"].rsplit(".", 1)[0]}, {**own, "signature": own["signature"].replace("=", "")},
               {**own, "signature": "..."}, {**own, "signature": "x" * 1100}, {**own, "signature": own["signature"] + ".x"},
               {**own, "signature": b64(srup5.sign_pss((server.dir / "c2_server_pub.pem").read_bytes(), keyex))}]
        for body in bad:
            self._sentence(server.keyex.request("POST", "c2/", body), 400, 403)
        assert self._stored() == stored and server.check() == third.check() == 404
        assert server.keyex.request("POST", "c2/", own).status == 201 and server.check() == 200
        assert server.keyex.request("POST", "c2/", own).status == 201  # the same again changes nothing
        victim = self.u.joined("k7-device")
        taken = {"identity": victim.identity, "key": own["key"], "signature": token(victim.identity, int(expiry), own["key"])}
        self._sentence(server.keyex.request("POST", "c2/", taken), 400, 409)

    # --- TLS ------------------------------------------------------------------------------------------------------------

    def K9_old_tls_is_refused(self):
        for port in (HTTPS, MQTT):
            for version in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1):
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
                context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
                context.set_ciphers("ALL:@SECLEVEL=0")
                context.minimum_version = context.maximum_version = version
                try:
                    open_tls("localhost", port, context).close()
                    raise AssertionError(f"{version} was accepted at {port}")
                except OSError:
                    pass

    def K9_no_or_foreign_certificate_is_refused(self):
        device = self.u.registered("k9")
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, device.identity)])
        own = device.file("crt")
        forged = (x509.CertificateBuilder().subject_name(name).issuer_name(x509.load_pem_x509_certificate(own.read_bytes()).issuer)
                  .public_key(key.public_key()).serial_number(7)
                  .not_valid_before(x509.load_pem_x509_certificate(own.read_bytes()).not_valid_before)
                  .not_valid_after(x509.load_pem_x509_certificate(own.read_bytes()).not_valid_after).sign(key, hashes.SHA256()))
        (device.dir / "forged.crt").write_bytes(forged.public_bytes(serialization.Encoding.PEM))
        (device.dir / "forged.key").write_bytes(key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        keys = self.u.keys
        for pair in ((None, None), (device.dir / "forged.crt", device.dir / "forged.key"), (keys / "web.crt", keys / "web.key"),
                     (keys / "broker.crt", keys / "broker.key")):
            link = MqttLink("localhost", MQTT, client_context(device.file("ca"), *pair), f"SRUP Client: {device.identity}")
            assert not link.let_in(5), pair
            link.close()
        assert not device.link.closed.is_set()

    # --- the last one: afterwards nobody can register for a while -------------------------------------------------------

    def K6_flood_of_registrations(self):
        """Keys that are new each time, from few primes: as cheap as a flood needs them."""
        device, primes, statuses = self.u.device("k6"), [], []
        device.new_identity()
        for _ in range(9):
            numbers = rsa.generate_private_key(65537, 2048).private_numbers()
            primes.append((numbers.p, numbers.q))
        keys = [spki(rsa.RSAPublicNumbers(65537, p * q).public_key()) for p, _ in primes for _, q in primes]
        for number, key in enumerate(keys, 0x100):
            body = {"identity": f"{number:x}", "key": key, "type": "sensor"}
            statuses.append(device.keyex.request("POST", "register", body).status)
            if statuses[-1] != 201:
                break
        self._sentence(device.keyex.request("POST", "register", device.register_body()), 429)
        assert set(statuses) == {201, 429}, statuses
        assert self.u.query("SELECT COUNT(*) FROM identity WHERE state IN ('new', 'proven')")[0][0] <= 60
