"""The commands of holdfast that talk to a server, against one that answers as told. Uses: cli_bench, HOLDFAST_BIN."""
import json
import os
import pty
import subprocess
import sys
import time

from cli_bench import (DONE, MISSING, PROGRAM, REFUSED, UNCONFIRMED, UNREACHABLE, USAGE, VECTORS, Server, as_unittest,
                       case, environment, expect, path, run_cases, universe)

@case
def server_not_found():
    expect(MISSING, "status", says="no server is known")
    expect(UNREACHABLE, "status", "--server", "https://127.0.0.1:1",
           says="connection refused; is it running? try ./start")
    expect(UNREACHABLE, "status", env=environment(HOLDFAST_SERVER="https://127.0.0.1:1"))
    expect(UNREACHABLE, "status", "--server", "https://nobody.invalid", says="no host of that name")
    expect(USAGE, "status", "--server", "http://localhost", says="https://")
    expect(MISSING, "status", env=environment(HOLDFAST_CONFIG=path("nowhere")), says="HOLDFAST_CONFIG")
    with open(path("broken.conf"), "w", encoding="ascii") as f:
        f.write("server = https://x\nsurprise\n")
    expect(USAGE, "status", env=environment(HOLDFAST_CONFIG=path("broken.conf")), says="line 2")
    expect(MISSING, "status", "--server", "https://127.0.0.1:1", "--token-file", path("nowhere"), says="token file")
    os.makedirs(path(".config", "holdfast"), exist_ok=True)
    with open(path(".config", "holdfast", "config"), "w", encoding="ascii") as f:
        f.write("server = https://127.0.0.1:1\n")
    expect(UNREACHABLE, "status", says="https://127.0.0.1:1")
    os.unlink(path(".config", "holdfast", "config"))


STATUS = {"version": "1", "server": {"up": True, "id": "ab", "name": "main"}, "signer": {"up": True},
          "broker": {"up": True},
          "database": {"up": True, "size_bytes": 4096}, "devices": {"registered": 2, "joined": 1, "revoked": 0,
                                                                    "online": 1},
          "joins_pending": 1, "alerts": 0}
API = "/api/v1"


@case
def status_of_the_parts():
    with Server({("GET", API + "/status"): [(200, STATUS), (200, STATUS),
                                            (200, {**STATUS, "signer": {"up": False}})]}) as s:
        out = s.expect(DONE, "status")
        assert "main (ab)" in out and "2 registered, 1 joined" in out and "1 waiting" in out, out
        assert json.loads(s.expect(DONE, "status", "--json")) == STATUS
        assert "signer    DOWN" in s.expect(REFUSED, "status")
        assert all(call[3] == "Bearer hft_secret" for call in s.calls)


@case
def token_goes_to_its_own_server_only():
    with Server({("GET", API + "/status"): [(200, STATUS)]}) as s:
        env = s.config()
        other = s.url.replace("localhost", "127.0.0.1")
        expect(DONE, "status", "--server", other, "--ca", os.path.join(universe(), "web_ca.crt"), env=env)
        assert s.calls[-1][3] is None
        expect(DONE, "status", "--server", s.url, env=env)
        assert s.calls[-1][3] == "Bearer hft_secret"
        expect(UNREACHABLE, "status", "--server", other, env=env, says="does not hold against the system's CAs")
        expect(UNREACHABLE, "status", "--server", s.url, "--ca", os.path.join(universe(), "broker_ca.crt"), env=env,
               says="right CA file")
        expect(MISSING, "status", "--server", s.url, "--ca", path("nowhere"), env=env, says="CA file")


@case
def answers_that_are_none():
    bad = {("GET", API + "/status"): [(200, b"<html>"), (502, b"<html>"),
                                      (401, {"error": "LOGIN", "message": "a valid token is required"}),
                                      (403, {"error": "DENIED", "message": "you may not \x1b[31mdo that"})]}
    with Server(bad) as s:
        s.expect(REFUSED, "status", says="no JSON")
        s.expect(REFUSED, "status", says="HTTP status 502")
        s.expect(REFUSED, "status", says="keys.token")
        s.expect(REFUSED, "status", says="may not ?[31mdo that")


@case
def lists_for_people_and_programs():
    rows = {"devices": [{"id": "1a", "type": "airm\u00f6nitor\x1b\u0085", "state": "joined", "online": True,
                         "registered_ms": 1, "joined_ms": 1,
                         "last_seen_ms": 1, "certificate_not_after_ms": None}]}
    with Server({("GET", API + "/devices"): [(200, rows), (200, rows), (200, {"devices": []})],
                 ("GET", API + "/devices/1a"): [(200, rows["devices"][0])],
                 ("GET", API + "/joins"): [(200, {"joins": []})], ("GET", API + "/types"): [(200, {"types": []})],
                 ("GET", API + "/tokens"): [(200, {"tokens": []})], ("GET", API + "/alerts"): [(200, {"alerts": []})],
                 ("GET", API + "/events"): [(200, {"events": []})],
                 ("GET", API + "/devices/1a/data"): [(200, {"readings": [], "cursor": 0})]}) as s:
        head, row = s.expect(DONE, "device", "list", "--state", "joined", "--type", "a&b c").splitlines()
        assert "airm\u00f6nitor???" in row and "\x1b" not in row, row
        assert head.index("STATE") == row.index("joined"), (head, row)
        assert s.calls[-1][1] == API + "/devices?state=joined&type=a%26b%20c"
        assert json.loads(s.expect(DONE, "device", "list", "--json")) == rows
        s.expect(DONE, "device", "list", says="No devices.")
        s.expect(DONE, "device", "show", "1a", says="certificate ends  -")
        s.expect(REFUSED, "device", "show", "1b", says="there is no such thing")
        for words, says in ((("join", "list"), "Nobody"), (("type", "list"), "type put"),
                            (("token", "list"), "token new"),
                            (("alert", "list"), "No alerts"),
                            (("event", "list", "--device", "1a", "--limit", "5"), "Nothing"),
                            (("data", "get", "1a", "--series", "PM25", "--since", "2026-01-02T03:04", "--limit", "7"),
                             "No readings")):
            s.expect(DONE, *words, says=says)
        assert s.calls[-1][1] == API + "/devices/1a/data?series=PM25&since_ms=1767323040000&limit=7"
        assert s.calls[-2][1] == API + "/events?device=1a&limit=5"


@case
def going_asks_first_and_tells_what_is_known():
    for word, state in (("terminate", "registered"), ("deregister", "registered")):
        where = ("POST", API + "/devices/1a/" + word)
        reply = {"id": "1a", "state": state, "told": True, "online": True, "revoked_by_ms": None}
        with Server({where: [(200, reply), (202, {**reply, "online": False}), (202, {**reply, "told": False})]}) as s:
            s.expect(USAGE, "device", word, "1a", says="--yes")
            assert on_terminal(s, b"no\n", "device", word, "1a") == REFUSED and not s.calls
            assert on_terminal(s, b"yes\n", "device", word, "1a") == DONE and len(s.calls) == 1
            s.expect(UNCONFIRMED, "device", word, "1a", "--yes", says="not connected")
            s.expect(UNCONFIRMED, "device", word, "1a", "--yes", says="out of reach")


@case
def reset_counter_asks_first():
    with Server({("POST", API + "/devices/1a/reset-counter"): [(200, {"id": "1a", "generation": 1})]}) as s:
        s.expect(USAGE, "device", "reset-counter", "1a", says="--yes")
        assert on_terminal(s, b"no\n", "device", "reset-counter", "1a") == REFUSED and not s.calls
        s.expect(DONE, "device", "reset-counter", "1a", "--yes", says="low sequence ids")


@case
def dangerous_actions_ask():
    refusal = (428, {"error": "CONFIRM", "message": "wipe of type box is dangerous"})
    sent = (202, {"command": 7, "state": "sent", "online": True})
    with Server({("POST", API + "/devices/1a/actions"): [refusal, refusal, refusal, sent, sent]}) as s:
        s.expect(USAGE, "action", "1a", "wipe", says="dangerous")
        assert on_terminal(s, b"no\n", "action", "1a", "wipe") == REFUSED and len(s.calls) == 2
        assert on_terminal(s, b"yes\n", "action", "1a", "wipe", "--wait", "0") == UNCONFIRMED and len(s.calls) == 4
        s.expect(UNCONFIRMED, "action", "1a", "wipe", "--yes", "--wait", "0")


@case
def times_as_people_write_them():
    """Each form, and what each must not be."""
    good = {"2026-01-02": 1767312000000, "2026-01-02T03:04Z": 1767323040000, "2026-01-02T03:04:05.678Z": 1767323045678,
            "2026-01-02 03:04:05": 1767323045000, "2026-01-02T03:04:05+01:30": 1767317645000,
            "2026-01-02T03:04:05-01:00": 1767326645000, "1969-12-31T23:59:59.5Z": -500, "-1000": -1000, "0": 0,
            "1767323045678": 1767323045678, "2038-01-19T03:14:08Z": 2147483648000, "2106-02-07": 4294944000000,
            "9999-12-31T23:59:59Z": 253402300799000, "2024-02-29": 1709164800000}
    readings = ("GET", API + "/devices/1a/data")
    with Server({readings: [(200, {"readings": [], "cursor": 0})]}) as s:
        for text, want in good.items():
            s.expect(DONE, "data", "get", "1a", "--since", text, "--until", text, says="No readings in that time")
            assert s.calls[-1][1] == API + f"/devices/1a/data?since_ms={want}&until_ms={want}", (text, s.calls[-1])
        for text, seconds in (("90s", 90), ("10m", 600), ("-24h", 86400), ("7d", 604800)):
            s.expect(DONE, "data", "get", "1a", "--since", text)
            at = int(s.calls[-1][1].split("=")[1]) / 1000
            assert abs(time.time() - seconds - at) < 60, (text, at)
        for text in ("", "now", "2026", "2026-02-30", "2023-02-29", "2026-13-01", "2026-01-02T25:00", "7w", "--7d", "d", "1e9",
                     "2026-01-02T03:04:05+25:00", "2026-01-02T03:04:05 Z", "99999999999999999999", "2026-01-02T03:04:05."):
            s.expect(USAGE, "data", "get", "1a", "--since", text, says="is no time")


@case
def revoke_asks_first():
    where = ("POST", API + "/devices/1a/revoke")
    with Server({where: [(200, {"id": "1a", "state": "revoked", "confirmed": True}),
                         (202, {"id": "1a", "state": "revoked", "confirmed": False})]}) as s:
        s.expect(USAGE, "device", "revoke", "1a", says="--yes")
        assert on_terminal(s, b"no\n", "device", "revoke", "1a") == REFUSED and not s.calls
        assert on_terminal(s, b"yes\n", "device", "revoke", "1a") == DONE and len(s.calls) == 1
        s.expect(UNCONFIRMED, "device", "revoke", "1a", "--yes", says="not confirmed")


def on_terminal(server, typed, *args):
    """Runs it with a terminal as stdin, types an answer, gives the exit code."""
    ours, theirs = pty.openpty()
    p = subprocess.Popen([PROGRAM, *args], stdin=theirs, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                         env=server.config())
    os.close(theirs)
    os.write(ours, typed)
    code = p.wait(timeout=30)
    os.close(ours)
    return code


@case
def join_codes():
    code = "00112233445566778899aabbccddeeff"
    where = ("POST", API + "/devices/1a/join/approve")
    with Server({where: [(200, {"device": "1a", "state": "joined"})], ("POST", API + "/devices/1b/join/approve"):
                 [(409, {"error": "MISMATCH", "message": "the code does not match what the server expects"})],
                 ("POST", API + "/devices/1a/join/refuse"): [(200, {})]}) as s:
        for words in ([code], [code.upper()], ["00112233-44556677-8899AABB-ccddeeff"],
                      ["0011 2233 4455 6677", "8899", "aabb ccdd", "eeff"]):
            s.expect(DONE, "join", "approve", "1a", *words, says="1a has joined")
            assert json.loads(s.calls[-1][2]) == {"code": code}
        s.expect(DONE, "join", "approve", "1a", "--i-compared")
        assert json.loads(s.calls[-1][2]) == {"compared": True}
        s.expect(REFUSED, "join", "approve", "1b", code, says="does not match")
        s.expect(DONE, "join", "refuse", "1a", says="turned away")
        count = len(s.calls)
        for words, says in (([code[1:]], "too short"), ([code + "0"], "too long"),
                            (["g" + code[1:]], "'g' is no hex"), ([], "either"),
                            ([code, "--i-compared"], "either"), ([""], "too short")):
            s.expect(USAGE, "join", "approve", "1a", *words, says=says)
        assert len(s.calls) == count


def command(state, status=None, text=None, answer=None):
    return {"command": 7, "device": "1a", "kind": "ACTION", "what": "led-on", "state": state, "status": status,
            "status_text": text,
            "answer": answer}


@case
def actions_wait_for_their_answer():
    where, poll = ("POST", API + "/devices/1a/actions"), ("GET", API + "/commands/7")
    queued = (202, {"command": 7, "state": "queued"})
    for final, code, says in ((command("answered", 0x20, "action done"), DONE, "action done"),
                              (command("answered", 0x2F, "action failed"), REFUSED, "action failed"),
                              (command("answered", 0x2E, "action unknown"), REFUSED, "action unknown"),
                              (command("expired"), REFUSED, "time was up"),
                              (command("unknown"), UNCONFIRMED, "may have done it")):
        with Server({where: [queued], poll: [(200, command("sent")), (200, final)]}) as s:
            s.expect(code, "action", "1a", "led-on", says=says)
            assert json.loads(s.calls[0][2]) == {"action": "led-on"} and len(s.calls) == 3
            assert "wait_ms=" in s.calls[1][1]
    with Server({where: [queued], poll: [(200, command("sent"))]}) as s:
        s.expect(UNCONFIRMED, "action", "1a", "1", "--wait", "0", says="waits to be sent")
        assert json.loads(s.calls[0][2]) == {"action": 1} and len(s.calls) == 1
        out = s.expect(UNCONFIRMED, "action", "1a", "1", "--wait", "1", "--json")
        assert json.loads(out)["state"] == "sent"


@case
def identify_and_send():
    with Server({("POST", API + "/devices/1a/identify"): [(202, command("queued"))],
                 ("POST", API + "/devices/1a/data"): [(202, command("queued"))],
                 ("GET", API + "/commands/7"): [(200, command("answered", None, None, "airmonitor 1.0"))]}) as s:
        s.expect(DONE, "identify", "1a", says="airmonitor 1.0")
        for words, value in ((["5"], 5), (["-5"], -5), (["12.5"], 12.5), (["true"], True), (["hot"], "hot"),
                             (["5", "--kind", "text"], "5"),
                             (["[1]"], "[1]"), (["null"], "null"), ([""], ""), (["--", "--x"], "--x")):
            s.expect(DONE, "data", "send", "1a", "LIMIT", *words)
            body = json.loads([call for call in s.calls if call[0] == "POST"][-1][2])
            assert body == {"data": "LIMIT", "value": value,
                            **({"kind": words[2]} if "--kind" in words else {})}, body


@case
def follow_prints_at_once():
    where = ("GET", API + "/devices/1a/data")
    reading = {"cursor": 4, "at_ms": 1767322800000, "data": "PM25", "kind": "double", "value": 12.1,
               "unit": "\u00b5g/m\u00b3"}
    with Server({where: [(200, {"readings": [reading], "cursor": 4}), (200, {"readings": [], "cursor": 4}),
                         (503, {"error": "BUSY", "message": "busy"}), (502, {}),
                         (200, {"readings": [{**reading, "value": 12.25, "unit": None}], "cursor": 5}),
                         (403, {"error": "DENIED", "message": "you may not do that"})]}) as s:
        out = s.expect(REFUSED, "data", "follow", "1a", "--series", "PM25")
        first, second = out.splitlines()
        assert first.endswith("PM25  12.1 \u00b5g/m\u00b3") and second.endswith("PM25  12.25"), out
        paths = [call[1].split("?")[1] for call in s.calls]
        assert paths == ["series=PM25&limit=10"] + [f"series=PM25&after={n}&wait_ms=25000" for n in (4, 4, 4, 4, 5)], paths


@case
def types_tokens_alerts():
    with Server({("PUT", API + "/types/a%20b"): [(200, {})], ("POST",
                                                              API + "/tokens"): [(201, {"id": 3, "token": "hft_x"})],
                 ("DELETE", API + "/tokens/3"): [(200, {})], ("POST", API + "/alerts/3/clear"): [(200, {})]}) as s:
        with open(path("type.json"), "w", encoding="ascii") as f:
            json.dump({"name": "a b"}, f)
        s.expect(DONE, "type", "put", path("type.json"), says="stored")
        s.expect(MISSING, "type", "put", path("nowhere"), says="cannot be read")
        s.expect(REFUSED, "type", "put", os.path.join(VECTORS, "FORMAT.md"), says="line 1")
        assert s.expect(DONE, "token", "new", "door", "--role", "viewer", "--scope", "device:1a", "--days",
                        "9") == "hft_x\n"
        assert json.loads(s.calls[-1][2]) == {"name": "door", "role": "viewer", "scope": "device:1a", "days": 9}
        s.expect(USAGE, "token", "revoke", "3", says="--yes")
        s.expect(DONE, "token", "revoke", "3", "--yes", says="no longer valid")
        s.expect(DONE, "alert", "clear", "3", says="cleared")


Cases = as_unittest()

if __name__ == "__main__":
    sys.exit(run_cases())
