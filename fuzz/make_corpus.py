#!/usr/bin/python3
"""make_corpus - writes the seed corpora of fuzz/corpus from the vectors and from a few texts by hand.

Usage: fuzz/make_corpus.py     (from anywhere; what a corpus folder holds of its own stays, unless it has the same name)
Needs the openssl command for certificate requests.
"""
import base64
import json
import pathlib
import re
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent
VECTORS = ROOT / "tests/vectors/srup-v5"
CORPUS = ROOT / "fuzz/corpus"
A_CORPUS_MAX, A_FILE_MAX = 60, 4096
IDS = ("1", "2a", "d1", "fedcba9876543210")
TOPICS = ("SRUP/{0}", "SRUP/{0}/#", "SRUP/+", "SRUP/servers/{0}/+", "SRUP/servers/{0}/#", "SRUP/servers/{0}/{0}")
STRANGE_TOPICS = ("", "SRUP", "SRUP/", "SRUP//", "SRUP/0", "SRUP/01", "SRUP/D1", "SRUP/{device}", "SRUP/servers/5e",
                  "SRUP/servers/5e/d1/", "SRUP/12345678901234567", "#", "+/+", "$SYS/#", "$share/x/SRUP/+",
                  "$CONTROL/holdfast/v1", "$CONTROL/holdfast/v1/", "$holdfast/v1/events")
HEAD = "holdfast-table 1 7\nput 5e server joined -\nput a1 device joined 5e\nput b2 device registered -\nend 3\n"
TABLES = {
    "snapshot": HEAD + "\0\0",
    "journal": HEAD + "\0holdfast-journal 1 7\ndel b2\nput c3 device joined 5e\nrevoke a1\n\0put d4 reference joined -\n",
    "torn": HEAD + "\0holdfast-journal 1 7\nrevoke a1\nput c3 dev\0del a1\n",
    "other-generation": HEAD + "\0holdfast-journal 1 6\nrevoke a1\nput e5 server joined -\n\0revoke b2\n",
    "fill": HEAD + "\0\0reset\nput 5e server joined -\nput a1 device joined 5e\ncommit 8\n",
    "empty": "\0\0reset\ncommit 1\n",
    "bad-count": HEAD.replace("end 3", "end 4") + "\0\0put a1 device registered -\n",
    "bad-line": HEAD + "\0\0put A1 device joined 5e\nput a1 device joined\nrevoke 0\ncommit 18446744073709551616\n",
}
PROFILES = {
    "least": '{"name":"a"}',
    "all": '{"name":"box","vendor":"v","join":{"simple":"accept","moderated":"refuse"},"actions":[{"id":0,"name":"on",'
           '"dangerous":true},{"id":255,"name":"off"}],"data":[{"id":"T","kind":"double","unit":"C","from":"device"},'
           '{"id":"L","kind":"int32","from":"server","min":-1,"max":2.5}],"heartbeat_s":60,"certificate_days":90}',
    "twice": '{"name":"a","actions":[{"id":1,"name":"x"},{"id":1,"name":"y"}]}',
    "wrong": '{"name":"a/b","join":{"simple":7},"data":{},"certificate_days":0}',
    "list": "[1,2,3]",
    "broken": '{"name":"\\ud800',
}


def slug(text):
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:40] or "plain"


def write(corpus, files):
    """Files by name; the same bytes are written once."""
    folder, seen = CORPUS / corpus, set()
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in list(files.items()):
        if content not in seen and len(content) <= A_FILE_MAX and len(seen) < A_CORPUS_MAX:
            (folder / name).write_bytes(content)
            seen.add(content)
    print(f"{corpus}: {len(seen)} files")


def vectors():
    with open(VECTORS / "visible.jsonl", encoding="ascii") as lines:
        return [json.loads(line) for line in lines]


def wire(rows):
    """The shortest message of each type, and one of each way to be wrong."""
    files = {}
    for row in sorted(rows, key=lambda row: (len(row["message"]), row["id"])):
        good = row["expect"] == "accept"
        name = f"{slug(row['type'])}-ok" if good else slug(row.get("note", row["stage"]))
        if row["message"]:
            files.setdefault(name, bytes.fromhex(row["message"]))
    good_first = sorted(files, key=lambda name: (not name.endswith("-ok"), name))
    return {name: files[name] for name in good_first}


def envelopes(rows):
    """What lies in the envelope fields: of good messages by length, of damaged ones by what is damaged."""
    files = {}
    for row in rows:
        sealed = row.get("fields", {}).get("encrypted")
        if row["expect"] == "accept" and sealed:
            files.setdefault(f"good-{len(sealed) // 2}", bytes.fromhex(sealed))
        elif row.get("stage") == "decrypt" and row["type"] == "SYND_REQUEST":  # head, token, signature, one envelope
            message = bytes.fromhex(row["message"])
            at = 20 + int.from_bytes(message[18:20], "big")
            at += 2 + int.from_bytes(message[at:at + 2], "big") + 2
            files.setdefault(slug(row["note"]), message[at:])
    return files


def openssl(*arguments):
    return subprocess.run(("openssl", *arguments), check=True, capture_output=True).stdout


def requests():
    files = {}
    for name, digest in (("vis-a", "sha256"), ("vis-b", "sha512"), ("vis-c3072", "sha1")):
        key = str(VECTORS / f"{name}.key.pem")
        request = ("req", "-new", "-key", key, f"-{digest}", "-subj", "/C=UK/O=SRUP_DEVICE/CN=2a")
        files[f"rsa-{digest}"] = openssl(*request)
        files[f"rsa-{digest}-der"] = openssl(*request, "-outform", "DER")
    files["not-a-request"] = (VECTORS / "vis-a.pub.pem").read_bytes()
    files["cut"] = files["rsa-sha256"][:300]
    return files


def key_bodies():
    files = {"empty": b"", "not-base64": b"????", "not-a-key": base64.b64encode(b"\x30\x03\x02\x01\x05")}
    for path in sorted(VECTORS.glob("*.pub.pem")):
        lines = path.read_text().strip().splitlines()
        files[path.name.split(".")[0]] = "".join(lines[1:-1]).encode()
        files[path.name.split(".")[0] + "-lines"] = "\n".join(lines[1:-1]).encode()
    return files


def main():
    rows = vectors()
    write("wire", wire(rows))
    write("envelope", envelopes(rows))
    topics = [pattern.format(text) for pattern in TOPICS for text in IDS] + list(STRANGE_TOPICS)
    write("topics", {f"{number:02}-{slug(text)}": text.encode() for number, text in enumerate(topics)})
    write("table", {name: text.encode() for name, text in TABLES.items()})
    write("profile", {name: text.encode() for name, text in PROFILES.items()})
    write("csr", requests())
    write("keybody", key_bodies())


if __name__ == "__main__":
    main()
