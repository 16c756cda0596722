"""mqtt5 - just enough of an MQTT 5 client over TLS for a benchmark that wants every byte and its time. Not a benchmark:
it is not executable. Uses nothing of ours.
"""
import socket
import ssl
import struct
import time

CONNACK, PUBLISH, SUBACK = 2, 3, 9
CHUNK = 1 << 16


def number(value):
    """A variable byte integer."""
    out = b""
    while True:
        value, low = divmod(value, 128)
        out += bytes([low | (128 if value else 0)])
        if not value:
            return out


def text(value):
    """A length and the bytes."""
    data = value.encode() if isinstance(value, str) else value
    return struct.pack(">H", len(data)) + data


def packet(kind, flags, body):
    """Any control packet."""
    return bytes([kind << 4 | flags]) + number(len(body)) + body


def publish(topic, payload, packet_id=0):
    """A PUBLISH, QoS 1 if it has a packet id."""
    middle = struct.pack(">H", packet_id) if packet_id else b""
    return packet(PUBLISH, 2 if packet_id else 0, text(topic) + middle + b"\0" + payload)


class Link:
    """A connection; reading is up to the caller. user: name and password."""

    def __init__(self, port, context, client_id, user=None):
        raw = socket.create_connection(("localhost", port), 10)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = context.wrap_socket(raw, server_hostname="localhost")
        self.rest = b""
        flags, login = (b"\xc2", text(user[0]) + text(user[1])) if user else (b"\x02", b"")
        self.sock.sendall(packet(1, 0, text("MQTT") + b"\x05" + flags + b"\x00\x3c\x00" + text(client_id) + login))
        if self.wait(CONNACK)[1] != 0:
            raise ConnectionError(f"{client_id} was refused by the broker")

    def subscribe(self, topic):
        """QoS 1."""
        self.sock.sendall(packet(8, 2, b"\0\x01\0" + text(topic) + b"\x01"))
        if self.wait(SUBACK)[-1] > 2:
            raise ConnectionError(f"no subscription to {topic}")

    def wait(self, kind):
        """The body of the next packet of that kind; others are dropped."""
        while True:
            found = self._take()
            if found is None:
                part = self.sock.recv(CHUNK)
                if not part:
                    raise ConnectionError("the broker hung up")
                self.rest += part
            elif found[0] == kind:
                return found[1]

    def _take(self):
        """(kind, body) of the packet at the start of what came, if all of it is there."""
        size = shift = 0
        for at, byte in enumerate(self.rest[1:5], 2):
            size |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                if len(self.rest) < at + size:
                    return None
                found, self.rest = (self.rest[0] >> 4, self.rest[at:at + size]), self.rest[at + size:]
                return found
        return None

    def read_to_end(self, on_chunk, deadline_s):
        """Reads until the broker hangs up, calls on_chunk(bytes, monotonic ns) for each part; whether it did."""
        end = time.monotonic() + deadline_s
        while time.monotonic() < end:
            self.sock.settimeout(max(0.01, end - time.monotonic()))
            try:
                part = self.sock.recv(CHUNK)
            except TimeoutError:
                return False
            except (ssl.SSLError, OSError):
                return True
            if not part:
                return True
            on_chunk(len(part), time.monotonic_ns())
        return False
