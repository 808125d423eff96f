#!/usr/bin/env python3
"""Writes the sample that `go test ./engine/tokenizer/o200k` encodes: about 1 MB of
the texts of texts.py in chunks, with what tiktoken's o200k_harmony makes of each.

    TIKTOKEN_CACHE_DIR=<folder> python3 sample.py sample.jsonl.gz prose=FILE code=FOLDER

A line holds the kind of a text, the text, the number of its tokens and the first 16
hex digits of the SHA-256 of their ids, 32 bits wide, little-endian.
"""
import gzip
import hashlib
import json
import sys

import numpy
import tiktoken

import texts

SIZES = {"prose": 250_000, "code": 200_000, "scripts": 100_000, "tokens": 100_000, "emoji": 60_000, "marks": 60_000,
         "code points": 60_000, "random bytes": 60_000, "mixed": 60_000, "runs": 100_000}
CHUNK = 2000  # characters


def main():
    encoding = tiktoken.get_encoding("o200k_harmony")
    folders = dict(x.split("=", 1) for x in sys.argv[2:])
    with open(sys.argv[1], "wb") as f, gzip.GzipFile(fileobj=f, mode="wb", mtime=0, filename="") as z:
        for kind, size in SIZES.items():
            parts = texts.files(folders[kind], size) if kind in folders else texts.generated(kind, size, 1)
            text = "".join(parts).encode()[:size].decode(errors="ignore")
            step = 20000 if kind == "runs" else CHUNK
            for i in range(0, len(text), step):
                ids = numpy.array(encoding.encode_ordinary(text[i:i + step]), dtype="<u4")
                row = {"kind": kind, "text": text[i:i + step], "tokens": len(ids), "ids": hashlib.sha256(ids.tobytes()).hexdigest()[:16]}
                z.write((json.dumps(row, ensure_ascii=False) + "\n").encode())


main()
