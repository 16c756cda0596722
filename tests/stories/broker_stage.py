"""broker_stage - for the broker's story: a mosquitto with the plugin in a temporary folder, certificates, clients.

The clients are paho in a thread each; what they hear waits in queues, and every wait has a deadline.
"""
import ctypes
import datetime
import os
import pathlib
import queue
import shlex
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import time

import paho.mqtt.client as mqtt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

DEADLINE_S = 20 if "HOLDFAST_BROKER_WRAP" not in os.environ else 90
SERVER, SERVER2, REFERENCE = "5e4e400000000001", "5e4e400000000002", "4efe400000000001"
ALICE, BOB, CAROL = "a11ce40000000001", "b0b40000000001", "ca401"  # the last two: short ids are ids
TABLE, EVENTS = "$CONTROL/holdfast/v1", "$holdfast/v1/events"
OK, NO_SUBSCRIBER, NOT_AUTHORIZED, KICKED = 0x00, 0x10, 0x87, 0x98
PASSED_ON = (OK, NO_SUBSCRIBER)
KNOWN = [f"put {SERVER} server joined -", f"put {SERVER2} server joined -", f"put {REFERENCE} reference joined -",
         f"put {ALICE} device joined {SERVER}", f"put {BOB} device joined {SERVER}", f"put {CAROL} device registered -"]
CONF = """per_listener_settings false
listener {port} 127.0.0.1
cafile {dir}/ca.crt
certfile {dir}/broker.crt
keyfile {dir}/broker.key
require_certificate true
use_identity_as_username false
tls_version tlsv1.2
allow_anonymous false
allow_zero_length_clientid false
set_tcp_nodelay true
max_queued_messages 200000
max_inflight_messages 2000
max_packet_size 69632
max_keepalive 3600
sys_interval 0
persistence false
user root
log_dest stderr
log_type error
log_type warning
log_type notice
log_type information
connection_messages false
plugin {plugin}
plugin_opt_snapshot {dir}/table
plugin_opt_journal {dir}/journal
plugin_opt_control holdfast-control
"""


# --- certificates ---------------------------------------------------------------------------------

class Authority:
    """A P-256 CA and what it signs, as files in a folder."""

    def __init__(self, folder, name="ca"):
        self.folder, self.key = folder, ec.generate_private_key(ec.SECP256R1())
        self.subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test " + name)])
        cert = self.sign(self.subject, self.key.public_key(), 3650, [(x509.BasicConstraints(True, 0), True)])
        (folder / f"{name}.crt").write_bytes(cert)

    def sign(self, subject, public_key, days, extensions):
        now = datetime.datetime.utcnow()
        build = (x509.CertificateBuilder().subject_name(subject).issuer_name(self.subject).public_key(public_key)
                 .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=3))
                 .not_valid_after(now + datetime.timedelta(days=days)))
        for extension, critical in extensions:
            build = build.add_extension(extension, critical)
        return build.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def leaf(self, name, names=None, days=90, usage=ExtendedKeyUsageOID.CLIENT_AUTH, host=None):
        """Writes name.crt and name.key; names: the common names, if they are not just name."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, n) for n in (names or [name])])
        extensions = [(x509.BasicConstraints(False, None), True)]
        if usage:
            extensions.append((x509.ExtendedKeyUsage([usage]), False))
        if host:
            extensions.append((x509.SubjectAlternativeName([x509.DNSName(host)]), False))
        (self.folder / f"{name}.crt").write_bytes(self.sign(subject, key.public_key(), days, extensions))
        (self.folder / f"{name}.key").write_bytes(key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()))
        return name


# --- clients --------------------------------------------------------------------------------------

class Wire(mqtt.Client):
    """paho, with the reason codes that it keeps to itself."""

    def _handle_pubackcomp(self, cmd):
        packet = bytes(self._in_packet["packet"])
        self.told("puback", int.from_bytes(packet[:2], "big"), packet[2] if len(packet) > 2 else OK)
        return super()._handle_pubackcomp(cmd)

    def _handle_disconnect(self):
        packet = bytes(self._in_packet["packet"])
        self.told("disconnect", packet[0] if packet else OK)
        return super()._handle_disconnect()


def number(code):
    """A reason code of MQTT 5 is an object, a return code of 3.1.1 a number."""
    return int(getattr(code, "value", code))


class Client:
    """One connection; what it hears waits in one queue a kind."""

    def __init__(self, stage, name, client_id=None, version=5, clean=True, will=None, keys=None, username=None):
        self.heard = {kind: queue.Queue()
                      for kind in ("connack", "puback", "suback", "message", "disconnect", "closed")}
        self.messages = []
        self.version = version
        self.mqtt = Wire(client_id or name, protocol=version, **({} if version == 5 else {"clean_session": clean}))
        self.mqtt.told = self.told
        self.mqtt.on_socket_register_write = lambda *_: None  # writing is left to the thread: TLS is not for two
        self.mqtt.on_connect = self.on_connect
        self.mqtt.on_subscribe = self.on_subscribe
        self.mqtt.on_message = self.on_message
        context = ssl.create_default_context(cafile=str(stage.folder / "ca.crt"))
        if keys is not False:
            context.load_cert_chain(stage.folder / f"{keys or name}.crt", stage.folder / f"{keys or name}.key")
        self.mqtt.tls_set_context(context)
        if will:
            self.mqtt.will_set(*will)
        if username:
            self.mqtt.username_pw_set(username, "guess")
        self.options = {}
        if version == 5:
            session = Properties(PacketTypes.CONNECT)
            session.SessionExpiryInterval = 0 if clean else 3600
            self.options = {"clean_start": clean, "properties": session}
        self.port, self.thread = stage.port, threading.Thread(target=self.run, daemon=True)
        stage.clients.append(self)
        self.thread.start()

    def told(self, kind, *what):
        self.heard[kind].put(what if len(what) != 1 else what[0])

    def on_connect(self, _client, _data, flags, code, _properties=None):
        self.told("connack", number(code), flags["session present"])

    def on_subscribe(self, _client, _data, _mid, codes, _properties=None):
        self.told("suback", [number(code) for code in codes])

    def on_message(self, _client, _data, message):
        self.messages.append(message.payload)
        self.told("message", message.topic, message.payload)

    def run(self):
        try:
            self.mqtt.connect("localhost", self.port, 60, **self.options)
            while self.mqtt.loop(1.0) == mqtt.MQTT_ERR_SUCCESS and self.mqtt.socket():
                pass
        except (OSError, ValueError):
            pass
        self.told("closed", True)
        self.told("connack", None, False)

    def wait(self, kind):
        return self.heard[kind].get(timeout=DEADLINE_S)

    def connected(self):
        """True and the session-present flag; False when it was refused, in whatever way."""
        code, self.present = self.wait("connack")
        return code == 0

    def publish(self, topic, payload=b"x", qos=1, retain=False):
        """The reason code of the PUBACK."""
        info = self.mqtt.publish(topic, payload, qos, retain)
        if qos == 0:
            return None
        mid, code = self.wait("puback")
        assert mid == info.mid, (mid, info.mid)
        return code

    def subscribe(self, topic, qos=1):
        self.mqtt.subscribe(topic, qos)
        return self.wait("suback")[0]

    def message(self):
        return self.wait("message")

    def cut(self):
        """Ends the connection without a DISCONNECT."""
        with socket.socket(fileno=os.dup(self.mqtt.socket().fileno())) as bare:
            bare.shutdown(socket.SHUT_RDWR)
        self.wait("closed")

    def close(self):
        self.mqtt.disconnect()
        self.thread.join(DEADLINE_S)


class Control(Client):
    """The server's identity: changes the table, hears the events."""

    def __init__(self, stage, client_id="holdfast-control/table", **more):
        super().__init__(stage, "holdfast-control", client_id, **more)
        assert self.connected()

    def change(self, *lines):
        return self.publish(TABLE, "".join(line + "\n" for line in lines))

    def fill(self, lines, generation=1):
        assert self.change("reset", *lines, f"commit {generation}") == OK

    def listen(self):
        self.lines = []
        assert self.subscribe(EVENTS, 0) == OK
        return self

    def event(self, *start):
        """Drops events until one begins with these words; "o" is on or off."""
        wanted, end = " ".join(start), time.monotonic() + DEADLINE_S
        while time.monotonic() < end:
            while self.lines:
                line = self.lines.pop(0)
                if (line + " ").startswith(wanted + " ") or (wanted == "o" and line[0] == "o"):
                    return line
            self.lines += self.message()[1].decode().splitlines()
        raise AssertionError(f"no event {wanted}")


# --- the stage ------------------------------------------------------------------------------------

def die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def free_port():
    if "HOLDFAST_PORT_BASE" in os.environ:
        return int(os.environ["HOLDFAST_PORT_BASE"]) + 883
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Stage:
    """A folder with a CA, a broker, and the clients of one test."""

    def __init__(self, table=KNOWN, ready=None, conf=CONF):
        self.temp = tempfile.TemporaryDirectory(prefix="broker_story.")
        self.folder, self.port, self.clients, self.log = pathlib.Path(self.temp.name), free_port(), [], []
        self.ca = Authority(self.folder)
        self.ca.leaf("broker", usage=ExtendedKeyUsageOID.SERVER_AUTH, host="localhost")
        for name in ("holdfast-control", SERVER, SERVER2, REFERENCE, ALICE, BOB, CAROL):
            self.ca.leaf(name)
        plugin = pathlib.Path(os.environ["HOLDFAST_BIN"]).resolve().parent / "lib" / "holdfast_broker.so"
        (self.folder / "mosquitto.conf").write_text(conf.format(port=self.port, dir=self.folder, plugin=plugin))
        if table:
            self.snapshot(table)
        self.start(ready)

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        try:
            for client in self.clients:
                client.close()
        finally:
            code = self.stop()
            self.temp.cleanup()
        if kind:
            print("  broker: " + "\n  broker: ".join(self.log[-20:]))
        elif code != 0:
            raise AssertionError(f"mosquitto ended with {code}\n" + "\n".join(self.log[-60:]))

    def snapshot(self, lines, generation=1, end=None):
        text = [f"holdfast-table 1 {generation}", *lines, end or f"end {len(lines)}"]
        (self.folder / "table").write_text("\n".join(text) + "\n")

    def start(self, ready=None):
        wrap = shlex.split(os.environ.get("HOLDFAST_BROKER_WRAP", ""))
        command = [*wrap, "mosquitto", "-c", str(self.folder / "mosquitto.conf")]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                                        preexec_fn=lambda: (die_with_parent(), ready and ready()))
        self.lines = queue.Queue()
        threading.Thread(target=self.read_log, args=(self.process.stderr,), daemon=True).start()
        self.logged(" running")

    def read_log(self, stream):
        for line in stream:
            self.log.append(line.rstrip())
            self.lines.put(line.rstrip())
        self.lines.put(None)

    def logged(self, text):
        while (line := self.lines.get(timeout=DEADLINE_S)) is not None:
            if text in line:
                return line
        self.kill()
        raise AssertionError(f"the broker ended without {text!r}:\n" + "\n".join(self.log[-20:]))

    def kill(self):
        self.process.kill()
        self.process.wait(DEADLINE_S)

    def stop(self):
        for _ in range(DEADLINE_S):
            self.process.terminate()  # mosquitto forgets one that comes between its "running" and its main loop
            try:
                return self.process.wait(1)
            except subprocess.TimeoutExpired:
                pass
        self.kill()
        return "kill"

    def join(self, name, client_id=None, **more):
        """A client that must get in, subscribed to its own topic where it is a device."""
        client = Client(self, name, client_id, **more)
        assert client.connected(), f"{name} was refused"
        if name in (ALICE, BOB, CAROL):
            assert client.subscribe(f"SRUP/{name}") == 1
        return client

    def refused(self, name, client_id=None, **more):
        client = Client(self, name, client_id, **more)
        assert not client.connected(), f"{name} was let in"
