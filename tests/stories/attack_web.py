"""attack_web - attacks over HTTP: every route by role and scope, broken requests. Uses universe.py. Run by attack_story.py."""
import contextlib
import json
import re
import socket
import sqlite3
import ssl
import time

from links import client_context, http_request, tls_exchange
from universe import HTTPS, TOP, URL, Api, until

ROLES = {"viewer": {"VIEW"}, "moderator": {"VIEW", "JOIN"}, "operator": {"VIEW", "COMMAND"}, "maintainer": {"VIEW", "MAINTAIN"},
         "admin": {"VIEW", "JOIN", "COMMAND", "MAINTAIN", "ADMIN"}}
HIDDEN = b"GET /KeyEx/register/status HTTP/1.1\r\nHost: localhost\r\n\r\n"  # behind another request
NOBODY, NOBODY_ELSE = "deadbeef", "deadbee5"  # ids that nobody has


def routes():
    """(method, pattern, right, scope) of server/api/routes.def."""
    text = (TOP / "server/api/routes.def").read_text()
    return re.findall(r'^ROUTE\("(\w+)", "([^"]+)", \w+, (\w+), (\w+), \w+,', text, re.M)


class WebAttacks:
    """On one universe."""

    def __init__(self, universe):
        self.u = universe
        self.context = client_context(universe.keys / "web_ca.crt")

    def _token(self, role, scope="all"):
        made = self.u.api.post("/tokens", {"name": f"{role}-{scope}"[:30], "role": role, "scope": scope, "days": 1}, 201)
        return Api(self.u.keys / "web_ca.crt", made["token"])

    @staticmethod
    def _fill(pattern, device):
        return (pattern.replace("{device}", device).replace("{id}", device).replace("{type}", "nothing")
                .replace("{who}", device).replace("{command}", "999999").replace("{token}", "999999").replace("{alert}", "999999"))

    @staticmethod
    def _call(api, method, path, headers=None):
        return api.call(method, path, {} if method in ("POST", "PUT") else None, headers).status

    def W2_every_route_by_role(self):
        table = routes()
        assert len(table) == (TOP / "server/api/routes.def").read_text().count("\nROUTE(") > 30
        printed = (TOP / "docs/generated/routes.md").read_text().split("## ")[0]
        assert len(table) == printed.count("\n| ") - 1 and all(f"| {m} | `{p}` | {r.lower()} |" in printed for m, p, r, _ in table)
        expired = self._token("admin")
        self._expire_newest_token()
        nobody = Api(self.u.keys / "web_ca.crt")
        everywhere = {role: self._token(role) for role in ROLES}
        narrow = {role: self._token(role, f"device:{NOBODY}") for role in ROLES}
        before = self.u.query("SELECT COUNT(*) FROM access_token WHERE revoked_ms IS NULL")
        for method, pattern, right, scope in table:
            path = self._fill(pattern, NOBODY)
            status = self._call(nobody, method, path)
            if right == "PUBLIC":
                assert status not in (401, 403), (method, path, status)
                continue
            assert status == 401, (method, path, status)
            assert self._call(expired, method, path) == 401, (method, path, "expired")
            for header in ("Bearer", "Bearer ", "Bearer hft_" + "0" * 64, "Basic YWRtaW46YWRtaW4=", "hft_", "Bearer " + "x" * 3000,
                           self.u.api.token, "bearer " + self.u.api.token[:-1], "Bearer " + self.u.api.token + "0",
                           "Bearer ' OR 1=1 --"):
                assert self._call(nobody, method, path, {"Authorization": header}) == 401, (method, path, header)
            for role, rights in ROLES.items():
                may = right in rights
                status = self._call(everywhere[role], method, path)
                assert (status not in (401, 403)) == may and status < 500, (method, path, role, status)
                status = self._call(narrow[role], method, path)
                assert (status not in (401, 403)) == (may and scope != "EVERYTHING"), (method, path, role, "in scope", status)
                if scope == "DEVICE":
                    status = self._call(narrow[role], method, self._fill(pattern, NOBODY_ELSE))
                    assert status == 403, (method, path, role, "out of scope", status)
        assert self.u.query("SELECT COUNT(*) FROM access_token WHERE revoked_ms IS NULL") == before

    def _expire_newest_token(self):
        with contextlib.closing(sqlite3.connect(self.u.dir / "db/holdfast.db", timeout=10)) as db:
            db.execute("UPDATE access_token SET expires_ms = 1 WHERE id = (SELECT MAX(id) FROM access_token)")
            db.commit()

    def W2_expired_and_revoked_tokens(self):
        api = self._token("viewer")
        (number,) = self.u.query("SELECT MAX(id) FROM access_token")[0]
        api.get("/status")
        self.u.api.delete(f"/tokens/{number}")
        api.get("/status", 401)
        self.u.api.delete(f"/tokens/{number}", 404)
        admins = [t["id"] for t in self.u.api.get("/tokens")["tokens"] if t["role"] == "admin" and
                  t["scope"] == "all" and not t["revoked_ms"]]
        for number in admins[1:]:
            self.u.api.delete(f"/tokens/{number}")
        self.u.api.delete(f"/tokens/{admins[0]}", 409)  # the last admin stays
        self.u.api.get("/status")

    def W5_scope_of_one_device(self):
        """Whoever has one house sees one house, in every list and by every number."""
        mine, other = self.u.joined("w5-mine"), self.u.joined("w5-other")
        for device in (mine, other):
            self.u.report(device, 1, "COUNT")
        api = self._token("operator", f"device:{mine.identity}")
        command = self.u.api.post(f"/devices/{other.identity}/actions", {"action": 1}, 202)["command"]
        waiting = self.u.registered("w5-waiting", "thing")
        waiting.send_human_join()
        waiting.wait_value()
        assert [d["id"] for d in api.get("/devices")["devices"]] == [mine.identity]
        assert api.get("/joins")["joins"] == [] and waiting.identity in [j["device"] for j in self.u.api.get("/joins")["joins"]]
        for _ in range(3):
            self.u.api.post(f"/devices/{waiting.identity}/join/approve", {"code": "0"}, 409)
        alert = next(a["alert"] for a in self.u.api.get("/alerts")["alerts"] if a["device"] == waiting.identity)
        assert alert not in [a["alert"] for a in api.get("/alerts")["alerts"]]
        api.post(f"/alerts/{alert}/clear", {}, 404)
        api.get(f"/commands/{command}", 404)
        for path in ("", "/data", "/commands"):
            api.get(f"/devices/{mine.identity}{path}")
            api.get(f"/devices/{other.identity}{path}", 403)
        api.post(f"/devices/{other.identity}/actions", {"action": 1}, 403)
        api.post(f"/devices/{mine.identity}/actions", {"action": 1}, 202)
        api.post(f"/devices/{mine.identity}/revoke", {}, 403)
        mine.expect("ACTION")

    # --- W3 -------------------------------------------------------------------------------------------------------------

    def _bodies(self):
        return [b"{", b"}", b"[1]", b"nul", b'"x"', b"7", b"\0", b"\xff\xfe{}", b'{"name":"\xc3\x28"}', b'{"name":"\\ud800"}',
                b'{"name":"a\\u0000b","role":"viewer"}', b'{"name":"x","name":"y"}', b"[" * 60000, b'{"a":' * 10000, b"{}{}",
                b'{"name":"' + b"x" * 60000, b'{"days":1e999}', b'{"days":99999999999999999999}', b"\xef\xbb\xbf{}", b" " * 60000]

    def W3_broken_bodies(self):
        targets = [("POST", "/api/v1/tokens"), ("PUT", "/api/v1/types/x"), ("POST", f"/api/v1/devices/{NOBODY}/join/approve"),
                   ("POST", f"/api/v1/devices/{NOBODY}/data"), ("POST", "/KeyEx/register/register"), ("POST", "/KeyEx/register/c2/")]
        tokens = self.u.api.get("/tokens")
        for method, path in targets:
            for body in self._bodies():
                reply = self.u.api.call(method, path, body)
                assert 400 <= reply.status < 500 and reply.json["message"], (path, body[:40], reply)
        for body in ({"name": "x", "role": "root"}, {"name": "x", "role": "viewer", "scope": "group:1"},
                     {"name": "x" * 500, "role": "viewer"},
                     {"name": "x", "role": "viewer", "scope": "device:0"}, {"name": "x", "role": "viewer", "days": -1},
                     {"name": "x", "role": "viewer", "days": 10**18}, {"name": "x", "role": "viewer", "days": "1"}, {"name": 1, "role": 2}):
            assert self.u.api.call("POST", "/api/v1/tokens", body).status == 400, body
        for size in (65537, 1 << 20):
            assert self.u.api.call("PUT", "/api/v1/types/x", b"{" + b" " * size + b"}").status == 413
        assert self.u.api.get("/tokens") == tokens

    def W3_odd_paths(self):
        paths = ["/../../etc/passwd", "/api/v1/../../keys/keyex.pem", "/%2e%2e/%2e%2e/etc/passwd", "//etc/passwd", "/..%2fkeys%2fkeyex.pem",
                 "/api/v1/devices/%ff%fe", "/api/v1/devices/%00", "/api/v1/devices/..", "/api/v1/devices/' OR 1=1 --", "/api/v1//devices",
                 "/api/v1/devices/", "/API/V1/STATUS", "/" + "a" * 6000, "/" + "a/" * 3000, "/\x7f", "/%", "*", "/api/v1/commands/-1",
                 "/api/v1/commands/99999999999999999999999", "/api/v1/commands/1e3", "/api/v1/types/x/y", "/\xc3\x28", "/%0a%0d2026-01-01T00:00:00Z info forged",
                 "/%1b[31m", "/%c2%9b31m"]
        for path in paths:
            reply = http_request(URL, "GET", path, None, {"Authorization": "Bearer " + self.u.api.token}, self.context)
            assert 400 <= reply.status < 500, (path[:60], reply.status)
            assert b"root:" not in reply.body and b"PRIVATE" not in reply.body
        log = (self.u.dir / "log/holdfastd.log").read_bytes()
        assert not set(log) - set(range(0x20, 0x7F)) - {0x0A} and b"\n2026-01-01" not in log
        for method in ("FOO", "PATCH", "CONNECT", "TRACE", "OPTIONS", "DELETE"):
            reply = http_request(URL, method, "/api/v1/status", None, {}, self.context)
            assert 400 <= reply.status <= 501, (method, reply.status)

    def W3_odd_queries(self):
        """SQL, numbers out of range and unknown words are data or mistakes, never commands."""
        device = self.u.joined("w3")
        self.u.report(device, 1, "COUNT")
        devices = self.u.query("SELECT COUNT(*) FROM identity")
        for word in ("'%20OR%201=1--", "%27;DROP%20TABLE%20reading;--", "%22", "%00", "%ff", "x" * 3000):
            assert self.u.api.call("GET", f"/api/v1/devices?state={word}").json["devices"] == [], word
            reply = self.u.api.call("GET", f"/api/v1/devices/{device.identity}/data?series={word}")
            assert reply.status == 400 and len(word) > 64 or reply.json["readings"] == [], (word, reply)
        for query in ("limit=0x1", "limit=-1", "limit=99999999999999999999", "limit=1001", "after=x",
                      "since_ms=1.5", "wait_ms=99999999", "until_ms=-"):
            assert self.u.api.call("GET", f"/api/v1/devices/{device.identity}/data?{query}").status == 400, query
        assert self.u.query("SELECT COUNT(*) FROM identity") == devices
        assert len(self.u.api.readings(device.identity)) == 1

    def W3_broken_requests(self):
        """Smuggling, huge headers, no HTTP at all: refused or hung up on, and no second request is taken from a body."""
        head = b"POST /healthz HTTP/1.1\r\nHost: localhost\r\n"
        hidden = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
        odd = [head + b"Content-Length: -5\r\n\r\nhello", head + b"Content-Length: 99999999999999999999999\r\n\r\nhello",
               head + b"Content-Length: x\r\n\r\n", head + b"Transfer-Encoding: chunked\r\n\r\nZZZ\r\n",
               head + b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nx", b"GET /healthz HTTP/9.9\r\n\r\n",
               b"GET /" + b"a" * 200000, b"GET /healthz HTTP/1.1\r\nX: " + b"a" * 200000 + b"\r\n\r\n",
               b"GET /healthz HTTP/1.1\r\n" + b"X: y\r\n" * 20000 + b"\r\n", b"\0" * 1000, b"\x16\x03\x01" * 300, b"\r\n" * 5000]
        for payload in odd:
            answer = tls_exchange("localhost", HTTPS, self.context, payload, 5)
            assert not answer.startswith((b"HTTP/1.1 2", b"HTTP/1.0 2", b"HTTP/1.1 5")) or \
                answer.startswith(b"HTTP/1.1 505"), (payload[:60], answer[:100])
        inner = b"0\r\n\r\n" + hidden
        for lengths in (b"Content-Length: %d\r\nTransfer-Encoding: chunked\r\n" % len(inner),
                        b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", b"Content-Length: 5\r\nContent-Length: 0\r\n",
                        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n"):
            answer = tls_exchange("localhost", HTTPS, self.context, head + lengths + b"\r\n" + inner, 5)
            assert answer.count(b"HTTP/1.1 ") <= 1 and answer[:12] in (b"", b"HTTP/1.1 400"), (lengths, answer)

    def _answers(self, payload):
        """The statuses that come back, and whether the hidden request was answered."""
        answer = tls_exchange("localhost", HTTPS, self.context, payload, 4)
        return [int(s) for s in re.findall(rb"HTTP/1\.1 (\d+)", answer)], b"active" in answer

    def W3_smuggling_shapes(self):
        """Shapes on which two parsers may disagree, each with a second request behind: refused, and the second one is not taken."""
        post, get = b"POST /KeyEx/register/register HTTP/1.1\r\nHost: a\r\n", b"GET /healthz HTTP/1.1\r\nHost: a\r\n"
        size = b"%d" % len(HIDDEN)
        shapes = {
            "both lengths": post + b"Content-Length: " + size + b"\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "two lengths": post + b"Content-Length: 0\r\nContent-Length: " + size + b"\r\n\r\n",
            "the same length twice": post + b"Content-Length: 0\r\nContent-Length: 0\r\n\r\n",
            "a list of lengths": post + b"Content-Length: 0, " + size + b"\r\n\r\n",
            "signed length": post + b"Content-Length: +0\r\n\r\n",
            "hex length": post + b"Content-Length: 0x0\r\n\r\n",
            "empty length": post + b"Content-Length: \r\n\r\n",
            "two encodings": post + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
            "blank before colon": post + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
            "tab in a name": get + b"Content\t-Length: 5\r\n\r\n",
            "NUL in a name": get + b"Content-Length\0: 5\r\n\r\n",
            "bare CR": get + b"X: a\rContent-Length: 5\r\n\r\n",
            "no colon": get + b"Content-Length 5\r\n\r\n",
            "folded line": get + b"X: b\r\n Content-Length: 9\r\n\r\n",
            "folded length": post + b"Content-Length:\r\n 2\r\n\r\n{}",
            "folded encoding": post + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
            "two hosts": get + b"Host: b\r\n\r\n",
        }
        got = {name: self._answers(shape + HIDDEN) for name, shape in shapes.items()}
        assert all(not hidden and set(statuses) <= set(range(400, 500)) for statuses, hidden in got.values()), got

    def W3_odd_but_clear_requests(self):
        """A bare LF ends a line, as RFC 9112 allows; a value is cut at a NUL. Neither moves the end of the request: what follows is a
        request of its own."""
        for shape in (b"GET /healthz HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", b"GET /healthz HTTP/1.1\nHost: a\n\n"):
            assert self._answers(shape + HIDDEN) == ([200, 200], True), shape

    def W3_the_same_fault_the_same_status(self):
        """At the API and at KeyEx."""
        for body, status in ((b"x" * 70000, 413), (b"{", 400), (b"[" * 5000, 400), (b"\xff", 400), (b'{"a":1,"a":2}', 400), (b"7", 400)):
            for path in ("/api/v1/tokens", "/KeyEx/register/register", "/KeyEx/register/access", "/KeyEx/register/c2/"):
                reply = self.u.api.call("POST", path, body)
                assert reply.status == status and len(reply.json["message"].split()) >= 3, (path, body[:20], reply)

    def W3_long_paths_and_headers(self):
        for path in ("/" + "a" * 600, "/" * 600 + "healthz" + "/x", "/" * 504 + "healthz/x", "/" + "a" * 40000, "/" + "a/" * 16000):
            reply = http_request(URL, "GET", path, None, {}, self.context)
            assert reply.status in (404, 414, 431), (path[:20], reply.status)
        for value in ("a" * 20000, "a" * 200000):
            reply = http_request(URL, "GET", "/healthz", None, {"X-Long": value}, self.context)
            assert reply.status in (200, 431), reply.status

    def W3_plain_text_and_half_open(self):
        with socket.create_connection(("localhost", HTTPS), 5) as sock:
            sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            sock.settimeout(10)
            try:
                assert b"200" not in sock.recv(100)
            except OSError:
                pass
        silent = [socket.create_connection(("localhost", HTTPS), 5) for _ in range(100)]
        slow = []
        try:
            for _ in range(20):
                raw = self.context.wrap_socket(socket.create_connection(("localhost", HTTPS), 5), server_hostname="localhost")
                raw.sendall(b"GET /healthz HTTP/1.1\r\nHost: loc")
                slow.append(raw)
            began = time.monotonic()
            self.u.api.get("/status")
            assert time.monotonic() - began < 1
            end = time.monotonic() + 25  # http_timeout_s is 3 here
            while time.monotonic() < end and not all(self._gone(s) for s in slow + silent):
                time.sleep(0.2)
            assert all(self._gone(s) for s in slow + silent), "they are still held"
        finally:
            for sock in silent + slow:
                sock.close()

    @staticmethod
    def _gone(sock):
        """Whether the other side has hung up."""
        sock.settimeout(0.001)
        try:
            return sock.recv(4096) == b""
        except (TimeoutError, ssl.SSLWantReadError):
            return False
        except OSError:
            return True

    def W3_refusals_are_counted(self):
        before = self.u.metrics()
        self.u.api.call("GET", "/nowhere")
        self.u.api.call("PUT", "/api/v1/types/x", json.dumps({"x": "y" * 70000}).encode())
        after = until("counted", lambda: (m := self.u.metrics()) and m["http_refused_total"] >= before["http_refused_total"] + 2 and m)
        assert after["http_body_too_big_total"] > before["http_body_too_big_total"]
