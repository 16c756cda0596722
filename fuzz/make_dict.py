#!/usr/bin/python3
"""make_dict - prints a libFuzzer dictionary for a target: the words of the tables and texts that its parser knows.

Usage: fuzz/make_dict.py TARGET     (nothing is printed for a target whose input has no words)
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
SOURCES = {
    "conf": ("server/conf/config.def", "server/conf/words.def"),
    "http": ("server/api/routes.def", "server/api/*.c", "server/account/roles.def"),
    "lines": ("lib/wire/messages.def", "cli/wire_*.c"),
    "node": ("lib/node/register.c",),
    "profile": ("server/type/type.c",),
    "topics": ("lib/wire/topics.def",),
}
MORE = {
    "http": ("GET ", "POST ", "PUT ", "DELETE ", "Authorization: Bearer @admin", "Authorization: Bearer @device",
             "Content-Length: 2", "?wait_ms=", "&limit=", "%2f", "%00", "/d1/", "/d3/"),
    "table": ("put ", "del ", "revoke ", "reset\\x0a", "commit ", "end ", " device ", " server ", " joined ", " registered ", " -"),
    "topics": ("SRUP/", "/#", "/+", "SRUP/servers/"),
}
WORD = re.compile(r"[A-Za-z_$][A-Za-z0-9_.$-]{1,31}")
LITERAL = re.compile(r'"((?:[^"\\\n]|\\.)*)"')
COMMENT = re.compile(r"/\*.*?\*/", re.S)


def words(path):
    """Of a table every word of a row but its last column, the sentence; of C what stands in literals that hold no sentence."""
    text = COMMENT.sub("", path.read_text())
    if path.suffix == ".def":
        rows = [row for row in text.splitlines() if not row.startswith("#")]
        return {word for row in rows for word in WORD.findall(row.rpartition(', "')[0] or row)}
    return {word for literal in LITERAL.findall(text) if " " not in literal for word in WORD.findall(literal)
            if not word.endswith(".h")}


def main():
    target = sys.argv[1]
    found = set(MORE.get(target, ()))
    for pattern in SOURCES.get(target, ()):
        for path in sorted(ROOT.glob(pattern)):
            found |= words(path)
    for word in sorted(found):
        print(f'"{word}"')


if __name__ == "__main__":
    main()
