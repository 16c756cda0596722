"""Checks srup5.py against the published vectors (tests/vectors/srup-v5, judged as its FORMAT.md says).

Run: python3 -m unittest test_srup5, in this directory.
"""

import functools
import hashlib
import json
import pathlib
import unittest

import srup5

VECTORS = pathlib.Path(__file__).resolve().parent.parent / "vectors" / "srup-v5"
EXPECTED_COUNTS = {"accept": 197, "reject": 466, "policy": 58}
# What this codec does with the vectors a stricter reader may refuse: (strict, as the reference).
POLICY = {
    "parse": ("parse", "ok"),
    "verify": ("verify", "ok"),
    "decrypt": ("decrypt", "decrypt"),
    "sequence": ("ok", "ok"),  # the codec keeps no counters
}


@functools.lru_cache(None)
def private_key(name):
    return srup5.load_private((VECTORS / f"{name}.key.pem").read_bytes())


@functools.lru_cache(None)
def public_key(name):
    return srup5.load_public((VECTORS / f"{name}.pub.pem").read_bytes())


def load(expect):
    """The vectors of one kind; none is skipped, as the counts are checked."""
    with open(VECTORS / "visible.jsonl", encoding="ascii") as file:
        vectors = [json.loads(line) for line in file]
    return [v for v in vectors if v["expect"] == expect]


def accept(vector, strict=True):
    """Parse, verify and open as far as the vector allows."""
    message = srup5.decode(bytes.fromhex(vector["message"]), strict)
    if message.code != srup5.GENERIC:
        srup5.verify(message, public_key(vector["key"]))
    plaintext = None
    if "recipient_key" in vector:
        recipient = private_key(vector["recipient_key"])
        plaintext = srup5.open_envelope(message.fields["encrypted"], recipient)
    return message, plaintext


def outcome(vector, strict=True):
    """ok, or the stage that refused."""
    try:
        accept(vector, strict)
    except srup5.SrupError as error:
        return error.stage
    return "ok"


def field_value(name, value):
    """A member of "fields" in this codec's form."""
    if name == "sequence_id":
        return int(value)
    if isinstance(value, int):
        return value
    if name.endswith("_id") and name not in ("data_id", "group_id"):
        return int(value, 16)
    return bytes.fromhex(value)


def wanted_fields(vector):
    return {name: field_value(name, value) for name, value in vector["fields"].items()}


class Vectors(unittest.TestCase):
    """Every vector of the visible set."""

    def test_counts(self):
        self.assertEqual({kind: len(load(kind)) for kind in EXPECTED_COUNTS}, EXPECTED_COUNTS)

    def test_accept(self):
        for vector in load("accept"):
            with self.subTest(vector["id"]):
                message, plaintext = accept(vector)
                self.assertEqual((message.code, message.name), (vector["type_code"], vector["type"]))
                self.assertEqual(message.fields, wanted_fields(vector))
                if "plaintext" in vector:
                    self.assertEqual(plaintext, bytes.fromhex(vector["plaintext"]))
                if "signature" in vector:
                    self.assertEqual(message.signature.hex(), vector["signature"])
                    digest = hashlib.sha256(message.signed).hexdigest()
                    self.assertEqual(digest, vector["signed_bytes_sha256"])

    def test_encode(self):
        for vector in load("accept"):
            with self.subTest(vector["id"]):
                key = private_key(vector["key"]) if "key" in vector else None
                raw = srup5.encode(vector["type"], wanted_fields(vector), key)
                self.assertEqual(raw.hex(), vector["message"])

    def test_accept_as_reference(self):
        for vector in load("accept"):
            with self.subTest(vector["id"]):
                self.assertEqual(accept(vector, strict=False), accept(vector))

    def test_reject(self):
        for vector in load("reject"):
            with self.subTest(vector["id"], note=vector["note"]):
                self.assertNotEqual(outcome(vector), "ok")
                if vector["stage"] == "decrypt":
                    self.assertEqual(outcome(vector), "decrypt")

    def test_policy(self):
        for vector in load("policy"):
            with self.subTest(vector["id"], note=vector["note"]):
                got = (outcome(vector, strict=True), outcome(vector, strict=False))
                self.assertEqual(got, POLICY[vector["stage"]])


class Extra(unittest.TestCase):
    """What the vectors do not hold."""

    def test_seal_size_and_round_trip(self):
        value = srup5.new_value()
        blob = srup5.seal(value, public_key("vis-a"))
        self.assertEqual(len(blob), 332)
        self.assertEqual(srup5.open_envelope(blob, private_key("vis-a")), value)

    def test_pss_wants_maximum_salt(self):
        key, data = private_key("vis-a"), b"identity"
        srup5.verify_pss(srup5.sign_pss(data, key), data, key.public_key())
        short = srup5.padding.PSS(srup5.padding.MGF1(srup5.hashes.SHA256()), 32)
        signature = key.sign(data, short, srup5.hashes.SHA256())
        with self.assertRaises(srup5.SrupError):
            srup5.verify_pss(signature, data, key.public_key())

    def test_key_body_length(self):
        self.assertEqual(len(srup5.key_body(srup5.public_pem(private_key("vis-a")))), 392)

    def test_data_bytes(self):
        cases = [(-2, "feffffff"), (1.5, "000000000000f83f"), ("é", "c3a9"), (b"\0", "00")]
        for value, wire in cases:
            self.assertEqual(srup5.data_bytes(value).hex(), wire)

    def test_ids_are_not_padded(self):
        self.assertEqual(srup5.id_text(0x0ABC), "abc")
        self.assertEqual(srup5.id_text(srup5.new_id() | 1 << 63)[12], "4")

    def test_short_name(self):
        # By hand: "1" = 0x31, "a" = 0x61; low = 0x92, high = 0x31 + 0x92 = 0xc3.
        self.assertEqual(srup5.short_name("1a"), "00C30092")


if __name__ == "__main__":
    unittest.main()
