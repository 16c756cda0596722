#!/usr/bin/python3
"""enrol_story - who may register, how often, and what a caller without manners gets: policies, tokens, the allow-list, rate limits,
slow senders, refused joins; with real processes. Each group has a universe of its own.

HOLDFAST_BIN: the directory of the programs. HOLDFAST_PORT_BASE: the ports +443 and +883 are used. Arguments: names of tests
(default all). Prints "ok NAME" for each that passed; last line "N passed, N failed".
"""
import contextlib
import hashlib
import json
import pathlib
import signal
import socket
import sqlite3
import subprocess
import sys
import time

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from universe import BIN, HTTPS, JOIN_FAILED, URL, RestError, Universe, run, until
from attack_keyex import spki
from links import HttpsConnection, client_context, http_request
from peer_base import b64
import srup5


class Group:
    """Tests on one universe, which starts with the first of them."""

    SETTINGS = {}

    def __init__(self):
        self.u, self.keys = None, []

    def start(self):
        if self.u is None:
            self.u = Universe(**self.SETTINGS).start()
            self.u.put_sensor()

    def stop(self):
        if self.u is not None:
            self.u.__exit__(None, None, None)

    def device(self, name, url=URL, **more):
        device = self.u.device(name, url=url, **more)
        device.new_identity()
        return device

    def register(self, device, want=201):
        """The whole reply to register."""
        reply = device.keyex.request("POST", "register", device.register_body())
        assert reply.status == want, reply
        return reply

    def validate(self, device, want=200):
        reply = device.keyex.request("POST", "validate", device.validate_body())
        assert reply.status == want, reply
        return reply

    def sentence(self, reply, *words):
        message = json.loads(reply.body)["message"]
        for word in words:
            assert word in message, message
        return message

    def token(self, *options):
        """A new enrolment token's text."""
        return self.u.cli("enrol", "token", "new", *options).out.strip()

    def used(self):
        return [t["uses"] for t in self.u.json("enrol", "token", "list")["tokens"]]

    def cheap_bodies(self, count, first=0x1000):
        """Registrations with keys that are new each time, from few primes."""
        primes = []
        while len(primes) ** 2 < count:
            numbers = rsa.generate_private_key(65537, 2048).private_numbers()
            primes.append((numbers.p, numbers.q))
        keys = [spki(rsa.RSAPublicNumbers(65537, p * q).public_key()) for p, _ in primes for _, q in primes]
        return [{"identity": f"{first + n:x}", "key": keys[n], "type": "sensor"} for n in range(count)]


def at(token, slash=""):
    """A base URL that carries a token."""
    return f"{URL}/e/{token}{slash}"


class Tokens(Group):
    """enrolment = token."""

    SETTINGS = {"enrolment": "token"}

    def K6_without_a_token_nobody_registers(self):
        device = self.device("none")
        self.sentence(self.register(device, 403), "enrolment token", "/e/TOKEN", "holdfast enrol token new")
        for text in ("", "x", "hfe_" + "0" * 40, "%00", "..", "hfe_", "a" * 127, "a" * 129, "' OR 1=1 --".replace(" ", "%20")):
            self.register(self.device(f"bad-{len(text)}-{text[:1].isalpha()}", at(text)), 403)
        assert self.u.query("SELECT COUNT(*) FROM identity WHERE kind = 'device'") == [(0,)]
        counted = self.u.metrics()
        assert counted['enrolments_refused_total{why="no-token"}'] >= 1, counted
        assert counted['enrolments_refused_total{why="unknown-token"}'] >= 5, counted
        assert self.u.json("status")["enrolment"]["policy"] == "token"
        assert "enrol.refused" in [e["event"] for e in self.u.json("event", "list")["events"]]

    def token_lets_in_and_is_spent_by_the_proof(self):
        token = self.token("--uses", "2", "--name", "hall 3")
        first, second, third = (self.device(f"t{n}", at(token, "/" if n == 2 else "")) for n in (1, 2, 3))
        for device in (first, second, third):
            self.register(device)
        assert self.used() == [0]
        self.validate(first)
        self.validate(first)
        assert self.used() == [1]
        self.validate(second)
        assert self.used() == [2]
        self.sentence(self.validate(third, 403), "as often as it may")
        self.register(self.device("t4", at(token)), 403)
        assert first.keyex.get_key(first.identity) and second.keyex.request("GET", "status").status == 200

    def K6_token_bound_to_type_and_time(self):
        token = self.token("--type", "sensor", "--uses", "9")
        self.sentence(self.register(self.device("ty", at(token), device_type="boiler"), 403), "another type")
        self.register(self.device("ty2", at(token)))
        expired, revoked = self.token("--uses", "9"), self.token("--uses", "9")
        numbers = [t["id"] for t in self.u.json("enrol", "token", "list")["tokens"]]
        waiting = self.device("wait", at(revoked))
        self.register(waiting)
        with contextlib.closing(sqlite3.connect(self.u.dir / "db/holdfast.db", timeout=10)) as db:
            db.execute("UPDATE enrol_token SET expires_ms = 1 WHERE id = ?", (numbers[-2],))
            db.commit()
        self.sentence(self.register(self.device("ex", at(expired)), 403), "expired")
        self.u.cli("enrol", "token", "revoke", str(numbers[-1]), "--yes")
        self.sentence(self.register(self.device("re", at(revoked)), 403), "revoked")
        self.sentence(self.validate(waiting, 403), "revoked")
        self.u.cli("enrol", "token", "revoke", str(numbers[-1]), "--yes", want=1, says="revoked already")

    def registered_devices_need_no_token(self):
        device = self.u.device("later", url=at(self.token()))
        device.register()
        again = self.u.device("later-again")
        again.identity, again.identity_key, again.access_key = device.identity, device.identity_key, device.access_key
        assert again.keyex.request("POST", "access", again.access_body()).status == 200

    def monitor_with_a_token(self):
        token = self.token("--type", "airmonitor")
        monitor = self.u.monitor("tokened").start("--server", at(token))
        monitor.wait_line("join waiting code=")
        line = pathlib.Path(f"/proc/{monitor.process.pid}/cmdline").read_bytes()
        assert token.encode() not in line and b"/e/" not in line and URL.encode() in line, line
        assert monitor.stop() == 0
        lost = self.u.monitor("lost").start("--server", f"https://localhost:1/e/{token}")
        until("it says why", lambda: "localhost:1" in lost.out.read_text() + lost.err.read_text())
        lost.stop()
        done = subprocess.run([BIN / "airmonitor", at(token)], capture_output=True, text=True, timeout=20, check=False)
        assert done.returncode == 2 and token not in done.stdout + done.stderr, done

    def K6_no_token_in_logs_or_database(self):
        """After all that: neither here nor in requests that put it where it does not belong."""
        token = self.token("--uses", "5")
        context = client_context(self.u.keys / "web_ca.crt")
        for path in (f"/e/{token}", f"/e/{token}/", f"/e/{token}/nowhere", f"/E/{token}/KeyEx/register/status", f"/KeyEx/{token}",
                     f"/KeyEx/register/get_key/{token}", f"/api/v1/types/{token}", f"/{token}", f"//e//{token}/KeyEx",
                     f"/e/x/{token}", f"/e/{token}/KeyEx/register/get_key/zz", f"/e/{token}%00/KeyEx/register/status", f"/x?t={token}"):
            http_request(URL, "GET", path, None, {}, context)
        for method in ("POST", "PUT", "BREW"):
            http_request(URL, method, f"/e/{token}/KeyEx/register/register", b"{", {"Expect": token}, context)
        self.register(self.device("logged", at(token)))
        with contextlib.suppress(RestError):
            self.u.device("unfinished", url=at(token)).register()
        time.sleep(0.2)
        self.u.stop()
        ours = [p for p in self.u.dir.rglob("*") if p.is_file() and not p.relative_to(self.u.dir).parts[0].startswith("device-")]
        assert {"holdfastd.log", "holdfast.db", "mosquitto.log", "tokened.out"} <= {p.name for p in ours}, ours
        for path in ours:
            content = path.read_bytes()
            assert token.encode() not in content and token[4:].encode() not in content, path
        self.u.start()


class Listed(Group):
    """enrolment = allowlist, and what a type asks for."""

    SETTINGS = {"enrolment": "allowlist", "allowlist_max": 50, "join_refused_s": 2, "idle_identity_days": 1, "identities_max": 12}

    @staticmethod
    def fingerprint(device):
        der = device.identity_key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        return hashlib.sha256(der).hexdigest()

    def K6_only_listed_devices_register(self):
        by_id, by_key, stranger = self.device("by-id"), self.device("by-key"), self.device("stranger")
        for device in (by_id, by_key, stranger):
            self.sentence(self.register(device, 403), "allow-list", "holdfast enrol allow")
        self.u.cli("enrol", "allow", by_id.identity, says="1 on the allow-list")
        self.u.cli("enrol", "allow", self.fingerprint(by_key).upper(), "--type", "sensor")
        for device in (by_id, by_key):
            self.register(device)
            self.validate(device)
        self.register(stranger, 403)
        self.u.cli("enrol", "allow", stranger.identity, "--type", "boiler")
        self.sentence(self.register(stranger, 403), "another type")
        listed = self.u.json("enrol", "list")["allowed"]
        assert {e["who"] for e in listed} == {by_id.identity, self.fingerprint(by_key), stranger.identity}, listed
        self.u.cli("enrol", "remove", stranger.identity, says="no longer")
        self.u.cli("enrol", "remove", stranger.identity, want=1, says="not on the allow-list")

    def K6_taken_off_before_the_proof(self):
        device = self.device("off")
        self.u.cli("enrol", "allow", device.identity)
        self.register(device)
        self.u.cli("enrol", "remove", device.identity)
        self.sentence(self.validate(device, 403), "allow-list")

    def a_file_all_or_nothing(self):
        before = self.u.json("enrol", "list")
        bad = self.u.dir / "bad.txt"
        bad.write_text("# ours\nabc1\nabc2 sensor\n\nNO\nabc3 a b\n" + "f" * 63 + "\n")
        done = self.u.cli("enrol", "allow", "--file", bad, want=1, says="nothing was added")
        for line in (5, 6, 7):
            assert f"line {line} " in done.err, done.err
        assert self.u.json("enrol", "list") == before
        self.u.api.post("/enrolment/allowed", {"entries": ["abc1", "abc2 sensor", "a b c"]}, 400)
        self.u.api.post("/enrolment/allowed", {"entries": [f"{n:x}" for n in range(1, 60)]}, 400)  # allowlist_max
        for body in ({}, {"entries": []}, {"entries": "abc1"}, {"entries": [1]}, {"entries": ["abc1", None]}, {"entries": ["a" * 500]}):
            self.u.api.post("/enrolment/allowed", body, 400)
        assert self.u.json("enrol", "list") == before
        bad.write_text("abc1\n  abc2   sensor\r\n".replace("\r", "") + "f" * 64 + " sensor")
        self.u.cli("enrol", "allow", "--file", bad, says="3 on the allow-list")
        assert len(self.u.json("enrol", "list")["allowed"]) == len(before["allowed"]) + 3
        self.u.cli("enrol", "allow", "--file", self.u.dir / "nowhere", want=3)
        self.u.cli("enrol", "allow", "ABC", want=2)
        self.u.cli("enrol", "allow", want=2)

    def refused_join_stays_refused(self):
        device = self.u.device("refused", "thing")
        device.new_identity()
        self.u.cli("enrol", "allow", device.identity)
        device.rest_register()
        device.rest_validate()
        device.rest_access()
        device.connect()
        device.send_human_join()
        device.wait_value()
        self.u.cli("join", "refuse", device.identity, says="turned away")
        assert device.wait_status() == JOIN_FAILED
        device.send_human_join()
        assert device.wait_status() == JOIN_FAILED  # at once, and nobody is asked
        assert self.u.json("join", "list")["joins"] == []
        time.sleep(3.2)
        device.send_human_join()
        device.wait_value()
        assert [j["device"] for j in self.u.json("join", "list")["joins"]] == [device.identity]

    def idle_identities_are_forgotten(self):
        device = self.u.device("idle")
        device.new_identity()
        self.u.cli("enrol", "allow", device.identity)
        device.rest_register()
        device.rest_validate()
        device.rest_access()
        device.connect()
        with contextlib.closing(sqlite3.connect(self.u.dir / "db/holdfast.db", timeout=10)) as db:
            db.execute("UPDATE identity SET created_ms = 1 WHERE id = ?", (self.u.key_of(device.identity),))
            db.commit()
        until("it is forgotten", lambda: self.u.api.call("GET", f"/api/v1/devices/{device.identity}").status == 404)
        until("the broker cut it off", device.link.closed.is_set)
        events = [e for e in self.u.json("event", "list")["events"] if e["event"] == "identity.forgotten"]
        assert len(events) == 1 and events[0]["detail"].startswith("1 "), events

    def K6_identities_are_bounded(self):
        entries = []
        bodies = self.cheap_bodies(20)
        for body in bodies:
            entries.append(body["identity"])
        self.u.api.post("/enrolment/allowed", {"entries": entries})
        device = self.u.device("bound")
        replies = [device.keyex.request("POST", "register", body) for body in bodies]
        assert {r.status for r in replies} == {201, 503}, [r.status for r in replies]
        self.sentence(replies[-1], "identities_max")
        assert self.u.query("SELECT COUNT(*) FROM identity")[0][0] == 12
        assert self.u.metrics()["registrations_too_many_total"] >= 1

    def types_listed_shown_stored(self):
        shown = self.u.json("type", "show", "sensor")
        assert shown["join"]["simple"] == "accept" and shown["data"], shown
        self.u.cli("type", "show", "airmonitor", says="led-toggle")
        self.u.cli("type", "show", "nothing", want=1, says="no profile")
        strict = self.u.dir / "strict.json"
        strict.write_text(json.dumps({"name": "strict", "enrolment": "tocken"}))
        self.u.cli("type", "put", strict, want=1, says='"enrolment" must be')


class Rates(Group):
    """Small limits, and callers who do not keep to them."""

    SETTINGS = {"rate_keyex": 2, "rate_login": 2, "rate_api": 600, "registrations_max": 40, "http_timeout_s": 3, "http_request_s": 4,
                "http_address_max": 30}

    def W3_slow_senders_have_a_time_in_all(self):
        """A byte now and then keeps a connection from being idle; the request has to be complete all the same."""
        context = client_context(self.u.keys / "web_ca.crt")
        heads = {"headers": b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: ",
                 "body": b"POST /KeyEx/register/register HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000\r\n\r\n{",
                 "chunks": b"POST /KeyEx/register/register HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n"}
        senders = {}
        for name, head in heads.items():
            senders[name] = context.wrap_socket(socket.create_connection(("localhost", HTTPS), 5), server_hostname="localhost")
            senders[name].sendall(head)
        began, ended = time.monotonic(), {}
        while len(ended) < len(senders) and time.monotonic() < began + 15:
            for name, sock in senders.items():
                if name in ended:
                    continue
                try:
                    sock.sendall(b"a\r\n1\r\n" if name == "chunks" else b"a")
                    sock.settimeout(0.01)
                    if sock.recv(100) == b"":
                        ended[name] = time.monotonic() - began
                except TimeoutError:
                    pass
                except OSError:
                    ended[name] = time.monotonic() - began
            time.sleep(0.3)
        assert set(ended) == set(senders) and all(3 < s < 8 for s in ended.values()), ended
        assert self.u.metrics()["http_slow_total"] >= 3
        self.u.api.get("/status")

    def W3_kept_connection_is_not_cut(self):
        """The time counts for each request anew."""
        connection = HttpsConnection(URL.removeprefix("https://"), context=client_context(self.u.keys / "web_ca.crt"), timeout=10)
        for _ in range(4):
            connection.request("GET", "/healthz")
            reply = connection.getresponse()
            assert reply.status == 200 and reply.read()
            time.sleep(2)
        connection.close()

    def W3_connections_of_one_address_are_bounded(self):
        held = []
        try:
            for _ in range(60):
                held.append(socket.create_connection(("localhost", HTTPS), 5))
            until("some are refused", lambda: sum(self._gone(s) for s in held) >= 25)
        finally:
            for sock in held:
                sock.close()
        until("counted", lambda: self._try_metrics()["http_crowded_total"] >= 25)
        self.u.api.get("/status")

    def _try_metrics(self):
        try:
            return self.u.metrics()
        except (OSError, AttributeError):
            return {"http_crowded_total": 0}

    @staticmethod
    def _gone(sock):
        sock.settimeout(0.001)
        try:
            return sock.recv(1) == b""
        except TimeoutError:
            return False
        except OSError:
            return True

    def W1_wrong_tokens_are_limited(self):
        """Wrong ones become 429; the right one goes on working, from the same address."""
        context, statuses = client_context(self.u.keys / "web_ca.crt"), []
        for n in range(20):
            reply = http_request(URL, "GET", "/api/v1/status", None, {"Authorization": f"Bearer hft_{n:064x}"}, context)
            statuses.append(reply.status)
        assert statuses[:10] == [401] * 10 and statuses[-5:] == [429] * 5, statuses
        assert 1 <= int(reply.headers["Retry-After"]) <= 60 and "Retry-After" in json.loads(reply.body)["message"]
        self.u.api.get("/status")
        assert self.u.metrics()['http_rate_limited_total{class="login"}'] >= 5
        assert self.u.api.get("/status")["http"]["rate_limited"] >= 5

    def K6_flood_of_registrations_is_limited(self):
        device, bodies = self.u.device("flood"), self.cheap_bodies(30)
        replies = [device.keyex.request("POST", "register", body) for body in bodies]
        assert [r.status for r in replies[:10]] == [201] * 10 and replies[-1].status == 429, [r.status for r in replies]
        assert int(replies[-1].headers["Retry-After"]) >= 1
        self.sentence(replies[-1], "too many requests")
        assert device.keyex.request("GET", "status").status == 200  # another class
        assert self.u.metrics()['http_rate_limited_total{class="keyex"}'] >= 10
        refused = (self.u.dir / "log/holdfastd.log").read_text().count("http.refused")
        assert refused <= 120, refused


class Workshop(Group):
    """The defaults."""

    def a_hundred_devices_from_one_address(self):
        """The requests of a hundred enrolments, as fast as they can be sent: every answer but those of the signer counts."""
        keys = [rsa.generate_private_key(65537, 2048) for _ in range(4)]
        device, bodies = self.u.device("shop"), self.cheap_bodies(100)
        for body, key in zip(bodies, keys):
            body["key"] = spki(key.public_key())
        for n, body in enumerate(bodies):
            assert device.keyex.request("POST", "register", body).status == 201
            signature = b64(srup5.sign_pss(body["identity"].encode(), keys[n % 4]))
            want = 200 if n < 4 else 400
            assert device.keyex.request("POST", "validate", {"identity": body["identity"], "signature": signature}).status == want
            assert device.keyex.request("POST", "access", {"identity": body["identity"], "csr": "", "signature": ""}).status == 400


def main():
    groups = [Tokens(), Listed(), Rates(), Workshop()]
    code = 0
    tests = []
    for group in groups:
        names = [n for n in vars(type(group)) if not n.startswith("_") and n not in ("SETTINGS", "fingerprint")]
        tests.append((group, [(n, getattr(group, n)) for n in names]))

    def staged(group, test, last):
        def one():
            group.start()
            try:
                test()
            except Exception:
                group.u.complain()
                raise
            finally:
                if last:
                    group.stop()
        return one

    chosen = set(sys.argv[1:])
    flat = []
    for group, named in tests:
        named = [(n, t) for n, t in named if not chosen or n in chosen]
        flat += [(n, staged(group, t, i + 1 == len(named))) for i, (n, t) in enumerate(named)]
    code = run(flat)
    return code


if __name__ == "__main__":
    signal.alarm(600)
    sys.exit(main())
