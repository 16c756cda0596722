"""Plain HTTPS and MQTT links for tests, honest or hostile; no SRUP in here.

Uses python3-paho-mqtt.  Times are in seconds, as Python's own libraries have them.
"""

import collections
import http.client
import json
import socket
import ssl
import threading
import time

import paho.mqtt.client as mqtt

HttpReply = collections.namedtuple("HttpReply", "status headers body")
Received = collections.namedtuple("Received", "topic payload retain")
REFUSED = 0x80  # in a SUBACK


# ---- TLS ---------------------------------------------------------------------------------------


def client_context(ca_file=None, cert_file=None, key_file=None, ca_pem=None, check_name=True):
    """A TLS client context that trusts exactly the given CA; with none given, any server at all."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = check_name
    if ca_file or ca_pem:
        context.load_verify_locations(cafile=ca_file, cadata=ca_pem)
    else:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if cert_file:
        context.load_cert_chain(cert_file, key_file)
    return context


def open_tls(host, port, context, timeout_s=10):
    """A connected TLS socket; ssl.SSLError or OSError if refused.

    With TLS 1.3 a server that refuses the client certificate shows it at the first read only.
    """
    raw = socket.create_connection((host, port), timeout_s)
    try:
        return context.wrap_socket(raw, server_hostname=host)
    except BaseException:
        raw.close()
        raise


def tls_exchange(host, port, context, payload, timeout_s=10, limit=1 << 20):
    """Send raw bytes, then read until the peer closes, goes silent for timeout_s or limit bytes came."""
    answer = b""
    with open_tls(host, port, context, timeout_s) as sock:
        try:
            sock.sendall(payload)
            while len(answer) < limit and (part := sock.recv(65536)):
                answer += part
        except OSError:
            pass  # what came before the reset is the answer
    return answer


# ---- HTTP --------------------------------------------------------------------------------------


def _literal(connection_class):
    """The connection class without its refusal of odd request targets."""

    class Literal(connection_class):
        def _validate_path(self, url):
            pass

        def _encode_request(self, request):
            return request.encode("latin-1")

    return Literal


HttpsConnection = _literal(http.client.HTTPSConnection)
HttpConnection = _literal(http.client.HTTPConnection)


def http_request(base_url, method, path, body=None, headers=None, context=None, timeout_s=30):
    """One request on its own connection; base_url + path goes out as it is, nothing escaped.

    body: bytes, text, or anything json.dumps takes (then labelled application/json).
    The reply is (status, headers, body bytes) whatever the status; redirects are not followed.
    """
    scheme, _, rest = base_url.partition("://")
    host, slash, prefix = rest.partition("/")
    headers = dict(headers or {})
    if body is not None and not isinstance(body, (bytes, str)):
        body = json.dumps(body)
        headers.setdefault("Content-Type", "application/json")
    if isinstance(body, str):
        body = body.encode()
    if scheme == "https":
        connection = HttpsConnection(host, context=context or client_context(), timeout=timeout_s)
    else:
        connection = HttpConnection(host, timeout=timeout_s)
    try:
        connection.request(method, slash + prefix + path, body, headers)
        reply = connection.getresponse()
        return HttpReply(reply.status, reply.headers, reply.read())
    finally:
        connection.close()


# ---- MQTT --------------------------------------------------------------------------------------


class _Client(mqtt.Client):
    """Paho lets a TLS alert at a read, or a broken TLS connection at a write, end its thread with a traceback; here it closes the
    link, and one that is to reconnect does."""

    def _thread_main(self):
        ended = False
        while not ended:
            try:
                super()._thread_main()
                ended = True
            except OSError as error:
                self.on_disconnect(self, None, error)
                self._sock_close()
                ended = not self._reconnect_on_failure


class MqttLink:
    """One MQTT client with any name, certificate, will and topics.

    messages fills with what arrives; closed is set whenever the connection is gone.
    on_message(topic, payload) and on_open() run in the network thread: no waiting call there.
    """

    def __init__(self, host, port, context, client_id, *, on_message=None, on_open=None, will=None,
                 clean_session=True, keepalive_s=60, reconnect=False):
        """will: (topic, payload, qos, retain) or None; context: see client_context()."""
        self.address = (host, port, keepalive_s)
        self.messages = []
        self.closed = threading.Event()
        self.connack = None
        self._changed = threading.Condition()
        self._granted = {}
        self._on_message = on_message
        self._on_open = on_open
        self.client = _Client(client_id, clean_session=clean_session, protocol=mqtt.MQTTv311,
                              reconnect_on_failure=reconnect)
        if context is not None:
            self.client.tls_set_context(context)
        if will is not None:
            self.client.will_set(*will)
        self.client.on_connect = self._connected
        self.client.on_disconnect = self._disconnected
        self.client.on_subscribe = self._subscribed
        self.client.on_message = self._arrived

    def _connected(self, _client, _userdata, _flags, code):
        if code == 0:
            self.closed.clear()
            if self._on_open:
                self._on_open()
        with self._changed:
            self.connack = code
            self._changed.notify_all()

    def _disconnected(self, _client, _userdata, _code):
        with self._changed:
            self.closed.set()
            self._changed.notify_all()

    def _subscribed(self, _client, _userdata, mid, granted):
        with self._changed:
            self._granted[mid] = tuple(granted)
            self._changed.notify_all()

    def _arrived(self, _client, _userdata, message):
        with self._changed:
            self.messages.append(Received(message.topic, message.payload, bool(message.retain)))
            self._changed.notify_all()
        if self._on_message:
            self._on_message(message.topic, message.payload)

    def _wait(self, condition, timeout_s):
        """Wait until condition() holds; its last value."""
        with self._changed:
            return self._changed.wait_for(condition, timeout_s)

    def open(self, timeout_s=10):
        """Connect; the CONNACK code (0 = accepted), None if the broker hung up or stayed silent.

        ssl.SSLError or OSError if there was no TLS connection at all.
        """
        self.closed.clear()
        self.connack = None
        self.client.connect(*self.address)
        self.client.loop_start()
        self._wait(lambda: self.connack is not None or self.closed.is_set(), timeout_s)
        return self.connack

    def let_in(self, timeout_s=10):
        """Whether open() leads to a connection; the same False whichever layer refuses."""
        try:
            return self.open(timeout_s) == 0
        except OSError:
            return False

    def subscribe_nowait(self, topic_filter, qos=1):
        """Ask for a subscription; the packet id for granted()."""
        return self.client.subscribe(topic_filter, qos)[1]

    def granted(self, mid, timeout_s=10):
        """Tuple of granted QoS (REFUSED = no), None if the broker hung up or stayed silent."""
        self._wait(lambda: mid in self._granted or self.closed.is_set(), timeout_s)
        return self._granted.get(mid)

    def subscribe(self, topic_filter, qos=1, timeout_s=10):
        """Subscribe and wait for the SUBACK, see granted()."""
        return self.granted(self.subscribe_nowait(topic_filter, qos), timeout_s)

    def unsubscribe(self, topic_filter):
        """Unsubscribe without waiting."""
        self.client.unsubscribe(topic_filter)

    def publish(self, topic, payload, qos=1, retain=False):
        """Send any bytes to any topic without waiting; give the result to acked()."""
        return self.client.publish(topic, payload, qos, retain)

    def acked(self, info, timeout_s=10):
        """Whether the broker acknowledged a publish; a 3.1.1 broker may acknowledge and still drop it."""
        end = time.monotonic() + timeout_s
        while not info.is_published() and not self.closed.is_set() and time.monotonic() < end:
            time.sleep(0.01)
        return info.is_published()

    def wait_message(self, topic=None, timeout_s=10):
        """The first unread message (on topic, if given), taken off messages; None after timeout_s."""
        def found():
            return next((m for m in self.messages if topic in (None, m.topic)), None)

        with self._changed:
            message = self._changed.wait_for(found, timeout_s)
            if message is not None:
                self.messages.remove(message)
            return message

    def drop(self):
        """Cut the connection without DISCONNECT, so that the broker sends the will."""
        sock = self.client.socket()
        try:
            if sock is not None:
                sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # gone already

    def close(self):
        """DISCONNECT and end the network thread."""
        try:
            self.client.disconnect()
        except OSError:
            pass  # TLS has failed before; there is nobody to say goodbye to
        self.client.loop_stop()
        self.drop()
