"""The holdfast program by itself: wire decode and encode, words and options. Uses: cli_bench, HOLDFAST_BIN."""
import json
import os
import subprocess
import sys

from cli_bench import (DONE, PROGRAM, REFUSED, USAGE, VECTORS, as_unittest, case, environment, expect, holdfast, path,
                       run_cases)

MEMBERS = ["id", "ok", "stage", "error", "version", "type", "type_code", "verified", "fields", "signed_bytes_sha256",
           "plaintext"]
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
            result["verified"] == ("key" in vector) and
            result["signed_bytes_sha256"] == vector.get("signed_bytes_sha256"))


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
    generic, action = (next(v for v in vectors() if v["type"] == t and v["expect"] == "accept") for t in ("GENERIC",
                                                                                                          "ACTION"))
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
        (b"", "parse"), (b"   ", "parse"), (b"0", "input"), (b"zz", "input"), (b"{", "input"), (b"{}", "input"),
        (b"[]", "input"),
        (b"null", "input"), (b'{"message":null}', "input"), (b'{"message":5}', "input"), (b'{"message":""}', "parse"),
        (b'{"message":"0"}', "input"), (b'{"message":"05 00"}', "input"), (b'{"message":"05"} x', "input"),
        (b'{"id":1,"id":2}', "input"),
        (b"\xff\xfe\x00", "input"), (b'{"message":"\xff"}', "input"), (b"05\x0005", "input"), (b"05", "parse"),
        (b"0504", "parse"),
        (b"{" * 100000, "input"), (b'{"message":' + b"[" * 5000 + b"}", "input"), (b"00" * 300000, "version"),
        (b"0" * (5 << 20), "input"),
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
    p = subprocess.Popen([PROGRAM, "wire", "decode"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                         env=environment())
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
    assert list(r) == ["id", "ok", "error",
                       "message"] and r["ok"] == (r["error"] is None) == (r["message"] is not None), r
    return r


HEAD = {"sequence_id": "7", "sender_id": "00000000000000ab", "token": "aa"}


@case
def wire_encode_seals():
    plain = b"0123456789abcdef0123456789abcdef".hex()
    r = encode_one({"type": "HM_JOIN_RESP", "fields": HEAD, "key": "vis-a", "plaintext": plain,
                    "recipient_key": "vis-r"})
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
        {}, HEAD, {**fields, "more": 1}, {**fields, "action_id": 256}, {**fields, "action_id": -1},
        {**fields, "action_id": "5"},
        {**fields, "action_id": 1.0}, {**fields, "sequence_id": "0"}, {**fields, "sequence_id": 7},
        {**fields, "sequence_id": "-7"},
        {**fields, "sequence_id": "18446744073709551616"}, {**fields, "sender_id": "ab"}, {**fields, "sender_id": 5},
        {**fields, "token": ""}, {**fields, "token": "a"}, {**fields, "token": "aa" * 65536},
        {**fields, "token": None}, [], None, "x",
    ]
    for bad in bad_fields:
        assert not encode_one({**action, "fields": bad})["ok"], bad
    for change in ({"key": None}, {"key": "nobody"}, {"key": 5}, {"type": "NONE"}, {"type": None},
                   {"type": "action"}):
        assert not encode_one({**action, **change})["ok"], change
    for line in (b"", b"{", b"[]", b"7", b"\xff", b"0504"):
        assert encode_one(line)["id"] is None
    envelope = {"type": "HM_JOIN_RESP", "fields": HEAD, "key": "vis-a", "plaintext": "00", "recipient_key": "vis-r"}
    for change in ({"plaintext": ""}, {"plaintext": "0"}, {"plaintext": None}, {"plaintext": "00" * 5000},
                   {"recipient_key": "nobody"}):
        assert not encode_one({**envelope, **change})["ok"], change


@case
def wire_unusable_options():
    expect(USAGE, "wire", "decode", "--verify", path("nowhere"), says="no folder")
    expect(USAGE, "wire", "decode", "--open", "/dev/null", says="no folder")
    expect(USAGE, "wire", "decode", "--sign", VECTORS, says="takes no --sign")
    expect(USAGE, "wire", "encode", says="--sign")
    expect(USAGE, "wire", "encode", "--sign", path("nowhere"), says="no folder")


@case
def usage_errors():
    for args, says in (((), "help"), (("foo",), "no command 'foo'"), (("device",), "device list, device show"),
                       (("device", "show"), "usage:"),
                       (("device", "list", "x"), "usage:"), (("status", "--foo"), "no option --foo"),
                       (("status", "--server"), "needs its URL"),
                       (("status", "--json=1"), "takes no value"), (("status", "--json", "--json"), "twice"),
                       (("status", "--wait", "3"), "no --wait"),
                       (("data", "get", "1", "--limit", "0"), "from 1 to 1000"),
                       (("data", "get", "1", "--limit", "x"), "from 1 to 1000"),
                       (("data", "get", "1", "--since", "noon"), "no time"), (("action", "1", "256"), "0 to 255"),
                       (("action", "1", "2", "--wait", "-1"), "from 0 to 3600"),
                       (("data", "send", "1", "x", "5", "--kind", "int"), "no kind"),
                       (("token", "new", "x"), "--role"), (("token", "revoke", "x", "--yes"), "no number"),
                       (("alert", "clear", "x"), "no number"),
                       (("keygen",), "keygen universe"), (("help", "foo"), "no command"),
                       (tuple("x" * 60), "too many")):
        expect(USAGE, *args, says=says)
    for bad in ("", "0", "01", "A", "g", "#", "+/x", "12345678901234567", "1\n"):
        for words in (("device", "show", bad), ("device", "revoke", bad, "--yes"), ("join", "refuse", bad),
                      ("identify", bad),
                      ("data", "get", bad), ("action", bad, "1"), ("event", "list", "--device", bad)):
            expect(USAGE, *words, says="is no device id")


@case
def help_for_everything():
    out = expect(DONE, "help")
    assert out == expect(DONE, "--help")
    for line in out.split("Commands:\n")[1].split("\n\n")[0].splitlines():
        words = line[2:].split("  ")[0].split()
        assert expect(DONE, "help", *words) == expect(DONE, *words, "--help")
    expect(DONE, "help", "device", says="holdfast device revoke ID [--yes]")
    expect(DONE, "--version", says="holdfast ")


@case
def completion_script():
    script = expect(DONE, "completion")
    probe = "COMP_WORDS=(holdfast %s); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _holdfast; echo \"${COMPREPLY[@]}\""
    for typed, reply in (("dev", "device"), ("device rev", "revoke"), ("device revoke 1 --y", "--yes"),
                         ("keygen --sh", "--show")):
        got = subprocess.run(["bash", "-c", script + probe % typed], capture_output=True,
                             check=True).stdout.decode().split()
        assert set(got) == {reply}, (typed, got)


@case
def completion_asks_the_server_for_devices():
    """With a holdfast of the test's own on PATH, which answers, fails or hangs."""
    script = expect(DONE, "completion", "bash")
    expect(USAGE, "completion", "fish", says="there is a completion for bash")
    probe = "COMP_WORDS=(holdfast device show a); COMP_CWORD=3; _holdfast; echo \"${COMPREPLY[@]}\""
    for answer, reply in (("echo '{\"devices\": [{\"id\": \"abc1\"}, {\"id\": \"b2\"}]}'", ["abc1"]), ("exit 5", []), ("sleep 9", [])):
        program = path("bin/holdfast")
        os.makedirs(os.path.dirname(program), exist_ok=True)
        with open(program, "w", encoding="ascii") as file:
            file.write(f"#!/bin/sh\n[ \"$1 $2 $3\" = 'device list --json' ] && {answer}\n")
        os.chmod(program, 0o755)
        got = subprocess.run(["bash", "-c", script + probe], capture_output=True, check=True, timeout=5,
                             env={**os.environ, "PATH": os.path.dirname(program) + ":" + os.environ["PATH"]}).stdout.decode().split()
        assert got == reply, (answer, got)


@case
def examples_are_commands():
    """Every example that help shows begins with its command, and no option in it is unknown."""
    for line in expect(DONE, "help").split("Commands:\n")[1].split("\n\n")[0].splitlines():
        words = line[2:].split("  ")[0].split()
        text = expect(DONE, "help", *words)
        for example in [row.split("Example: holdfast ")[1] for row in text.splitlines() if "Example: " in row]:
            for option in [word for word in example.split() if word.startswith("--")]:
                assert f"    {option}" in text, (words, option)


@case
def output_that_cannot_be_written():
    with open("/dev/full", "wb") as full:
        p = subprocess.run([PROGRAM, "help"], stdout=full, stderr=subprocess.PIPE, env=environment(), timeout=30)
    assert p.returncode == REFUSED and b"could not be written" in p.stderr
    assert holdfast("wire", "decode", stdin=b"05\n")[0] == DONE


Cases = as_unittest()

if __name__ == "__main__":
    sys.exit(run_cases())
