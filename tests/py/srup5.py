"""SRUP version 5 wire codec for tests: an independent reading of the protocol notes.

Uses only python3-cryptography.  "S1" .. "S8" name sections of the SRUP version 5 notes.
"""

import os
import struct
import uuid
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives import padding as block_padding
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

VERSION = 5
GENERIC = 0x00
VALUE_LEN = 32  # bytes of an identity-confirmation value: hex digits (S5)
IDENTIFICATION_ID = b"IDENTIFICATION_RESPONSE"

# S2: code -> (name, payload fields in wire order).  "zero2" is the tail of S2.1 quirk 1.
TYPES = {
    0x00: ("GENERIC", ()),
    0x01: ("INIT", (("url", "lp"), ("digest", "lp"))),
    0x02: ("RESPONSE", (("status", "u8"),)),
    0x03: ("ACTIVATE", ()),
    0x04: ("ACTION", (("action_id", "u8"),)),
    0x05: ("DATA", (("data_id", "lp"), ("data", "lp"))),
    0x06: ("ID_REQ", ()),
    0x07: ("GROUP_ADD", (("device_id", "u64"), ("group_id", "lp"))),
    0x08: ("GROUP_DELETE", (("device_id", "u64"), ("group_id", "lp"))),
    0x09: ("JOIN_REQ", ()),
    0x0A: ("JOIN_CMD", (("device_id", "u64"),)),
    0x0B: ("HM_JOIN_REQ", ()),
    0x0C: ("HM_JOIN_RESP", (("encrypted", "lp"),)),
    0x0D: ("OBS_JOIN_REQ", (("observer_id", "u64"),)),
    0x0E: ("OBS_JOIN_RESP", (("encrypted", "lp"),)),
    0x0F: ("OBSERVE_REQ", (("joining_device_id", "u64"), ("encrypted", "lp"))),
    0x10: ("RESIGN_REQ", ()),
    0x11: ("TERMINATE_CMD", ()),
    0x12: ("DEREGISTER_REQ", ()),
    0x13: ("DEREGISTER_CMD", ()),
    0x14: ("GROUP_DESTROY", (("group_id", "lp"),)),
    0x21: ("SYND_INIT", (("url", "lp"), ("encrypted", "lp"))),
    0x24: ("SYND_ACTION", (("action_id", "u8"), ("target_id", "u64"))),
    0x25: ("SYND_DATA", (("data_id", "lp"), ("data", "lp"), ("source_id", "u64"))),
    0x26: ("SYND_ID_REQ", (("target_id", "u64"),)),
    0x27: ("SYND_DEV_COUNT", (("count", "u32"),)),
    0x28: ("SYND_DEV_LIST", (("device_sequence", "u32"), ("device_id", "u64"))),
    0x29: ("SYND_REQUEST", (("encrypted", "lp"),)),
    0x2C: ("SYND_C2_REQ", (("data", "lp"), ("req_id", "u8"), ("", "zero2"))),
    0x2E: ("SYND_END_REQ", ()),
    0x2F: ("SYND_TERMINATE", ()),
}
CODES = {name: code for code, (name, _) in TYPES.items()}
INTEGERS = {"u8": "<B", "u32": "<I", "u64": "<Q"}

# S3, the codes some flow sends.
UPDATE_OK, UPDATE_UNREACHABLE, UPDATE_FILE, UPDATE_DIGEST = 0x00, 0xFD, 0xFE, 0xFF
JOIN_ACCEPTED, JOIN_REFUSED, JOIN_FAILED = 0x50, 0x5E, 0x5F
OBSERVE_VALID, OBSERVE_INVALID, OBSERVE_FAILED = 0x60, 0x6E, 0x6F


class SrupError(ValueError):
    """A message that must not be accepted; stage is parse, version, type, verify or decrypt."""

    def __init__(self, stage, text):
        super().__init__(f"{stage}: {text}")
        self.stage = stage


@dataclass(frozen=True)
class Header:
    """The common fields (S1.1); end is the offset in bytes of the first byte after the token."""

    version: int
    code: int
    sequence_id: int
    sender_id: int
    token: bytes
    end: int


@dataclass(frozen=True)
class Message:
    """A decoded message.  fields holds numbers as int and LP fields as bytes, by the names in TYPES
    plus sequence_id, sender_id and token; signed is what the signature covers (S1.2)."""

    code: int
    fields: dict
    signature: bytes
    signed: bytes

    @property
    def name(self):
        return TYPES[self.code][0]


# ---- encoding ----------------------------------------------------------------------------------


def lp(data):
    """Length prefix: u16 big-endian, then 0..65535 raw bytes (S1)."""
    return struct.pack(">H", len(data)) + data


def encode_payload(code, fields):
    """The type-specific bytes of S2."""
    out = b""
    for name, kind in TYPES[code][1]:
        if kind == "lp":
            out += lp(fields[name])
        elif kind == "zero2":
            out += b"\0\0"
        else:
            out += struct.pack(INTEGERS[kind], fields[name])
    return out


def assemble(code, sequence_id, sender_id, token, payload, key=None, signature=None, version=VERSION):
    """Any message from its parts, however wrong.

    A given signature is used as it is, else key signs.  With neither there is no signature field,
    which is right for GENERIC alone.
    """
    head = struct.pack("<BBQQ", version, code, sequence_id, sender_id) + lp(token)
    if signature is None and key is not None:
        signature = sign(head + payload, key)
    return head + (b"" if signature is None else lp(signature)) + payload


def encode(kind, fields, key=None):
    """A well-formed message.  kind: name or code of TYPES; key: RSA private key, None for GENERIC."""
    code = CODES.get(kind, kind)
    if not fields["token"]:
        raise SrupError("parse", "empty token")
    if (key is None) != (code == GENERIC):
        raise SrupError("verify", "all types but GENERIC are signed")
    payload = encode_payload(code, fields)
    return assemble(code, fields["sequence_id"], fields["sender_id"], fields["token"], payload, key)


# ---- decoding ----------------------------------------------------------------------------------


def take(raw, at, size):
    """(size bytes from offset at, offset after them); never reads past the end."""
    if len(raw) - at < size:
        raise SrupError("parse", "message ends early")
    return raw[at : at + size], at + size


def take_lp(raw, at):
    """(content of an LP field, offset after it)."""
    size, at = take(raw, at, 2)
    return take(raw, at, struct.unpack(">H", size)[0])


def decode_header(raw):
    """The common fields of any message; the version is checked, the type is not (S1.1)."""
    fixed, at = take(raw, 0, 18)
    token, at = take_lp(raw, at)
    header = Header(*struct.unpack("<BBQQ", fixed), token, at)
    if header.version != VERSION:
        raise SrupError("version", f"version {header.version}")
    return header


def decode_field(raw, at, kind, strict):
    """(value, bytes as signed, offset after) of one payload field."""
    if kind == "lp":
        value, end = take_lp(raw, at)
        return value, raw[at:end], end
    if kind == "zero2":
        value, end = take(raw, at, 2)
        if strict and value != b"\0\0":
            raise SrupError("verify", "tail is not zero")
        return value, b"\0\0", end
    value, end = take(raw, at, struct.calcsize(INTEGERS[kind]))
    return struct.unpack(INTEGERS[kind], value)[0], value, end


def decode(raw, strict=True):
    """Parse one message; the signature is not checked, see verify().

    strict=False is what the reference does: trailing bytes, an empty token and the two tail bytes
    of SYND_C2_REQ are let through (S1.1, S1.2, S2.1).
    """
    header = decode_header(raw)
    if header.code not in TYPES:
        raise SrupError("type", f"unassigned type {header.code:#04x}")
    if strict and not header.token:
        raise SrupError("parse", "empty token")
    signature, at = b"", header.end
    if header.code != GENERIC:
        signature, at = take_lp(raw, at)
    fields = {"sequence_id": header.sequence_id, "sender_id": header.sender_id, "token": header.token}
    signed = raw[: header.end]
    for name, kind in TYPES[header.code][1]:
        value, wire, at = decode_field(raw, at, kind, strict)
        signed += wire
        if name:
            fields[name] = value
    if strict and at != len(raw):
        raise SrupError("parse", f"{len(raw) - at} trailing bytes")
    return Message(header.code, fields, signature, signed)


# ---- signatures --------------------------------------------------------------------------------


def sign(data, key):
    """RSASSA-PKCS1-v1_5 with SHA-256 (S1.2); as long as the modulus."""
    return key.sign(data, padding.PKCS1v15(), hashes.SHA256())


def verify(message, public_key):
    """Raise SrupError (stage verify) unless message is signed by public_key."""
    try:
        public_key.verify(message.signature, message.signed, padding.PKCS1v15(), hashes.SHA256())
    except InvalidSignature:
        raise SrupError("verify", "bad signature") from None


def pss():
    """The padding of every KeyEx signature (S8): maximum salt, 222 bytes for RSA-2048."""
    return padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.MAX_LENGTH)


def sign_pss(data, key):
    """RSASSA-PSS as KeyEx wants it (S8)."""
    return key.sign(data, pss(), hashes.SHA256())


def verify_pss(signature, data, public_key):
    """Raise SrupError unless signature is PSS with the maximum salt; shorter salts are refused."""
    try:
        public_key.verify(signature, data, pss(), hashes.SHA256())
    except InvalidSignature:
        raise SrupError("verify", "bad PSS signature") from None


# ---- sealed envelope (S4) ----------------------------------------------------------------------


def seal(plaintext, public_key):
    """Envelope for the owner of public_key; 332 bytes for 32 bytes to RSA-2048."""
    aes_key, iv = os.urandom(32), os.urandom(16)
    padder = block_padding.PKCS7(128).padder()
    padded = padder.update(plaintext) + padder.finalize()
    encryptor = Cipher(algorithms.AES(aes_key), modes.CBC(iv)).encryptor()
    body = encryptor.update(padded) + encryptor.finalize()
    wrapped = public_key.encrypt(aes_key, padding.PKCS1v15())
    sizes = struct.pack("<ii", len(body), len(plaintext))
    return struct.pack("<i", len(wrapped)) + wrapped + iv + sizes + body


def split_envelope(blob, wrapped_len):
    """(wrapped key, IV, ciphertext, plaintext length in bytes), every byte accounted for."""
    if len(blob) < 4 + wrapped_len + 16 + 8 or struct.unpack_from("<i", blob)[0] != wrapped_len:
        raise ValueError("wrapped-key length")
    at = 4 + wrapped_len
    body_len, plain_len = struct.unpack_from("<ii", blob, at + 16)
    body = blob[at + 24 :]
    if body_len != len(body) or body_len % 16 or body_len == 0:
        raise ValueError("ciphertext length")
    return blob[4:at], blob[at : at + 16], body, plain_len


def open_envelope(blob, private_key):
    """The plaintext; SrupError (stage decrypt) with one text, whichever check failed."""
    try:
        wrapped, iv, body, plain_len = split_envelope(blob, private_key.key_size // 8)
        aes_key = private_key.decrypt(wrapped, padding.PKCS1v15())
        if len(aes_key) != 32:
            raise ValueError("key length")
        decryptor = Cipher(algorithms.AES(aes_key), modes.CBC(iv)).decryptor()
        padded = decryptor.update(body) + decryptor.finalize()
        unpadder = block_padding.PKCS7(128).unpadder()
        plaintext = unpadder.update(padded) + unpadder.finalize()
        if len(plaintext) != plain_len:
            raise ValueError("plaintext length")
    except ValueError:
        raise SrupError("decrypt", "envelope cannot be opened") from None
    return plaintext


# ---- names, tokens, keys (S6, S8) --------------------------------------------------------------


def new_id():
    """A device id as an integer: the top 64 bits of a UUIDv4."""
    return uuid.uuid4().int >> 64


def id_text(number):
    """The text form: lower-case hex, 1..16 digits, never padded."""
    return f"{number:x}"


def new_token():
    """36 ASCII bytes: the text of a random UUID."""
    return str(uuid.uuid4()).encode()


def new_value():
    """An identity-confirmation value: 32 ASCII hex digits (S5)."""
    return uuid.uuid4().hex.encode()


def short_name(identity):
    """Stem of a peer's key files: 8 upper-case hex digits from the id text."""
    low = high = 0
    for char in identity.encode("ascii"):
        low = (low + char) % 65535
        high = (high + low) % 65535
    return f"{high << 16 | low:08X}"


def data_bytes(value):
    """A DATA body as pySRUP types it: int -> int32 LE, float -> double LE, str -> UTF-8."""
    if isinstance(value, int):
        return struct.pack("<i", value)
    if isinstance(value, float):
        return struct.pack("<d", value)
    return value.encode() if isinstance(value, str) else bytes(value)


def c_string(data):
    """A url or digest for use: the bytes before the first NUL (S2.1 quirk 2)."""
    return data.split(b"\0", 1)[0]


def load_private(pem):
    """RSA private key from PEM bytes, traditional or PKCS#8."""
    return serialization.load_pem_private_key(pem, password=None)


def load_public(pem):
    """RSA public key from PEM SubjectPublicKeyInfo bytes."""
    return serialization.load_pem_public_key(pem)


def public_pem(private_key):
    """PEM SubjectPublicKeyInfo bytes: 64-column lines and a final newline."""
    spki = serialization.PublicFormat.SubjectPublicKeyInfo
    return private_key.public_key().public_bytes(serialization.Encoding.PEM, spki)


def private_pem(private_key):
    """Unencrypted traditional PEM bytes."""
    fmt = serialization.PrivateFormat.TraditionalOpenSSL
    return private_key.private_bytes(serialization.Encoding.PEM, fmt, serialization.NoEncryption())


def key_body(pem):
    """A public key as REST bodies carry it: base64 text, 392 characters for RSA-2048 (S8)."""
    lines = pem.decode("ascii").split("\n")
    return "".join(line for line in lines if not line.startswith("-----"))
