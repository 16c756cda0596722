"""device_stage - a universe without Holdfast's server for the device's story: fake KeyEx, mosquitto, a C2 server of the
reference kind, and airmonitor processes. Everything lies in a temporary folder; every wait has a deadline.

Uses ../py/fake_keyex.py, ../py/reference_peer.py, ../py/links.py.
"""
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "tests/py"))

# pylint: disable=wrong-import-position
import srup5  # noqa: E402
from fake_keyex import FakeKeyEx  # noqa: E402
from links import MqttLink, client_context  # noqa: E402
from reference_peer import ReferenceServer  # noqa: E402

BIN = pathlib.Path(os.environ.get("HOLDFAST_BIN", TOP / "build/release/bin"))
PORT_BASE = int(os.environ.get("HOLDFAST_PORT_BASE", "18000"))
HTTPS_PORT, MQTT_PORT = PORT_BASE + 443, PORT_BASE + 883
SAMPLE = TOP / "devices/airmonitor/sample.csv"
DEADLINE_S = 20
LED_OFF, LED_ON, LED_TOGGLE = 0, 1, 2
ACTION_OK, ACTION_UNKNOWN, ACTION_FAIL, DATA_UNKNOWN = 0x20, 0x2E, 0x2F, 0x3F
CONF = """listener {port} 127.0.0.1
cafile {dir}/broker_ca.crt
certfile {dir}/{leaf}.crt
keyfile {dir}/{leaf}.key
require_certificate true
use_identity_as_username true
set_tcp_nodelay true
user root
log_dest stderr
"""


def until(condition, what):
    """Polls until condition() holds and returns it; AssertionError after the deadline."""
    end = time.monotonic() + DEADLINE_S
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"not within {DEADLINE_S} s: {what}")


def listening(port):
    """Whether somebody answers at a port of this machine."""
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


class Monitor:
    """One airmonitor process at a time, on one data directory; lines of all its lives."""

    def __init__(self, stage, name="device"):
        self.stage, self.dir = stage, stage.dir / name
        self.out, self.err = stage.dir / f"{name}.out", stage.dir / f"{name}.err"
        self.process = None

    def start(self, *options, interval_ms=200, env=None):
        """Start it; options come last, so that they override. env: more of the environment."""
        command = [BIN / "airmonitor", "--server", f"https://localhost:{HTTPS_PORT}", "--ca",
                   self.stage.dir / "web_ca.crt", "--data", self.dir, "--replay", SAMPLE, "--interval-ms",
                   str(interval_ms), *options]
        with open(self.out, "ab") as out, open(self.err, "ab") as err:
            self.process = subprocess.Popen(command, stdout=out, stderr=err, env={**os.environ, **(env or {})})
        return self

    def wish(self, word, status=0):
        """airmonitor --WORD for this directory; what it prints."""
        done = subprocess.run([BIN / "airmonitor", "--data", self.dir, f"--{word}"], capture_output=True, text=True,
                              timeout=DEADLINE_S)
        assert done.returncode == status, done
        return done.stdout + done.stderr

    def lines(self, start=""):
        """Lines of stdout that begin so."""
        return [line for line in self.out.read_text().splitlines() if line.startswith(start)]

    def wait_line(self, start, count=1):
        """The count-th line that begins so."""
        return until(lambda: self.lines(start)[count - 1:], f"{start!r} {count} times in {self.out.read_text()!r}")[0]

    def wait_trouble(self, text):
        """Until stderr holds text."""
        until(lambda: text in self.err.read_text(), f"{text!r} in {self.err.read_text()!r}")

    def wait_end(self):
        """The exit status of a process that ends by itself."""
        return self.process.wait(DEADLINE_S)

    def stop(self, number=signal.SIGTERM):
        """Send a signal and wait; the exit status."""
        self.process.send_signal(number)
        return self.process.wait(DEADLINE_S)

    @property
    def code(self):
        """The code on show, None if there is none."""
        path = self.dir / "code.txt"
        return path.read_text().strip() if path.exists() else None

    @property
    def id(self):
        """The id that KeyEx knows it by."""
        return self.lines("registered id=")[-1].split("=")[1]


class Stage:
    """The universe. server is a reference C2 server, heard collects (topic, payload) of everything on the broker."""

    def __init__(self, with_server=True):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="hf-device-"))
        self.keyex = FakeKeyEx(self.dir, HTTPS_PORT)
        self.broker, self.monitors, self.codes, self.server, self.spy = None, [], {}, None, None
        self.start_broker()
        if with_server:
            self.connect_server()

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        for monitor in self.monitors:
            if monitor.process and monitor.process.poll() is None:
                monitor.stop(signal.SIGKILL)
        for link in (self.server, self.spy):
            if link is not None:
                link.close()
        self.stop_broker()
        self.keyex.close()
        shutil.rmtree(self.dir, ignore_errors=True)

    def start_broker(self, leaf="broker"):
        """mosquitto, with the certificate of that name."""
        (self.dir / "broker.conf").write_text(CONF.format(port=MQTT_PORT, dir=self.dir, leaf=leaf))
        with open(self.dir / "broker.log", "ab") as log:
            self.broker = subprocess.Popen(["mosquitto", "-c", self.dir / "broker.conf"], stderr=log)
        until(lambda: listening(MQTT_PORT), "the broker listens")

    def stop_broker(self):
        """End it, if it runs."""
        if self.broker is not None:
            self.broker.terminate()
            self.broker.wait(DEADLINE_S)
            self.broker = None

    def connect_server(self):
        """The C2 server, which accepts simple joins, and a spy with its certificate."""
        self.server = ReferenceServer(self.dir, f"https://localhost:{HTTPS_PORT}", self.dir / "web_ca.crt", "localhost",
                                      self.dir / "broker_ca.crt", mqtt_port=MQTT_PORT, answer_delay_s=0)
        self.server.on_human_join = self.codes.__setitem__
        self.server.connect()
        context = client_context(self.dir / "broker_ca.crt", self.dir / "c2_server.crt", self.dir / "c2_server.key")
        self.spy = MqttLink("localhost", MQTT_PORT, context, "spy", reconnect=True,
                            on_open=lambda: self.spy.subscribe_nowait("#"))
        self.spy.open()

    def monitor(self, name="device"):
        """Another device, not started."""
        self.monitors.append(Monitor(self, name))
        return self.monitors[-1]

    def joined(self, *options, **more):
        """A device that is joined."""
        monitor = self.monitor().start(*options, **more)
        monitor.wait_line("joined server=")
        return monitor

    def ask_moderated(self):
        """From now on simple joins are refused."""
        self.server.on_join = lambda _device, _type: srup5.JOIN_REFUSED

    def command(self, send, *arguments):
        """Status of the RESPONSE to one command; well above what the device has sent meanwhile."""
        self.server.counters[int(arguments[0], 16)] += 100
        send(*arguments)
        return self.server.expect("RESPONSE", DEADLINE_S).fields["status"]

    def sent_by(self, device):
        """sequence id -> set of payloads that the device published."""
        found = {}
        for message in list(self.spy.messages):
            header = srup5.decode_header(message.payload)
            if header.sender_id == int(device, 16):
                found.setdefault(header.sequence_id, set()).add(message.payload)
        return found


def shim(directory):
    """device_shim.c as a library for LD_PRELOAD."""
    library = directory / "device_shim.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, TOP / "tests/stories/device_shim.c", "-ldl"], check=True,
                   timeout=DEADLINE_S * 3)
    return library


def run(names):
    """Runs the functions of a story's main module, or those that the command line names. What its main returns."""
    tests = [value for name, value in names.items()
             if callable(value) and getattr(value, "__module__", "") == "__main__" and name != "main" and name[0] != "_"]
    chosen = [t for t in tests if not sys.argv[1:] or t.__name__ in sys.argv[1:]]
    failed = 0
    for test in chosen:
        try:
            test()
            print(f"ok {test.__name__}", flush=True)
        except Exception:  # whatever it was, the others run
            failed += 1
            print(f"FAILED {test.__name__}\n{traceback.format_exc()}", flush=True)
    print(f"{len(chosen) - failed} passed, {failed} failed")
    return 1 if failed or not chosen else 0
