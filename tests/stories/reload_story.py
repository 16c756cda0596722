#!/usr/bin/python3
"""Story: the second day. SIGHUP takes over what may change and names what may not; logs are put aside when they are big, opened
anew when somebody else put them aside, written as JSON on request; the web certificate changes under live connections.
Uses universe.py.
"""
import hashlib
import json
import os
import signal
import sys

import universe
from links import open_tls
from universe import HTTPS, Universe, client_context, until


def configure(u, **settings):
    """Another holdfast.conf, and SIGHUP."""
    lines = {"port_base": universe.BASE, **settings}
    u.conf.write_text("".join(f"{key} = {value}\n" for key, value in lines.items()))
    u.process.send_signal(signal.SIGHUP)


def log_of(u, name="holdfastd.log"):
    path = u.dir / "log" / name
    return path.read_text() if path.exists() else ""


def logged(u, text, times=1):
    until(f"{text!r} in the log", lambda: log_of(u).count(text) >= times)


def live_keys_change_and_others_are_named():
    with Universe() as u:
        children = [u.child(name) for name in ("holdfast-server", "holdfast-signer", "mosquitto")]
        assert not too_big(u)
        configure(u, http_body_max=1024, http_timeout_s=20, log_level="debug")
        logged(u, "config.read")
        for line in ("info config.taken key=http_body_max", "info config.taken key=log_level",
                     "warn config.needs-restart key=http_timeout_s"):
            assert line in log_of(u), line
        until("the server takes it over", lambda: too_big(u))
        assert " debug http.request " in log_of(u)
        assert children == [u.child(name) for name in ("holdfast-server", "holdfast-signer", "mosquitto")]
        configure(u, log_level="error", http_body_max=1024, http_timeout_s=20)
        until("quiet", lambda: not_logging(u))


def too_big(u):
    """Is a body of 2000 bytes more than the server takes?"""
    return u.api.call("PUT", "/api/v1/types/x", {"x": "y" * 2000}).status == 413


def rates_change_while_it_runs():
    with Universe() as u:
        assert all(u.api.call("GET", "/api/v1/status").status == 200 for _ in range(20))
        configure(u, rate_api=1)
        until("too many requests", lambda: u.api.call("GET", "/api/v1/status").status == 429)
        configure(u, rate_api=0)
        until("no limit", lambda: u.api.call("GET", "/api/v1/status").status == 200)


def not_logging(u):
    before = len(log_of(u))
    u.api.call("GET", "/nothing")
    return len(log_of(u)) == before


def a_bad_configuration_is_refused():
    with Universe() as u:
        configure(u, http_body_max=1024, joins_max="many")
        logged(u, 'error config.refused why="')
        assert "joins_max: \\\"many\\\" is not a whole number" in log_of(u) and "config.read" not in log_of(u)
        assert not too_big(u)
        configure(u, http_body_max=1024)
        logged(u, "config.read")


def fingerprint():
    context = client_context()
    with open_tls("localhost", HTTPS, context) as sock:
        return hashlib.sha256(sock.getpeercert(True)).hexdigest()


def web_certificate_changes_while_it_serves():
    with Universe() as u:
        before, pid = fingerprint(), u.child("holdfast-server")
        context = client_context(u.keys / "web_ca.crt")
        with open_tls("localhost", HTTPS, context) as old:
            u.cli("keygen", "web", u.keys)
            u.process.send_signal(signal.SIGHUP)
            until("the new certificate", lambda: fingerprint() != before)
            old.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert old.recv(4096).startswith(b"HTTP/1.1 200"), "the connection that was there goes on"
        with open_tls("localhost", HTTPS, client_context(u.keys / "web_ca.crt")) as new:
            assert ("DNS", "localhost") in new.getpeercert()["subjectAltName"]
        assert u.child("holdfast-server") == pid


def a_key_that_does_not_fit_is_refused():
    with Universe() as u:
        before = fingerprint()
        other = u.dir / "other"
        u.keygen("universe", other, "--name", "localhost")
        (u.keys / "web.key").write_bytes((other / "web.key").read_bytes())
        u.process.send_signal(signal.SIGHUP)
        logged(u, 'server.failed what="take over the new configuration"')
        assert fingerprint() == before


def broker_certificate_changes_by_a_restart_of_the_broker():
    with Universe() as u:
        u.put_sensor()
        device, pid = u.joined("one"), u.child("mosquitto")
        u.cli("keygen", "broker", u.keys)
        u.process.send_signal(signal.SIGHUP)
        until("a new broker", lambda: u.child("mosquitto") not in (None, pid))
        u.report(u.connected(device), 2.5)


def access_certificates_are_renewed_while_it_runs():
    """Twice, then the broker is gone: the links come up again with the new ones. They are also renewed every 12 hours."""
    with Universe() as u:
        u.put_sensor()
        device = u.joined("one")
        for times in (2, 3):
            u.process.send_signal(signal.SIGHUP)
            until("two more certificates", lambda t=times: log_of(u, "signer.log").count("op=access-certificate") == 2 * t)
            u.report(device, float(times))  # what is connected stays so
        u.kill_child("mosquitto")
        logged(u, "link.up", 6)
        u.report(u.connected(device), 9.5)
        failed = [line for line in log_of(u).splitlines() if "server.failed" in line]
        assert not failed, failed


def logs_are_json_on_request():
    with Universe(log_format="json") as u:
        u.put_sensor()
        u.joined("one")
        for name in ("holdfastd.log", "signer.log", "mosquitto.log"):
            lines = [json.loads(line) for line in log_of(u, name).splitlines()]
            assert all(len(json.loads(line, object_pairs_hook=list)) == len(json.loads(line)) for line in log_of(u, name).splitlines())
            assert lines and all(line["level"] in ("debug", "info", "warn", "error") and line["event"] and
                                 line["time"].endswith("Z") for line in lines), name
        events = {line["event"] for line in map(json.loads, log_of(u).splitlines())}
        assert {"parent.started", "server.started", "child.started", "link.up", "act"} <= events


def big_logs_are_put_aside():
    with Universe(log_level="debug", log_max_mb=1, log_keep=2) as u:
        path = u.dir / "log/holdfastd.log"
        for _ in range(4):  # what a talkative month leaves
            with open(path, "a", encoding="ascii") as log:
                log.write(("x" * 1023 + "\n") * 1024)
            u.api.get("/status")
            until("a fresh file", lambda: path.stat().st_size < 1 << 20)
        assert sorted(p.name for p in (u.dir / "log").glob("holdfastd.log*")) == ["holdfastd.log", "holdfastd.log.1", "holdfastd.log.2"]
        assert path.stat().st_mode & 0o777 == 0o600


def logs_are_opened_anew():
    with Universe() as u:
        for name in ("holdfastd.log", "signer.log", "mosquitto.log"):
            os.rename(u.dir / "log" / name, u.dir / "log" / f"{name}.old")
        u.process.send_signal(signal.SIGHUP)
        logged(u, "config.read")
        u.put_sensor()
        u.joined("one")
        until("each log goes on", lambda: all((u.dir / "log" / name).stat().st_size for name in ("holdfastd.log", "signer.log")))
        assert (u.dir / "log/mosquitto.log").exists()


def tests():
    return [(name, value) for name, value in globals().items()
            if callable(value) and getattr(value, "__module__", "") == "__main__" and not isinstance(value, type) and
            name not in ("configure", "log_of", "logged", "not_logging", "too_big", "fingerprint", "tests")]


if __name__ == "__main__":
    sys.exit(universe.run(tests()))
