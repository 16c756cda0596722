"""universe - a whole universe for the stories: holdfastd with signer and broker, `holdfast`, airmonitors, peers of the reference
kind, all in one temporary folder. Every wait has a deadline.

Uses ../py/{srup5,links,peer_base,reference_peer}.py. HOLDFAST_BIN: the directory of the programs. HOLDFAST_PORT_BASE: the
ports +443 and +883 are used.
"""
import collections
import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import traceback
import urllib.parse

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "tests/py"))

# pylint: disable=wrong-import-position
from links import client_context, http_request  # noqa: E402
from peer_base import RestError  # noqa: E402,F401
from reference_peer import ReferenceDevice, ReferenceServer  # noqa: E402
from srup5 import JOIN_ACCEPTED, JOIN_FAILED, JOIN_REFUSED  # noqa: E402,F401

BIN = pathlib.Path(os.environ.get("HOLDFAST_BIN", TOP / "build/release/bin")).resolve()
BASE = int(os.environ.get("HOLDFAST_PORT_BASE", "34000"))
HTTPS, MQTT = BASE + 443, BASE + 883
URL = f"https://localhost:{HTTPS}"
SAMPLE = TOP / "devices/airmonitor/sample.csv"
DEADLINE_S = 30
ACTION_OK, ACTION_UNKNOWN, ACTION_FAIL, DATA_UNKNOWN = 0x20, 0x2E, 0x2F, 0x3F
SENSOR = {"name": "sensor", "vendor": "Test", "join": {"simple": "accept", "moderated": "ask"},
          "actions": [{"id": 7, "name": "beep"}],
          "data": [{"id": "COUNT", "kind": "int32", "from": "device"}, {"id": "LEVEL", "kind": "float", "from": "device"},
                   {"id": "PM25", "kind": "double", "unit": "ug/m3", "from": "device"},
                   {"id": "NOTE", "kind": "text", "from": "device"},
                   {"id": "LIMIT", "kind": "double", "from": "server", "min": 0, "max": 100}],
          "heartbeat_s": 60, "certificate_days": 30}

Done = collections.namedtuple("Done", "code out err")
Reply = collections.namedtuple("Reply", "status json text")


def until(what, condition, seconds=DEADLINE_S):
    """Polls until condition() is true and gives its value; AssertionError after the deadline."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, f"{what() if callable(what) else what}: not within {seconds} s"
        time.sleep(0.02)
    return value


class Api:
    """The HTTP API with one token, each call on its own connection."""

    def __init__(self, ca, token=None):
        self.context, self.token = client_context(ca), token

    def call(self, method, path, body=None, headers=None):
        """One request; Reply.json is None when the body is not JSON."""
        headers = dict(headers or {})
        if self.token is not None:
            headers.setdefault("Authorization", "Bearer " + self.token)
        reply = http_request(URL, method, path, body, headers, self.context, DEADLINE_S)
        text = reply.body.decode("utf-8", "replace")
        with contextlib.suppress(ValueError):
            return Reply(reply.status, json.loads(text), text)
        return Reply(reply.status, None, text)

    def get(self, path, want=200):
        return self._wanted("GET", path, None, want)

    def post(self, path, body=None, want=200):
        return self._wanted("POST", path, body, want)

    def put(self, path, body, want=200):
        return self._wanted("PUT", path, body, want)

    def delete(self, path, want=200):
        return self._wanted("DELETE", path, None, want)

    def _wanted(self, method, path, body, want):
        reply = self.call(method, "/api/v1" + path, body)
        assert reply.status == want, f"{method} {path}: {reply.status}, not {want}: {reply.text}"
        return reply.json

    # -- what stories ask again and again

    def state(self, device):
        return self.get(f"/devices/{device}")["state"]

    def readings(self, device, **query):
        return self.get(f"/devices/{device}/data?{urllib.parse.urlencode(query)}")["readings"]

    def cursor(self, device):
        """That of the newest reading; 0 when there is none."""
        return self.get(f"/devices/{device}/data?limit=1")["cursor"]

    def next_reading(self, device, after, series):
        """The first reading of a series after a cursor; AssertionError if none comes."""
        found = self.readings(device, after=after, series=series, wait_ms=10000, limit=1)
        assert found, f"no {series} of {device} after {after}"
        return found[0]

    def final(self, command):
        """A command once it is answered, or given up."""
        return self.get(f"/commands/{command}?wait_ms=20000")

    def act(self, device, action):
        """The finished command."""
        return self.final(self.post(f"/devices/{device}/actions", {"action": action}, 202)["command"])

    def events(self, device):
        """Event names of a device, oldest first."""
        return [e["event"] for e in reversed(self.get(f"/events?device={device}&limit=1000")["events"])]


class Monitor:
    """One airmonitor process at a time, on one data directory; lines of all its lives."""

    def __init__(self, universe, name):
        self.universe, self.dir = universe, universe.dir / name
        self.out, self.err = universe.dir / f"{name}.out", universe.dir / f"{name}.err"
        self.process, self.env = None, universe.env

    def start(self, *options, interval_ms=200):
        """Start it; options come last, so that they override."""
        command = [BIN / "airmonitor", "--server", URL, "--ca", self.universe.keys / "web_ca.crt", "--data", self.dir,
                   "--replay", SAMPLE, "--interval-ms", str(interval_ms), *options]
        with open(self.out, "ab") as out, open(self.err, "ab") as err:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True,
                                            env=self.env)
        return self

    def lines(self, start=""):
        return [line for line in self.out.read_text().splitlines() if line.startswith(start)]

    def wait_line(self, start, count=1):
        """The count-th line that begins so."""
        return until(lambda: f"{start!r} {count} times in {self.out.read_text()!r} {self.err.read_text()!r}",
                     lambda: self.lines(start)[count - 1:])[0]

    def stop(self, number=signal.SIGTERM):
        """Send a signal and wait; the exit status."""
        self.process.send_signal(number)
        return self.process.wait(DEADLINE_S)

    @property
    def alive(self):
        return self.process is not None and self.process.poll() is None

    @property
    def code(self):
        """The code on show, None if there is none."""
        with contextlib.suppress(OSError):
            return (self.dir / "code.txt").read_text().strip() or None
        return None

    @property
    def id(self):
        return self.lines("registered id=")[-1].split("=")[1]


class Device(ReferenceDevice):
    """The reference knows one port only; here it is another one, which KeyEx names behind the broker's host."""

    def rest_register(self):
        super().rest_register()
        self.broker = self.broker.removesuffix(f":{MQTT}")


class Universe:
    """Keys, configuration and what runs on them. settings: more lines of holdfast.conf; c2: names of further C2 servers; folder:
    an empty one to live in, else a temporary one is made; env: the environment of all its processes."""

    def __init__(self, c2=(), folder=None, env=None, **settings):
        self.dir = folder or pathlib.Path(tempfile.mkdtemp(prefix="holdfast-story-"))
        self.env = env
        self.keys, self.conf = self.dir / "keys", self.dir / "holdfast.conf"
        self.process, self.api, self._open, self._honest = None, None, [], None
        self.keygen("universe", self.keys, "--name", "localhost")
        for name in ("main", *c2):
            self.keygen("c2", name, "--universe", self.keys)
        self.server_id = (self.keys / "c2/main/c2_server.id").read_text().strip()
        lines = {"port_base": BASE, **settings}
        self.conf.write_text("".join(f"{key} = {value}\n" for key, value in lines.items()))
        (self.dir / "client.cfg").write_text(f"server = {URL}\nca = {self.keys}/web_ca.crt\ntoken_file = {self.dir}/admin.token\n")

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, value, trace):
        if kind:
            with contextlib.suppress(Exception):
                self.complain()
        for thing in self._open:
            with contextlib.suppress(Exception):
                thing.stop(signal.SIGKILL) if isinstance(thing, Monitor) else thing.close()
        self.stop()
        shutil.rmtree(self.dir, ignore_errors=True)

    def keygen(self, *words):
        subprocess.run([BIN / "holdfast", "keygen", *words], check=True, stdout=subprocess.DEVNULL, timeout=DEADLINE_S,
                       stdin=subprocess.DEVNULL)

    # -- holdfastd

    def start(self):
        """Start it and wait until server and broker are up."""
        with open(self.dir / "holdfastd.out", "ab") as out:
            self.process = subprocess.Popen([BIN / "holdfastd", "--config", self.conf], stdin=subprocess.DEVNULL, stdout=out,
                                            stderr=out, start_new_session=True, env=self.env)
        try:
            until("the server is up", self.up)
        except BaseException:
            self.complain()
            self.stop()
            raise
        return self

    def up(self):
        """Whether server, signer and broker are there."""
        assert self.process.poll() is None, f"holdfastd ended: {(self.dir / 'holdfastd.out').read_text()}"
        with contextlib.suppress(OSError, KeyError, TypeError):
            self.api = Api(self.keys / "web_ca.crt", (self.dir / "admin.token").read_text().strip())
            status = self.api.call("GET", "/api/v1/status").json
            return status["broker"]["up"] and status["signer"]["up"]
        return False

    def stop(self, number=signal.SIGTERM):
        """End holdfastd with all its children; the exit status."""
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(DEADLINE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError("holdfastd did not stop") from None
        finally:
            self.process = None

    def restart(self, number=signal.SIGTERM):
        """Down and up again; after kill -9 the children need a moment to let the ports go."""
        self.stop(number)
        if number == signal.SIGKILL:
            until("the ports are free", lambda: not self._listening())
        return self.start()

    def child(self, name):
        """Process id of a child of this holdfastd, None if there is none."""
        for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError, ValueError):
                found, rest = path.read_text().split("(", 1)[1].rsplit(")", 1)
                state, parent = rest.split()[:2]
                if found == name and int(parent) == self.process.pid and state != "Z":
                    return int(path.parent.name)
        return None

    def kill_child(self, name):
        os.kill(self.child(name), signal.SIGKILL)

    @staticmethod
    def _listening():
        out = subprocess.run(["ss", "-Hltn"], capture_output=True, text=True, check=True, timeout=DEADLINE_S).stdout
        return any(f":{port} " in out for port in (HTTPS, MQTT))

    def complain(self):
        """The ends of the logs, for whoever looks for the reason."""
        for name in ("holdfastd.out", "log/holdfastd.log", "log/signer.log", "log/mosquitto.log"):
            with contextlib.suppress(OSError):
                print(f"  {name}: " + f"\n  {name}: ".join((self.dir / name).read_text(errors="replace").splitlines()[-12:]))

    # -- what looks at it

    def cli(self, *words, want=0, says="", token_file=None):
        """Runs holdfast and checks its exit code and that it says something."""
        env = {**{k: v for k, v in os.environ.items() if not k.startswith("HOLDFAST_")},
               "HOLDFAST_CONFIG": str(self.dir / "client.cfg"), "HOME": str(self.dir)}
        more = ["--token-file", token_file] if token_file else []
        done = subprocess.run([BIN / "holdfast", *words, *more], capture_output=True, text=True, env=env, timeout=60,
                              stdin=subprocess.DEVNULL)
        assert done.returncode == want, f"holdfast {words}: exit {done.returncode}, not {want}: {done.stdout}{done.stderr}"
        assert says in done.stdout + done.stderr, f"holdfast {words}: {says!r} is not in {done.stdout}{done.stderr}"
        return Done(done.returncode, done.stdout, done.stderr)

    def json(self, *words):
        """What holdfast prints with --json."""
        return json.loads(self.cli(*words, "--json").out)

    def query(self, sql, *arguments):
        """Rows of the database, opened read-only beside the server."""
        with contextlib.closing(sqlite3.connect(f"file:{self.dir}/db/holdfast.db?mode=ro", uri=True, timeout=10)) as db:
            return db.execute(sql, arguments).fetchall()

    @staticmethod
    def key_of(device):
        """The signed 64-bit number under which the database keeps an id."""
        number = int(device, 16)
        return number - (1 << 64) if number >> 63 else number

    def metrics(self):
        """Every counter by its name with labels; what is not there is 0."""
        text = self.api.call("GET", "/metrics").text
        return collections.Counter({name: int(value) for name, value in re.findall(r"^holdfast_(\S+) (\d+)$", text, re.M)})

    def refused(self, error):
        """How many messages were refused for that reason."""
        return self.metrics()[f'messages_refused_total{{error="{error}"}}']

    # -- peers

    def monitor(self, name="monitor"):
        """An airmonitor, not started."""
        self._open.append(Monitor(self, name))
        return self._open[-1]

    def joined_monitor(self, name="monitor", **more):
        """An airmonitor that was let in by its code."""
        monitor = self.monitor(name).start(**more)
        monitor.wait_line("join waiting code=")
        self.api.post(f"/devices/{monitor.id}/join/approve", {"code": monitor.code})
        monitor.wait_line("joined server=")
        return monitor

    def device(self, name, device_type="sensor", url=URL, **more):
        """A device of the reference kind, not registered."""
        device = Device(url, self.keys / "web_ca.crt", self.dir / f"device-{name}", device_type=device_type,
                        answer_delay_s=0.05, mqtt_port=MQTT, **more)
        self._open.append(device)
        return device

    def registered(self, name, device_type="sensor"):
        """One that is registered and connected."""
        device = self.device(name, device_type)
        device.register()
        device.connect()
        return device

    def joined(self, name, device_type="sensor"):
        """One that has joined: its type says accept."""
        device = self.registered(name, device_type)
        device.send_simple_join()
        assert device.wait_status() == JOIN_ACCEPTED
        return device

    def reference_server(self, name):
        """A C2 server of the reference kind with the keys of that name, not registered."""
        server = ReferenceServer(self.keys / "c2" / name, URL, self.keys / "web_ca.crt", "localhost",
                                 self.keys / "broker_ca.crt", mqtt_port=MQTT, answer_delay_s=0.05)
        self._open.append(server)
        return server

    def connected(self, device):
        """Waits until a device of the reference kind is connected (again)."""
        until(f"{device.identity} is online", lambda: self.api.get(f"/devices/{device.identity}")["online"] and
              not device.link.closed.is_set())
        return device

    def report(self, device, value, name="PM25"):
        """A device says something; the reading that the server stored."""
        after = self.api.cursor(device.identity)
        device.send_data(name, value)
        reading = self.api.next_reading(device.identity, after, name)
        assert reading["value"] == value, reading
        return reading

    def put_sensor(self):
        """The type of the devices of the reference kind."""
        self.api.put("/types/sensor", SENSOR)

    def serves(self):
        """The server still does its work: a report of an honest device is stored at once."""
        assert self.process.poll() is None, "holdfastd is gone"
        if self._honest is None:
            self._honest, self._honest_value = self.joined("honest"), 0.0
        self._honest_value += 1.5
        self.report(self.connected(self._honest), self._honest_value)


def run(tests):
    """Runs the tests that the command line names, or all: (name, function). What the main of a story returns."""
    chosen = [(name, test) for name, test in tests if not sys.argv[1:] or name in sys.argv[1:]]
    failed = 0
    for name, test in chosen:
        try:
            test()
            print(f"ok {name}", flush=True)
        except Exception:  # whatever it was, the others run
            failed += 1
            print(f"FAILED {name}\n{traceback.format_exc()}", flush=True)
    print(f"{len(chosen) - failed} passed, {failed} failed", flush=True)
    return 1 if failed or not chosen else 0
