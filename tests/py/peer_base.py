"""What every test peer of the reference kind shares: KeyEx requests, counters, sending, receiving.

Uses srup5.py and links.py.  "S5" .. "S9" name sections of the SRUP version 5 notes.
"""

import base64
import collections
import threading
import time

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID

import srup5
from links import REFUSED, MqttLink, client_context, http_request
from srup5 import SrupError

Answer = collections.namedtuple("Answer", "topic raw delay_s")
Dropped = collections.namedtuple("Dropped", "reason topic raw")


# ---- KeyEx (S8) --------------------------------------------------------------------------------


class RestError(Exception):
    """A KeyEx answer the reference takes as an error; step names the request."""

    def __init__(self, step, reply):
        super().__init__(f"{step}: {reply.status} {reply.body[:200]!r}")
        self.step, self.status, self.body = step, reply.status, reply.body


def b64(data):
    """Base64 text without newlines."""
    return base64.b64encode(data).decode()


def b64_mime(data):
    """Base64 text, newline after every 76 characters and at the end."""
    return base64.encodebytes(data).decode()


def unb64(text):
    """Bytes of base64 text with or without newlines; anything else in it is an error."""
    return base64.b64decode("".join(text.split()), validate=True)


def make_csr(common_name, key, digest=None):
    """PEM bytes of the device's certificate request; SHA-256 unless told."""
    parts = [(NameOID.COUNTRY_NAME, "UK"), (NameOID.STATE_OR_PROVINCE_NAME, "UNK"),
             (NameOID.LOCALITY_NAME, "UNK"), (NameOID.ORGANIZATION_NAME, "SRUP_DEVICE"),
             (NameOID.COMMON_NAME, common_name)]
    subject = x509.Name([x509.NameAttribute(oid, text) for oid, text in parts])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject)
    return request.sign(key, digest or hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


class KeyExClient:
    """The REST requests of S8, each on its own TLS connection without client certificate."""

    def __init__(self, base_url, ca_file=None):
        """base_url is used unchanged: a final slash gives //KeyEx/...; ca_file=None trusts anyone."""
        self.base_url = base_url
        self.context = client_context(ca_file)

    def request(self, method, path, body=None):
        """Any request below /KeyEx/register/."""
        return http_request(self.base_url, method, "/KeyEx/register/" + path, body, context=self.context)

    def call(self, method, path, wanted_status, body=None):
        """Body text of the reply; RestError unless it has exactly the wanted status."""
        reply = self.request(method, path, body)
        if reply.status != wanted_status:
            raise RestError(path.split("/")[0], reply)
        return reply.body.decode()

    def get_key(self, identity):
        """PEM bytes of the public key of a device or C2 server."""
        return unb64(self.call("GET", f"get_key/{identity}", 200))

    def get_type(self, identity):
        """The type text of a device."""
        return self.call("GET", f"get_type/{identity}", 200)


# ---- what both roles share ---------------------------------------------------------------------


class Inbox:
    """Accepted messages, in order, for a test to wait on."""

    def __init__(self):
        self._items = []
        self._changed = threading.Condition()

    def put(self, message):
        with self._changed:
            self._items.append(message)
            self._changed.notify_all()

    def take(self, name, timeout_s):
        """The first unread message of that type; AssertionError after timeout_s."""
        def found():
            return next((m for m in self._items if m.name == name), None)

        with self._changed:
            message = self._changed.wait_for(found, timeout_s)
            if message is None:
                raise AssertionError(f"no {name} within {timeout_s} s")
            self._items.remove(message)
            return message


class Peer:
    """One SRUP party on a broker.  Subclasses fill HANDLERS: type name -> (method name, fatal).

    A handler gets (message, peer id text) once the message is verified, and returns None or an
    Answer, which leaves after a delay during which the peer is deaf (S7).  fatal: a bad signature
    on this type ends the network thread for good (S7).

    dropped lists what was refused; deaf is True once the network thread is gone.
    """

    HANDLERS = {}

    def __init__(self, keyex, answer_delay_s, mqtt_port):
        self.keyex = keyex
        self.answer_delay_s = answer_delay_s
        self.mqtt_port = mqtt_port
        self.identity = None  # text form
        self.identity_key = None
        self.broker = None
        self.remote_keys = {}  # id text -> PEM bytes
        self.counters = {}  # integer peer id -> last sequence id, either direction (S6)
        self.dropped = []
        self.deaf = False
        self.link = None
        self._inbox = Inbox()
        self._lock = threading.Lock()

    # -- sequence ids and tokens

    def next_sequence(self, peer):
        """The id of the message being built for peer (id text)."""
        with self._lock:
            number = self.counters.get(int(peer, 16), 0) + 1
            self.counters[int(peer, 16)] = number
            return number

    def take_sequence(self, sender_id, number):
        """Whether a received id is new; marks it, before any signature is looked at (S6)."""
        with self._lock:
            if number <= self.counters.get(sender_id, 0):
                return False
            self.counters[sender_id] = number
            return True

    def build(self, name, peer, token=None, **fields):
        """A signed message for peer (id text), which takes its number now; token: fresh if None."""
        common = {"sequence_id": self.next_sequence(peer), "sender_id": int(self.identity, 16),
                  "token": token or srup5.new_token()}
        return srup5.encode(name, {**common, **fields}, self.identity_key)

    # -- connection

    def topics(self):
        """Filters subscribed after every connect."""
        raise NotImplementedError

    def tls_context(self):
        """The context for the broker."""
        raise NotImplementedError

    def connect(self, timeout_s=10):
        """Connect to the broker and wait for the subscriptions; ConnectionError if refused."""
        mids = []

        def subscribe():
            mids.extend(self.link.subscribe_nowait(topic) for topic in self.topics())

        host = self.broker.removeprefix("mqtt://")
        self.link = MqttLink(host, self.mqtt_port, self.tls_context(), f"SRUP Client: {self.identity}",
                             on_message=self._on_message, on_open=subscribe, reconnect=True)
        code = self.link.open(timeout_s)
        granted = [self.link.granted(mid, timeout_s) for mid in mids]
        if code != 0 or any(not qos or REFUSED in qos for qos in granted):
            self.link.close()
            raise ConnectionError(f"broker answered {code}, subscriptions {granted}")

    def close(self):
        """Leave the broker."""
        if self.link is not None:
            self.link.close()
            self.link = None

    def publish(self, topic, raw):
        """Put raw bytes on a topic through this peer's own connection, QoS 1; see MqttLink.acked()."""
        return self.link.publish(topic, raw)

    def expect(self, name, timeout_s=15):
        """The next accepted message of that type; AssertionError if there is none."""
        return self._inbox.take(name, timeout_s)

    # -- receiving (order of S7)

    def subject(self, topic, header):
        """Id text of the peer a topic and header belong to; None if the topic is not ours."""
        raise NotImplementedError

    def sender_allowed(self, _message, _peer):
        """The last check of S7: whether a verified sender may tell us anything."""
        return True

    def find_key(self, _name, peer):
        """PEM bytes of a peer's key, None if unknown.  May ask KeyEx, by type of message."""
        return self.remote_keys.get(peer)

    def _drop(self, reason, topic, raw):
        self.dropped.append(Dropped(reason, topic, raw))

    def _die(self):
        """End the network thread: SystemExit does so without a trace on the screen."""
        self.deaf = True
        raise SystemExit

    def _on_message(self, topic, raw):
        try:
            header = srup5.decode_header(raw)
        except SrupError as error:
            return self._drop(error.stage, topic, raw)
        if header.sender_id == int(self.identity, 16):
            return None
        peer = self.subject(topic, header)
        if peer is None:
            return self._drop("topic", topic, raw)
        if not self.take_sequence(header.sender_id, header.sequence_id):
            return self._drop("sequence", topic, raw)
        return self._dispatch(topic, raw, header.code, peer)

    def _dispatch(self, topic, raw, code, peer):
        name = srup5.TYPES.get(code, (None,))[0]
        if name not in self.HANDLERS:
            return self._drop("type", topic, raw)
        method, fatal = self.HANDLERS[name]
        try:
            message = srup5.decode(raw, strict=False)
            self._check_signature(message, peer)
        except SrupError as error:
            self._drop(error.stage, topic, raw)
            return self._die() if fatal and error.stage == "verify" else None
        if not self.sender_allowed(message, peer):
            return self._drop("sender", topic, raw)
        return self._finish(message, getattr(self, method)(message, peer))

    def _check_signature(self, message, peer):
        pem = self.find_key(message.name, peer)
        if pem is None:
            raise SrupError("key", f"no key for {peer}")
        srup5.verify(message, srup5.load_public(pem))

    def _finish(self, message, answer):
        """Show the message to the test, then send the answer, deaf until then."""
        self._inbox.put(message)
        if answer is not None:
            time.sleep(self.answer_delay_s + answer.delay_s)
            self.publish(answer.topic, answer.raw)

    def _open_value(self, message):
        """The 32 hex digits of an envelope; None if it cannot be opened."""
        try:
            return srup5.open_envelope(message.fields["encrypted"], self.identity_key)[:32].decode()
        except (SrupError, UnicodeDecodeError):
            return None
