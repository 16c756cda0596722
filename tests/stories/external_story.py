#!/usr/bin/python3
"""Story: `broker = external`. A mosquitto that the test starts with the printed configuration; holdfastd finds it by name, and
a broker that is stopped, gone or does not answer at all holds no HTTP request up. Uses universe.py.
"""
import contextlib
import http.client
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

import universe
from universe import ACTION_OK, BASE, BIN, HTTPS, Universe, client_context, until

SLOW_S = 0.1
universe.MQTT = MQTT = BASE + 1883


class External(Universe):
    """A universe whose broker is a process of the test's, with its files in a folder of its own."""

    def __init__(self):
        super().__init__(broker="external", broker_host="localhost", broker_port=MQTT)
        self.folder, self.broker = self.dir / "elsewhere", None
        self.install()

    def install(self):
        """What the printed configuration tells an operator to do: the files that it names, from where it says."""
        text = self.cli("broker", "config", "--config", self.conf, "--dir", self.folder).out
        (self.folder / "state").mkdir(parents=True)
        for name, source in re.findall(r"^#   (\S+) +from (\S+): ", text, re.M):
            shutil.copy(source, self.folder / name)
        assert sorted(path.name for path in self.folder.iterdir()) == [
            "broker.crt", "broker.key", "broker_ca.crt", "holdfast_broker.so", "state"]
        as_root = "user root\n" if os.geteuid() == 0 else ""
        (self.folder / "mosquitto.conf").write_text(as_root + text)

    def start_broker(self):
        with open(self.folder / "log", "ab") as log:
            self.broker = subprocess.Popen(["/usr/sbin/mosquitto", "-c", self.folder / "mosquitto.conf"], stdin=subprocess.DEVNULL,
                                           stdout=log, stderr=log, start_new_session=True)
        return self

    def stop_broker(self):
        if self.broker and self.broker.poll() is None:
            self.broker.send_signal(signal.SIGCONT)
            self.broker.kill()
            self.broker.wait()

    def __enter__(self):
        self.start_broker()
        return super().__enter__()

    def __exit__(self, kind, value, trace):
        try:
            super().__exit__(kind, value, trace)
        finally:
            self.stop_broker()

    def all_up(self):
        """Whether all three connections are there; without the others a fresh broker drops what devices say."""
        log = (self.dir / "log/holdfastd.log").read_text()
        return all(log.rfind(f"link.up client={name}\n") > log.rfind(f"link.down client={name} ")
                   for name in ("holdfast-control", f"{self.server_id}/data", f"{self.server_id}/control"))

    def launch(self):
        """Start holdfastd without waiting for its broker."""
        with open(self.dir / "holdfastd.out", "ab") as out:
            self.process = subprocess.Popen([BIN / "holdfastd", "--config", self.conf], stdin=subprocess.DEVNULL, stdout=out,
                                            stderr=out, start_new_session=True)

    def connection(self):
        return contextlib.closing(http.client.HTTPSConnection("localhost", HTTPS, timeout=10,
                                                              context=client_context(self.keys / "web_ca.crt")))

    def healthy(self):
        with contextlib.suppress(OSError), self.connection() as connection:
            return self.one_answer(connection) > 0
        return False

    def broker_up(self):
        return self.api.get("/status")["broker"]["up"]

    def answers_for(self, seconds):
        """HTTP answers in time, again and again. Best of three: other programs of this machine have their turns too."""
        end, slowest = time.monotonic() + seconds, 0.0
        with self.connection() as connection:
            while time.monotonic() < end:
                slowest = max(slowest, min(self.one_answer(connection) for _ in range(3)))
                time.sleep(0.05)
        assert slowest < SLOW_S, f"an answer took {slowest:.3f} s"

    @staticmethod
    def one_answer(connection):
        start = time.monotonic()
        connection.request("GET", "/healthz")
        reply = connection.getresponse()
        reply.read()
        assert reply.status == 200
        return time.monotonic() - start


@contextlib.contextmanager
def silent_listener():
    """A port on which the kernel drops every SYN, as its queue is full: what a partition looks like."""
    with contextlib.ExitStack() as stack:
        full = stack.enter_context(socket.socket())
        full.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        full.bind(("127.0.0.1", MQTT))
        full.listen(0)
        for _ in range(4):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(("127.0.0.1", MQTT))
        with socket.socket() as probe:
            probe.settimeout(1)
            try:
                probe.connect(("127.0.0.1", MQTT))
            except TimeoutError:
                pass
            else:
                raise AssertionError("the port still answers")
        yield


def printed_configuration_serves():
    with External() as u:
        assert u.child("mosquitto") is None
        monitor = u.joined_monitor()
        assert u.api.act(monitor.id, "led-on")["status"] == ACTION_OK
        assert u.api.next_reading(monitor.id, 0, "PM25")


def stopped_broker_holds_nothing_up():
    with External() as u:
        u.put_sensor()
        device = u.joined("one")
        u.broker.send_signal(signal.SIGSTOP)
        u.answers_for(3)
        u.broker.send_signal(signal.SIGCONT)
        u.report(u.connected(device), 4.5)


def silent_broker_holds_nothing_up():
    with External() as u:
        u.put_sensor()
        u.stop_broker()
        until("the server sees that the broker is gone", lambda: not u.broker_up())
        with silent_listener():
            u.answers_for(12)  # two deadlines of a connect
            assert 'why="no answer in time"' in (u.dir / "log/holdfastd.log").read_text()
        u.start_broker()
        until("the broker is back", u.all_up)
        u.serves()


def server_starts_before_its_broker():
    u = External()
    try:
        with silent_listener():
            u.launch()
            until("HTTP answers", u.healthy)
            u.answers_for(6)
        u.start_broker()
        until("the server is up", lambda: u.up() and u.all_up())
        u.put_sensor()
        u.serves()
    finally:
        u.__exit__(None, None, None)


TESTS = [(name, value) for name, value in list(globals().items())
         if callable(value) and getattr(value, "__module__", "") == "__main__" and not isinstance(value, type) and
         name not in ("silent_listener",)]

if __name__ == "__main__":
    sys.exit(universe.run(TESTS))
