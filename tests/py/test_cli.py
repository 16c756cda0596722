"""The holdfast program as its users meet it: wire, keygen, and its talk with a server. Uses: cli_bench, the openssl command, HOLDFAST_BIN."""
import hashlib
import json
import os
import pty
import stat
import subprocess
import sys

from cli_bench import (DONE, MISSING, PROGRAM, REFUSED, ROOM, UNCONFIRMED, UNREACHABLE, USAGE, VECTORS, Server, as_unittest, case, environment, expect,
                       holdfast, path, run_cases, universe)

MEMBERS = ["id", "ok", "stage", "error", "version", "type", "type_code", "verified", "fields", "signed_bytes_sha256", "plaintext"]
STAGES = ["input", "parse", "version", "type", "sequence", "verify", "decrypt"]


def vectors():
    with open(os.path.join(VECTORS, "visible.jsonl"), encoding="ascii") as f:
        return [json.loads(line) for line in f]


def decode(lines, *args):
    """One result for each line, whatever it is."""
    out = expect(DONE, "wire", "decode", *args, stdin=b"".join(line + b"\n" for line in lines))
    results = [json.loads(line) for line in out.splitlines()]
    assert len(results) == len(lines), f"{len(results)} results for {len(lines)} lines"
    for r in results:
        assert list(r) == MEMBERS and (r["stage"] in STAGES) != r["ok"], r
    return results


def decode_one(line, *args):
    return decode([line if isinstance(line, bytes) else json.dumps(line).encode()], *args)[0]


BOTH = ("--verify", VECTORS, "--open", VECTORS)


def agrees(vector, result):
    if result["id"] != vector["id"]:
        return False
    if vector["expect"] != "accept":  # policy counts as agreeing when it is refused with a stage
        return not result["ok"] and result["stage"] in STAGES
    return (result["ok"] and result["fields"] == vector["fields"] and result["type"] == vector["type"] and
            result["type_code"] == vector["type_code"] and result["plaintext"] == vector.get("plaintext") and
            result["verified"] == ("key" in vector) and result["signed_bytes_sha256"] == vector.get("signed_bytes_sha256"))


@case
def vectors_721():
    all_vectors = vectors()
    results = decode([json.dumps(v).encode() for v in all_vectors], *BOTH)
    wrong = [v["id"] for v, r in zip(all_vectors, results) if not agrees(v, r)]
    print(f"{len(all_vectors) - len(wrong)} of {len(all_vectors)}")
    assert not wrong and len(all_vectors) == 721, wrong


@case
def vectors_stages():
    """Where the set names a stage, ours is that one; version and type come before what they stand in front of."""
    for v, r in zip(vectors(), decode([json.dumps(v).encode() for v in vectors()], *BOTH)):
        if v["expect"] == "reject" and v["stage"] not in ("parse", "verify"):
            assert r["stage"] == v["stage"], (v["id"], v["stage"], r)


@case
def vectors_encoded_again():
    accepted = [v for v in vectors() if v["expect"] == "accept"]
    lines = [json.dumps({k: v[k] for k in ("id", "type", "fields", "key") if k in v}) for v in accepted]
    out = expect(DONE, "wire", "encode", "--sign", VECTORS, stdin="\n".join(lines).encode() + b"\n")
    results = [json.loads(line) for line in out.splitlines()]
    assert len(results) == len(accepted) == 197
    for v, r in zip(accepted, results):
        assert r == {"id": v["id"], "ok": True, "error": None, "message": v["message"]}, (v["id"], r["error"])


@case
def wire_hex_lines():
    """A bare hex line names no key: fine without --verify, refused with it unless the type is GENERIC."""
    generic, action = (next(v for v in vectors() if v["type"] == t and v["expect"] == "accept") for t in ("GENERIC", "ACTION"))
    for vector, with_verify in ((generic, True), (action, False)):
        line = vector["message"].upper().encode()
        assert decode_one(line)["fields"] == vector["fields"]
        assert not decode_one(line)["verified"]
        r = decode_one(b" " + line + b"\t\r", "--verify", VECTORS)
        assert (r["ok"], r["stage"]) == ((True, None) if with_verify else (False, "verify")), r


@case
def wire_keys_that_are_not_there():
    v = next(v for v in vectors() if v["type"] == "HM_JOIN_RESP" and v["expect"] == "accept")
    for name in ("nobody", "../srup-v5/vis-a", "/etc/passwd", "", ".", 7, None, "x" * 500, "vis-a\0"):
        r = decode_one({**v, "key": name}, *BOTH)
        assert (r["ok"], r["stage"], r["verified"]) == (False, "verify", False), r
        r = decode_one({**v, "recipient_key": name}, *BOTH)
        assert (r["ok"], r["stage"], r["plaintext"]) == (False, "decrypt", None), r
    del v["recipient_key"]
    r = decode_one(v, *BOTH)
    assert r["ok"] and r["plaintext"] is None


@case
def wire_garbage_lines():
    cases = [
        (b"", "parse"), (b"   ", "parse"), (b"0", "input"), (b"zz", "input"), (b"{", "input"), (b"{}", "input"), (b"[]", "input"),
        (b"null", "input"), (b'{"message":null}', "input"), (b'{"message":5}', "input"), (b'{"message":""}', "parse"),
        (b'{"message":"0"}', "input"), (b'{"message":"05 00"}', "input"), (b'{"message":"05"} x', "input"), (b'{"id":1,"id":2}', "input"),
        (b"\xff\xfe\x00", "input"), (b'{"message":"\xff"}', "input"), (b"05\x0005", "input"), (b"05", "parse"), (b"0504", "parse"),
        (b"{" * 100000, "input"), (b'{"message":' + b"[" * 5000 + b"}", "input"), (b"00" * 300000, "version"), (b"0" * (5 << 20), "input"),
        (b"0504" + b"00" * 8 + b"11" * 8 + b"0001" + b"22" + b"0000" + b"07", "sequence"),
    ]
    for (line, stage), r in zip(cases, decode([line for line, _ in cases])):
        assert (r["ok"], r["stage"]) == (False, stage) and r["error"], (line[:40], r)


@case
def wire_keeps_any_id():
    for name in ("a\"b\\\u00e9\u0000\n", 18, 1.5, None, True, {"x": [1]}, []):
        assert decode_one({"id": name, "message": "05"})["id"] == name


@case
def wire_streams():
    """An answer comes before the next line is sent, and the last line needs no newline."""
    p = subprocess.Popen([PROGRAM, "wire", "decode"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment())
    for _ in range(3):
        p.stdin.write(b"05\n")
        p.stdin.flush()
        assert json.loads(p.stdout.readline())["stage"] == "parse"
    out, _ = p.communicate(b"zz", timeout=30)
    assert json.loads(out)["stage"] == "input" and p.returncode == 0
    assert decode([]) == []


def encode_one(document):
    line = document if isinstance(document, bytes) else json.dumps(document).encode()
    out = expect(DONE, "wire", "encode", "--sign", VECTORS, stdin=line + b"\n")
    r = json.loads(out)
    assert list(r) == ["id", "ok", "error", "message"] and r["ok"] == (r["error"] is None) == (r["message"] is not None), r
    return r


HEAD = {"sequence_id": "7", "sender_id": "00000000000000ab", "token": "aa"}


@case
def wire_encode_seals():
    plain = b"0123456789abcdef0123456789abcdef".hex()
    r = encode_one({"type": "HM_JOIN_RESP", "fields": HEAD, "key": "vis-a", "plaintext": plain, "recipient_key": "vis-r"})
    assert r["ok"], r
    back = decode_one({"message": r["message"], "key": "vis-a", "recipient_key": "vis-r"}, *BOTH)
    assert back["ok"] and back["plaintext"] == plain and back["verified"]


@case
def wire_encode_refuses():
    action = {"id": 1, "type": "ACTION", "fields": {**HEAD, "action_id": 5}, "key": "vis-a"}
    fields = action["fields"]
    assert encode_one(action)["ok"]
    assert encode_one({"type": "GENERIC", "fields": HEAD})["ok"]
    bad_fields = [
        {}, HEAD, {**fields, "more": 1}, {**fields, "action_id": 256}, {**fields, "action_id": -1}, {**fields, "action_id": "5"},
        {**fields, "action_id": 1.0}, {**fields, "sequence_id": "0"}, {**fields, "sequence_id": 7}, {**fields, "sequence_id": "-7"},
        {**fields, "sequence_id": "18446744073709551616"}, {**fields, "sender_id": "ab"}, {**fields, "sender_id": 5},
        {**fields, "token": ""}, {**fields, "token": "a"}, {**fields, "token": "aa" * 65536}, {**fields, "token": None}, [], None, "x",
    ]
    for bad in bad_fields:
        assert not encode_one({**action, "fields": bad})["ok"], bad
    for change in ({"key": None}, {"key": "nobody"}, {"key": 5}, {"type": "NONE"}, {"type": None}, {"type": "action"}):
        assert not encode_one({**action, **change})["ok"], change
    for line in (b"", b"{", b"[]", b"7", b"\xff", b"0504"):
        assert encode_one(line)["id"] is None
    envelope = {"type": "HM_JOIN_RESP", "fields": HEAD, "key": "vis-a", "plaintext": "00", "recipient_key": "vis-r"}
    for change in ({"plaintext": ""}, {"plaintext": "0"}, {"plaintext": None}, {"plaintext": "00" * 5000}, {"recipient_key": "nobody"}):
        assert not encode_one({**envelope, **change})["ok"], change


@case
def wire_unusable_options():
    expect(USAGE, "wire", "decode", "--verify", path("nowhere"), says="no folder")
    expect(USAGE, "wire", "decode", "--open", "/dev/null", says="no folder")
    expect(USAGE, "wire", "decode", "--sign", VECTORS, says="takes no --sign")
    expect(USAGE, "wire", "encode", says="--sign")
    expect(USAGE, "wire", "encode", "--sign", path("nowhere"), says="no folder")


# --- keygen ---------------------------------------------------------------------------------------------------------------------------

PRIVATE = ["keyex.pem", "broker_ca.key", "broker.key", "web_ca.key", "web.key"]
PUBLIC = ["keyex_pub.pem", "keyex.id", "broker_ca.crt", "broker.crt", "web_ca.crt", "web.crt", "MANIFEST"]
C2_PRIVATE = ["c2_server.pem", "c2_server.key"]
C2_PUBLIC = ["c2_server_pub.pem", "c2_server.id", "c2_server.stk", "c2_server.crt", "MANIFEST"]


def openssl(*args):
    p = subprocess.run(["openssl", *args], capture_output=True, timeout=60)
    assert p.returncode == 0, (args, p.stderr)
    return p.stdout.decode()


def modes(folder):
    return {name: stat.S_IMODE(os.lstat(os.path.join(folder, name)).st_mode) for name in os.listdir(folder)}


@case
def keygen_files_and_permissions():
    folder = universe()
    c2 = os.path.join(folder, "c2", "main")
    expected = {**{name: 0o600 for name in PRIVATE}, **{name: 0o644 for name in PUBLIC}, "c2": 0o700}
    assert modes(folder) == expected, modes(folder)
    assert modes(c2) == {**{name: 0o600 for name in C2_PRIVATE}, **{name: 0o644 for name in C2_PUBLIC}}
    assert all(stat.S_IMODE(os.stat(d).st_mode) == 0o700 for d in (folder, c2))
    assert not [name for name in os.listdir(ROOM.name) if ".tmp-" in name]


@case
def keygen_certificates_by_openssl():
    folder = universe()
    for kind, chain in (("broker", 1), ("web", 2)):
        ca, cert, key = (os.path.join(folder, kind + tail) for tail in ("_ca.crt", ".crt", ".key"))
        openssl("verify", "-x509_strict", "-purpose", "sslserver", "-verify_hostname", "pump.example.org", "-CAfile", ca, cert)
        openssl("verify", "-verify_ip", "192.0.2.7", "-CAfile", ca, cert)
        text = openssl("x509", "-in", cert, "-noout", "-text")
        for part in ("DNS:pump.example.org, IP Address:192.0.2.7, DNS:localhost, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1",
                     "TLS Web Server Authentication", "CA:FALSE", "X509v3 Basic Constraints: critical"):
            assert part in text, (part, text)
        assert "TLS Web Client" not in text
        assert openssl("x509", "-in", cert, "-noout", "-pubkey") == openssl("pkey", "-in", key, "-pubout")
        assert openssl("x509", "-in", ca, "-noout", "-checkend", str(1800 * 86400))
        with open(cert, encoding="ascii") as f:
            assert f.read().count("BEGIN CERTIFICATE") == chain
    assert "Private-Key: (2048 bit" in openssl("rsa", "-in", os.path.join(folder, "keyex.pem"), "-noout", "-text")


@case
def keygen_c2_by_openssl():
    folder = universe()
    c2 = os.path.join(folder, "c2", "main")
    with open(os.path.join(c2, "c2_server.id"), encoding="ascii") as f:
        name = f.read()
    assert name.endswith("\n") and 1 <= len(name.strip()) <= 16 and name[0] in "123456789abcdef"
    cert = os.path.join(c2, "c2_server.crt")
    openssl("verify", "-x509_strict", "-purpose", "sslclient", "-CAfile", os.path.join(folder, "broker_ca.crt"), cert)
    assert openssl("x509", "-in", cert, "-noout", "-subject").strip().endswith("CN = " + name.strip())
    assert "TLS Web Server" not in openssl("x509", "-in", cert, "-noout", "-text")


@case
def keygen_token_by_openssl():
    """K7: what the token signs, rebuilt here and checked by the openssl command with the maximum salt."""
    folder = universe()
    c2 = os.path.join(folder, "c2", "main")
    with open(os.path.join(c2, "c2_server.stk"), encoding="ascii") as f:
        version, name, expiry, signature = f.read().rstrip("\n").split(".", 3)
    der = subprocess.run(["openssl", "pkey", "-pubin", "-in", os.path.join(c2, "c2_server_pub.pem"), "-outform", "DER"],
                         capture_output=True, check=True).stdout
    with open(path("token.signed"), "wb") as f:
        f.write(b"\0".join([b"HOLDFAST server token", name.encode(), expiry.encode(), hashlib.sha256(der).digest()]))
    with open(path("token.signature"), "wb") as f:
        f.write(__import__("base64").b64decode(signature, validate=True))
    openssl("dgst", "-sha256", "-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:222", "-verify",
            os.path.join(folder, "keyex_pub.pem"), "-signature", path("token.signature"), path("token.signed"))
    assert version == "hf1"


@case
def keygen_never_overwrites():
    folder = universe()
    before = {name: open(os.path.join(folder, name), "rb").read() for name in PRIVATE}
    expect(REFUSED, "keygen", "universe", folder, says="is not empty")
    expect(REFUSED, "keygen", "universe", folder + "/", says="nothing was changed")
    expect(REFUSED, "keygen", "c2", "main", "--universe", folder, says="is not empty")
    expect(REFUSED, "keygen", "universe", os.path.join(folder, "keyex.pem"), says="no folder")
    assert before == {name: open(os.path.join(folder, name), "rb").read() for name in PRIVATE}
    os.makedirs(path("one"))
    open(path("one", "note"), "w", encoding="ascii").close()
    expect(REFUSED, "keygen", "universe", path("one"), says="note is there")
    assert os.listdir(path("one")) == ["note"]
    assert not [name for name in os.listdir(ROOM.name) if ".tmp-" in name]


@case
def keygen_takes_an_empty_folder():
    os.makedirs(path("empty"))
    expect(DONE, "keygen", "universe", path("empty") + "/", says="MANIFEST")
    assert sorted(os.listdir(path("empty"))) == sorted(PRIVATE + PUBLIC)
    assert stat.S_IMODE(os.stat(path("empty")).st_mode) == 0o700


@case
def keygen_refuses_bad_names():
    for name in ("a b", "a,DNS:b", "", "https://x", "h\u00f6"):
        expect(USAGE, "keygen", "universe", path("bad"), "--name", name, says="no host name")
    for name in ("../x", "", "A", "x" * 33, "a/b", "."):
        expect(USAGE, "keygen", "c2", name, "--universe", universe(), says="a server's name")
    expect(USAGE, "keygen", "c2", "x", says="--universe")
    expect(MISSING, "keygen", "c2", "x", "--universe", path("nowhere"), says="cannot be read")
    expect(REFUSED, "keygen", "universe", path("no", "such", "parent"), says="cannot be made")
    assert not os.path.exists(path("bad"))


@case
def keygen_show():
    expect(DONE, "keygen", "universe", path("shown"))
    expect(DONE, "keygen", "c2", "main", "--universe", path("shown"))
    for name, mode in (("web.key", 0o640), ("keyex.id", 0o666)):
        os.chmod(path("shown", name), mode)
    os.unlink(path("shown", "broker.crt"))
    with open(path("shown", "web.crt"), "w", encoding="ascii") as f:
        f.write("no certificate")
    out = expect(DONE, "keygen", "--show", path("shown"))
    rows = {row["file"]: row for row in json.loads(expect(DONE, "keygen", "--show", path("shown"), "--json"))["files"]}
    assert len(rows) == 19 and all(row["purpose"] and row["purpose"] in out for row in rows.values())
    states = {name: row["state"] for name, row in rows.items() if row["state"] != "ok"}
    assert states == {"web.key": "TOO OPEN: chmod 600", "keyex.id": "TOO OPEN: chmod 644", "broker.crt": "MISSING", "web.crt": "DAMAGED"}
    assert rows["broker_ca.crt"]["ends"].startswith("20") and rows["c2/main/c2_server.stk"]["ends"].startswith("20")
    assert rows["web_ca.key"]["paper"] == "web_ca.key" and rows["keyex.id"]["paper"] == "-"
    expect(DONE, "keygen", "--show", path("shown", "c2", "main"), says="c2_server.stk")
    expect(MISSING, "keygen", "--show", path("nowhere"))
    expect(MISSING, "keygen", "--show", VECTORS, says="holds no keys")
    with open(path("shown", "MANIFEST"), encoding="ascii") as f:
        manifest = f.read()
    assert all(name in manifest for name in PRIVATE + PUBLIC) and "eight" in manifest


# --- words and options ------------------------------------------------------------------------------------------------------------------


@case
def usage_errors():
    for args, says in (((), "help"), (("foo",), "no command 'foo'"), (("device",), "device list, device show"), (("device", "show"), "usage:"),
                       (("device", "list", "x"), "usage:"), (("status", "--foo"), "no option --foo"), (("status", "--server"), "needs its URL"),
                       (("status", "--json=1"), "takes no value"), (("status", "--json", "--json"), "twice"), (("status", "--wait", "3"), "no --wait"),
                       (("data", "get", "1", "--limit", "0"), "from 1 to 1000"), (("data", "get", "1", "--limit", "x"), "from 1 to 1000"),
                       (("data", "get", "1", "--since", "noon"), "no time"), (("action", "1", "256"), "0 to 255"),
                       (("action", "1", "2", "--wait", "-1"), "from 0 to 3600"), (("data", "send", "1", "x", "5", "--kind", "int"), "no kind"),
                       (("token", "new", "x"), "--role"), (("token", "revoke", "x", "--yes"), "no number"), (("alert", "clear", "x"), "no number"),
                       (("keygen",), "keygen universe"), (("help", "foo"), "no command"), (tuple("x" * 60), "too many")):
        expect(USAGE, *args, says=says)
    for bad in ("", "0", "01", "A", "g", "#", "+/x", "12345678901234567", "1\n"):
        for words in (("device", "show", bad), ("device", "revoke", bad, "--yes"), ("join", "refuse", bad), ("identify", bad),
                      ("data", "get", bad), ("action", bad, "1"), ("event", "list", "--device", bad)):
            expect(USAGE, *words, says="is no device id")


@case
def help_for_everything():
    out = expect(DONE, "help")
    assert out == expect(DONE, "--help")
    for line in out.split("Commands:\n")[1].split("\n\n")[0].splitlines():
        words = line[2:18].split()
        assert expect(DONE, "help", *words) == expect(DONE, *words, "--help")
    expect(DONE, "help", "device", says="holdfast device revoke ID [--yes]")
    expect(DONE, "--version", says="holdfast ")


@case
def completion_script():
    script = expect(DONE, "completion")
    probe = "COMP_WORDS=(holdfast %s); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _holdfast; echo \"${COMPREPLY[@]}\""
    for typed, reply in (("dev", "device"), ("device re", "revoke"), ("device revoke 1 --y", "--yes"), ("keygen --sh", "--show")):
        got = subprocess.run(["bash", "-c", script + probe % typed], capture_output=True, check=True).stdout.decode().split()
        assert set(got) == {reply}, (typed, got)


@case
def server_not_found():
    expect(MISSING, "status", says="no server is known")
    expect(UNREACHABLE, "status", "--server", "https://127.0.0.1:1", says="connection refused; is it running? try ./start")
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


# --- with a server ------------------------------------------------------------------------------------------------------------------------

STATUS = {"version": "1", "server": {"up": True, "id": "ab", "name": "main"}, "signer": {"up": True}, "broker": {"up": True},
          "database": {"up": True, "size_bytes": 4096}, "devices": {"registered": 2, "joined": 1, "revoked": 0, "online": 1},
          "joins_pending": 1, "alerts": 0}
API = "/api/v1"


@case
def status_of_the_parts():
    with Server({("GET", API + "/status"): [(200, STATUS), (200, STATUS), (200, {**STATUS, "signer": {"up": False}})]}) as s:
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
        expect(UNREACHABLE, "status", "--server", s.url, "--ca", os.path.join(universe(), "broker_ca.crt"), env=env, says="right CA file")
        expect(MISSING, "status", "--server", s.url, "--ca", path("nowhere"), env=env, says="CA file")


@case
def answers_that_are_none():
    bad = {("GET", API + "/status"): [(200, b"<html>"), (502, b"<html>"), (401, {"error": "LOGIN", "message": "a valid token is required"}),
                                      (403, {"error": "DENIED", "message": "you may not \x1b[31mdo that"})]}
    with Server(bad) as s:
        s.expect(REFUSED, "status", says="no JSON")
        s.expect(REFUSED, "status", says="HTTP status 502")
        s.expect(REFUSED, "status", says="keys.token")
        s.expect(REFUSED, "status", says="may not ?[31mdo that")


@case
def lists_for_people_and_programs():
    rows = {"devices": [{"id": "1a", "type": "airm\u00f6nitor\x1b\u0085", "state": "joined", "online": True, "registered_ms": 1, "joined_ms": 1,
                         "last_seen_ms": 1, "certificate_not_after_ms": None}]}
    with Server({("GET", API + "/devices"): [(200, rows), (200, rows), (200, {"devices": []})], ("GET", API + "/devices/1a"): [(200, rows["devices"][0])],
                 ("GET", API + "/joins"): [(200, {"joins": []})], ("GET", API + "/types"): [(200, {"types": []})],
                 ("GET", API + "/tokens"): [(200, {"tokens": []})], ("GET", API + "/alerts"): [(200, {"alerts": []})],
                 ("GET", API + "/events"): [(200, {"events": []})], ("GET", API + "/devices/1a/data"): [(200, {"readings": [], "cursor": 0})]}) as s:
        head, row = s.expect(DONE, "device", "list", "--state", "joined", "--type", "a&b c").splitlines()
        assert "airm\u00f6nitor???" in row and "\x1b" not in row and head.index("STATE") == row.index("joined"), (head, row)
        assert s.calls[-1][1] == API + "/devices?state=joined&type=a%26b%20c"
        assert json.loads(s.expect(DONE, "device", "list", "--json")) == rows
        s.expect(DONE, "device", "list", says="No devices.")
        s.expect(DONE, "device", "show", "1a", says="certificate ends  -")
        s.expect(REFUSED, "device", "show", "1b", says="there is no such thing")
        for words, says in ((("join", "list"), "Nobody"), (("type", "list"), "type put"), (("token", "list"), "token new"),
                            (("alert", "list"), "No alerts"), (("event", "list", "--device", "1a", "--limit", "5"), "Nothing"),
                            (("data", "get", "1a", "--series", "PM25", "--since", "2026-01-02T03:04", "--limit", "7"), "No readings")):
            s.expect(DONE, *words, says=says)
        assert s.calls[-1][1] == API + "/devices/1a/data?series=PM25&since_ms=1767323040000&limit=7"
        assert s.calls[-2][1] == API + "/events?device=1a&limit=5"


@case
def revoke_asks_first():
    where = ("POST", API + "/devices/1a/revoke")
    with Server({where: [(200, {"id": "1a", "state": "revoked", "confirmed": True}), (202, {"id": "1a", "state": "revoked", "confirmed": False})]}) as s:
        s.expect(USAGE, "device", "revoke", "1a", says="--yes")
        assert on_terminal(s, b"no\n", "device", "revoke", "1a") == REFUSED and not s.calls
        assert on_terminal(s, b"yes\n", "device", "revoke", "1a") == DONE and len(s.calls) == 1
        s.expect(UNCONFIRMED, "device", "revoke", "1a", "--yes", says="not confirmed")


def on_terminal(server, typed, *args):
    """Runs it with a terminal as stdin, types an answer, gives the exit code."""
    ours, theirs = pty.openpty()
    p = subprocess.Popen([PROGRAM, *args], stdin=theirs, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=server.config())
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
        for words in ([code], [code.upper()], ["00112233-44556677-8899AABB-ccddeeff"], ["0011 2233 4455 6677", "8899", "aabb ccdd", "eeff"]):
            s.expect(DONE, "join", "approve", "1a", *words, says="1a has joined")
            assert json.loads(s.calls[-1][2]) == {"code": code}
        s.expect(DONE, "join", "approve", "1a", "--i-compared")
        assert json.loads(s.calls[-1][2]) == {"compared": True}
        s.expect(REFUSED, "join", "approve", "1b", code, says="does not match")
        s.expect(DONE, "join", "refuse", "1a", says="turned away")
        count = len(s.calls)
        for words, says in (([code[1:]], "too short"), ([code + "0"], "too long"), (["g" + code[1:]], "'g' is no hex"), ([], "either"),
                            ([code, "--i-compared"], "either"), ([""], "too short")):
            s.expect(USAGE, "join", "approve", "1a", *words, says=says)
        assert len(s.calls) == count


def command(state, status=None, text=None, answer=None):
    return {"command": 7, "device": "1a", "kind": "ACTION", "what": "led-on", "state": state, "status": status, "status_text": text,
            "answer": answer}


@case
def actions_wait_for_their_answer():
    where, poll = ("POST", API + "/devices/1a/actions"), ("GET", API + "/commands/7")
    queued = (202, {"command": 7, "state": "queued"})
    for final, code, says in ((command("answered", 0x20, "action done"), DONE, "action done"),
                              (command("answered", 0x2F, "action failed"), REFUSED, "action failed"),
                              (command("answered", 0x2E, "action unknown"), REFUSED, "action unknown"),
                              (command("expired"), REFUSED, "time was up"), (command("unknown"), UNCONFIRMED, "may have done it")):
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
    with Server({("POST", API + "/devices/1a/identify"): [(202, command("queued"))], ("POST", API + "/devices/1a/data"): [(202, command("queued"))],
                 ("GET", API + "/commands/7"): [(200, command("answered", None, None, "airmonitor 1.0"))]}) as s:
        s.expect(DONE, "identify", "1a", says="airmonitor 1.0")
        for words, value in ((["5"], 5), (["-5"], -5), (["12.5"], 12.5), (["true"], True), (["hot"], "hot"), (["5", "--kind", "text"], "5"),
                             (["[1]"], "[1]"), (["null"], "null"), ([""], ""), (["--", "--x"], "--x")):
            s.expect(DONE, "data", "send", "1a", "LIMIT", *words)
            body = json.loads([call for call in s.calls if call[0] == "POST"][-1][2])
            assert body == {"data": "LIMIT", "value": value, **({"kind": words[2]} if "--kind" in words else {})}, body


@case
def follow_prints_at_once():
    where = ("GET", API + "/devices/1a/data")
    reading = {"cursor": 4, "at_ms": 1767322800000, "data": "PM25", "kind": "double", "value": 12.1, "unit": "\u00b5g/m\u00b3"}
    with Server({where: [(200, {"readings": [reading], "cursor": 4}), (200, {"readings": [], "cursor": 4}),
                         (200, {"readings": [{**reading, "value": 12.25, "unit": None}], "cursor": 5}), (503, {"error": "BUSY", "message": "busy"})]}) as s:
        out = s.expect(REFUSED, "data", "follow", "1a", "--series", "PM25")
        first, second = out.splitlines()
        assert first.endswith("PM25  12.1 \u00b5g/m\u00b3") and second.endswith("PM25  12.25"), out
        paths = [call[1].split("?")[1] for call in s.calls]
        assert paths == ["series=PM25&limit=10"] + [f"series=PM25&after={n}&wait_ms=25000" for n in (4, 4, 5)], paths


@case
def types_tokens_alerts():
    with Server({("PUT", API + "/types/a%20b"): [(200, {})], ("POST", API + "/tokens"): [(201, {"id": 3, "token": "hft_x"})],
                 ("DELETE", API + "/tokens/3"): [(200, {})], ("POST", API + "/alerts/3/clear"): [(200, {})]}) as s:
        with open(path("type.json"), "w", encoding="ascii") as f:
            json.dump({"name": "a b"}, f)
        s.expect(DONE, "type", "put", path("type.json"), says="stored")
        s.expect(MISSING, "type", "put", path("nowhere"), says="cannot be read")
        s.expect(REFUSED, "type", "put", os.path.join(VECTORS, "FORMAT.md"), says="line 1")
        assert s.expect(DONE, "token", "new", "door", "--role", "viewer", "--scope", "device:1a", "--days", "9") == "hft_x\n"
        assert json.loads(s.calls[-1][2]) == {"name": "door", "role": "viewer", "scope": "device:1a", "days": 9}
        s.expect(USAGE, "token", "revoke", "3", says="--yes")
        s.expect(DONE, "token", "revoke", "3", "--yes", says="no longer valid")
        s.expect(DONE, "alert", "clear", "3", says="cleared")


@case
def output_that_cannot_be_written():
    with open("/dev/full", "wb") as full:
        p = subprocess.run([PROGRAM, "help"], stdout=full, stderr=subprocess.PIPE, env=environment(), timeout=30)
    assert p.returncode == REFUSED and b"could not be written" in p.stderr
    assert holdfast("wire", "decode", stdin=b"05\n")[0] == DONE


Cases = as_unittest()

if __name__ == "__main__":
    sys.exit(run_cases())
