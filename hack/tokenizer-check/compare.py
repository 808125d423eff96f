#!/usr/bin/env python3
"""Times engine/tokenizer beside tiktoken-go/tokenizer and tiktoken, in turns.

    TIKTOKEN_CACHE_DIR=<folder> python3 compare.py [rounds]

Each round times all three on each kind of text of the sample, on one core. The
table has the medians of the rounds, in megabytes by second of processor time (which
a busy machine changes less than time on the clock), and of the rounds' ratios.
"""
import gzip
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time

import tiktoken

HERE = os.path.dirname(os.path.abspath(__file__))
SAMPLE = os.path.join(HERE, "../../engine/tokenizer/o200k/testdata/sample.jsonl.gz")


def sample():
    texts = {}
    with gzip.open(SAMPLE, "rt") as f:
        for row in map(json.loads, f):
            texts[row["kind"]] = texts.get(row["kind"], "") + row["text"]
    return texts


def python(encoding, text):
    """Returns tiktoken's MB/s, of a second or so."""
    count, begin = 0, time.process_time()
    while time.process_time() - begin < 1:
        encoding.encode_ordinary(text)
        count += 1
    return count * len(text.encode()) / (time.process_time() - begin) / 1e6


def main():
    encoding, texts, figures = tiktoken.get_encoding("o200k_harmony"), sample(), {}
    with tempfile.TemporaryDirectory() as d:
        program = os.path.join(d, "bench")
        subprocess.run(["go", "test", "-c", "-o", program, "."], cwd=HERE, check=True)
        for _ in range(int(sys.argv[1]) if len(sys.argv) > 1 else 5):
            out = subprocess.run([program, "-test.run", "^$", "-test.bench", ".", "-test.cpu", "1"], cwd=HERE, check=True,
                                 capture_output=True, text=True).stdout
            for kind, which, speed in re.findall(r"^BenchmarkEncode/(\w+)/(\S+)\s.*?([\d.]+) MB/cpu-s", out, re.M):
                figures.setdefault(kind, {}).setdefault(which, []).append(float(speed))
            for kind in figures:
                figures[kind].setdefault("tiktoken", []).append(python(encoding, texts[kind]))
    print(f"tiktoken {tiktoken.__version__}, {subprocess.getoutput('go version')}\n")
    print("| text | engine/tokenizer | tiktoken-go/tokenizer | tiktoken | times tiktoken-go | times tiktoken |\n| --- | ---: | ---: | ---: | ---: | ---: |")
    for kind, by in figures.items():
        ours, go, py = by["engine"], by["tiktoken-go"], by["tiktoken"]
        ratios = [statistics.median(a / b for a, b in zip(ours, theirs)) for theirs in (go, py)]
        print(f"| {kind} | " + " | ".join(f"{statistics.median(x):.1f}" for x in (ours, go, py)) + f" | {ratios[0]:.1f} | {ratios[1]:.1f} |")


main()
