#!/usr/bin/env python3
"""Compares engine/tokenizer with tiktoken's o200k_harmony, id for id.

    TIKTOKEN_CACHE_DIR=<folder> python3 check.py [--megabytes N] NAME=FOLDER...

The folder of the variable holds o200k_base.tiktoken under the name that tiktoken
gives it, fb374d419588a4632f3f557e76b4b70aebbca790. Of each FOLDER the text files
are read, at most N megabytes of them; N megabytes of each kind of generated text
come on top. Prints a table; the exit status is 1 if any text differs. Speeds are
megabytes by second of processor time, of one thread each, tokens not decoded.
"""
import argparse
import json
import os
import platform
import struct
import subprocess
import sys
import tempfile
import time

import numpy
import tiktoken

import texts

HERE = os.path.dirname(os.path.abspath(__file__))


def ours(program, chunks):
    """Returns the ids of each text and what the program says of its time."""
    with tempfile.TemporaryFile() as f:
        for data in chunks:
            f.write(struct.pack("<I", len(data)) + data)
        f.seek(0)
        done = subprocess.run([program], stdin=f, capture_output=True, check=True, env={**os.environ, "GOMAXPROCS": "1"})
    words, out, at = numpy.frombuffer(done.stdout, dtype="<u4"), [], 0
    while at < len(words):
        n = int(words[at])
        out.append(words[at + 1:at + 1 + n])
        at += 1 + n
    return out, json.loads(done.stderr)


def compare(name, parts, encoding, program):
    """Prints a row of the table and returns the sizes and times, and how many texts differ."""
    chunks = [t.encode() for t in parts]
    got, figures = ours(program, chunks)
    begin = time.process_time()
    want = [encoding.encode_ordinary(c.decode()) for c in chunks]
    seconds = time.process_time() - begin
    bad = 0
    for chunk, w, g in zip(chunks, want, got, strict=True):
        if not numpy.array_equal(numpy.array(w, dtype="<u4"), g):
            bad += 1
            at = next((i for i, (x, y) in enumerate(zip(w, g)) if x != y), min(len(w), len(g)))
            print(f"DIFFERS: {name}, token {at}, want {w[at:at + 4]}, got {list(g[at:at + 4])}", file=sys.stderr)
            print(repr(encoding.decode_bytes(w[max(at - 9, 0):at + 9]).decode(errors="replace")), file=sys.stderr)
    size, count, own = sum(map(len, chunks)), sum(map(len, want)), figures["encode_seconds"]
    print(f"| {name} | {size:,} | {count:,} | {bad} | {size / own / 1e6:.1f} | {size / seconds / 1e6:.1f} |", flush=True)
    return size, count, bad, own, seconds


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--megabytes", type=float, default=5)
    p.add_argument("folders", nargs="*", metavar="NAME=FOLDER")
    a = p.parse_args()
    encoding = tiktoken.get_encoding("o200k_harmony")
    encoding.encode_ordinary("warm up")
    limit = int(a.megabytes * 1e6)
    print(f"tiktoken {tiktoken.__version__}, Python {platform.python_version()}, {subprocess.getoutput('go version')}\n")
    print("| text | bytes | tokens | texts that differ | MB/s | tiktoken, MB/s |\n| --- | ---: | ---: | ---: | ---: | ---: |")
    with tempfile.TemporaryDirectory() as d:
        program = os.path.join(d, "encode")
        subprocess.run(["go", "build", "-o", program, "./encode"], cwd=HERE, check=True)
        rows = [compare(n, texts.files(f, limit), encoding, program) for n, f in (x.split("=", 1) for x in a.folders)]
        rows += [compare(n, texts.generated(n, limit, 0), encoding, program) for n in texts.GENERATED]
    size, count, bad, own, seconds = map(sum, zip(*rows))
    print(f"| all | {size:,} | {count:,} | {bad} | {size / own / 1e6:.1f} | {size / seconds / 1e6:.1f} |")
    sys.exit(bad > 0)


if __name__ == "__main__":
    main()
