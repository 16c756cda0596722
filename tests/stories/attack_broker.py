"""attack_broker - attacks on the broker's time and memory by devices that may be there, and by strangers. Uses universe.py. Run
by attack_story.py. While each goes on, and after it, others keep working: an honest air monitor does what it is told.
"""
import contextlib
import pathlib
import socket
import ssl
import struct
import threading
import time

from links import open_tls
from universe import BASE, DEADLINE_S

MQTT = BASE + 883
MIB = 1 << 20
PACKET_MAX = 69632          # max_packet_size of the broker's configuration
QUEUED_MAX = 64 * MIB       # max_queued_bytes of it
SUBACK, PUBACK = 0x90, 0x40


def packet(first, body):
    """A control packet of MQTT 3.1.1."""
    size, length = len(body), b""
    while True:
        size, low = divmod(size, 128)
        length += bytes([low | (128 if size else 0)])
        if not size:
            return bytes([first]) + length + body


def text(value):
    return struct.pack(">H", len(value)) + value.encode()


def publish(topic, payload, number=0):
    """QoS 1 with a packet number, else QoS 0."""
    return packet(0x32 if number else 0x30, text(topic) + (struct.pack(">H", number) if number else b"") + payload)


class Raw:
    """A device's connection that reads only when told to."""

    def __init__(self, device):
        self.topic = device.topic
        self.sock = open_tls("localhost", MQTT, device.tls_context(), DEADLINE_S)
        self.sock.sendall(packet(0x10, text("MQTT") + b"\x04\x02\x0e\x10" + text(device.identity)))
        assert self.read(4)[:2] == b"\x20\x02", "no CONNACK"

    def read(self, count):
        got = b""
        while len(got) < count:
            part = self.sock.recv(count - len(got))
            if not part:
                raise ConnectionError("the broker hung up")
            got += part
        return got

    def subscribe(self, *topics, qos=1):
        """The granted QoS or 0x80 for each."""
        self.sock.sendall(packet(0x82, b"\0\x01" + b"".join(text(t) + bytes([qos]) for t in topics)))
        head, length, shift = self.read(1)[0], 0, 0
        assert head == SUBACK, head
        while True:
            byte = self.read(1)[0]
            length |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return list(self.read(length)[2:])

    def hung_up(self):
        """Whether the broker ended this connection."""
        self.sock.settimeout(DEADLINE_S)
        try:
            while self.sock.recv(1 << 16):
                pass
        except TimeoutError:
            return False
        except OSError:
            pass
        return True

    def close(self):
        self.sock.close()


class BrokerAttacks:
    """On one universe. A test leaves its devices as they are; names of devices are used once."""

    def __init__(self, universe):
        self.u = universe
        self._monitor = None

    def _others_work(self):
        """A command reaches an honest device and its answer comes back."""
        if self._monitor is None:
            self._monitor = self.u.joined_monitor("b5-monitor")
        command = self.u.api.act(self._monitor.id, "led-on")
        assert command["answer"] == "action done", command

    def _broker_memory(self):
        """Resident bytes of the broker."""
        status = pathlib.Path(f"/proc/{self.u.child('mosquitto')}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) * 1024

    @contextlib.contextmanager
    def _broker_stays(self):
        """The same broker process serves before, during and after."""
        before = self.u.child("mosquitto")
        self._others_work()
        yield
        self._others_work()
        assert self.u.child("mosquitto") == before, "the broker was started anew"

    def B5_oversized_packets(self):
        device = self.u.joined("b5-big")
        with self._broker_stays(), contextlib.closing(Raw(device)) as raw:
            raw.sock.sendall(publish(raw.topic, bytes(PACKET_MAX - 100), 1))
            assert raw.read(2) == bytes([PUBACK, 2]), "a packet below the limit"
            raw.read(2)
            raw.sock.sendall(publish(raw.topic, bytes(PACKET_MAX + 1), 2)[:5])  # the length alone is enough
            self._others_work()
            assert raw.hung_up()
        with contextlib.closing(Raw(device)) as raw:
            raw.sock.sendall(b"\x32\xff\xff\xff\x7f")  # 256 MiB are announced
            assert raw.hung_up()
        with contextlib.closing(Raw(device)) as raw:
            raw.sock.sendall(b"\x32\xff\xff\xff\xff\x7f")  # five bytes of length are none
            assert raw.hung_up()

    def B5_thousands_of_subscriptions(self):
        device = self.u.joined("b5-many")
        with self._broker_stays(), contextlib.closing(Raw(device)) as raw:
            before = self._broker_memory()
            for block in range(20):
                granted = raw.subscribe(*(f"{raw.topic}/{block}/{n}" for n in range(500)))
                assert granted == [0x80] * 500, "only its own topic"
                assert raw.subscribe(*[raw.topic] * 500) == [1] * 500
            self._others_work()
            assert self._broker_memory() - before < 16 * MIB, "10,000 refused and 10,000 repeated filters take no memory"
            raw.sock.sendall(publish(raw.topic, b"once", 9))
            raw.sock.settimeout(1)
            got = b""
            with contextlib.suppress(TimeoutError):
                while True:
                    got += raw.sock.recv(1 << 16)
            assert got.count(b"once") == 1, "one subscription, one copy"

    def _stuff(self, raw, number, budget):
        """Publishes to itself without reading until so many bytes are gone or the broker takes no more."""
        block, sent = publish(raw.topic, bytes(PACKET_MAX - 100), number), 0
        raw.sock.settimeout(3)
        with contextlib.suppress(OSError):
            while sent < budget:
                raw.sock.sendall(block)
                sent += len(block)
        return sent

    def B5_slow_reader(self):
        """A device that is sent its own messages and never reads them. Two queues may fill: its own and for a moment the server's;
        the broker's allocator takes up to twice what they hold."""
        device = self.u.joined("b5-slow")
        with self._broker_stays():
            before = self._broker_memory()
            with contextlib.closing(Raw(device)) as raw:
                assert raw.subscribe(raw.topic) == [1]
                sent = self._stuff(raw, 1, 10 * QUEUED_MAX)
                self._others_work()
                grown = self._broker_memory() - before
                assert grown < 5 * QUEUED_MAX, f"{sent // MIB} MiB sent, the broker grew by {grown // MIB} MiB"

    def B5_without_acknowledgements(self):
        """At quality of service 0 the broker would queue without bound: neither publish nor subscription is taken."""
        device = self.u.joined("b5-qos0")
        with self._broker_stays(), contextlib.closing(Raw(device)) as raw:
            assert raw.subscribe(raw.topic, qos=0) == [0x80] and raw.subscribe(raw.topic, qos=2) == [0x80]
            assert raw.subscribe(raw.topic) == [1]
            before = self._broker_memory()
            self._stuff(raw, 0, 4 * QUEUED_MAX)
            self._others_work()
            assert self._broker_memory() - before < 16 * MIB

    def B5_half_open_connections(self):
        """Strangers that connect and say nothing, stop amid the handshake, or speak something else."""
        with self._broker_stays(), contextlib.ExitStack() as stack:
            hello = ssl.MemoryBIO()
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            with contextlib.suppress(ssl.SSLWantReadError):
                context.wrap_bio(ssl.MemoryBIO(), hello).do_handshake()
            first = hello.read()
            for n in range(400):
                sock = stack.enter_context(socket.create_connection(("127.0.0.1", MQTT), DEADLINE_S))
                sock.sendall((b"", first, first[:30], b"\x10\x0e\x00\x04MQTT")[n % 4])
                if n % 100 == 99:
                    self._others_work()
            device = self.u.joined("b5-late")  # new ones still come in
            self.u.report(device, 7.5)

    def B5_connect_storm(self):
        """Four threads connect and vanish as fast as they can, a fifth without a certificate."""
        device, end = self.u.joined("b5-storm"), threading.Event()
        counts = [0] * 5

        def storm(n):
            while not end.is_set():
                with contextlib.suppress(OSError, ConnectionError, AssertionError):
                    if n == 4:
                        socket.create_connection(("127.0.0.1", MQTT), 5).close()
                    else:
                        Raw(device).close()
                    counts[n] += 1

        with self._broker_stays():
            threads = [threading.Thread(target=storm, args=(n,), daemon=True) for n in range(5)]
            for thread in threads:
                thread.start()
            try:
                until_s = time.monotonic() + 3
                while time.monotonic() < until_s:
                    self._others_work()
            finally:
                end.set()
                for thread in threads:
                    thread.join(DEADLINE_S)
            assert sum(counts[:4]) > 20 and counts[4] > 20, counts
