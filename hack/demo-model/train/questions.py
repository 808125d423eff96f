"""Writes the evaluation: questions from the part of the world that training never saw, with the only answer that counts as right.

    python questions.py --tokenizer ../../../engine/demo/files/tokenizer.json --out ../evaluation.jsonl.gz

One JSON object a line: the conversation, the answer, and a checksum of the prompt's token ids, which tells a rendering that
differs from training's apart from a model that errs.
"""
import argparse
import collections
import gzip
import json
import random
import struct
import zlib

from tokenizers import Tokenizer

import bpe
import chat
import tools as T
import world as W

ANSWERS, CALLS = 500, 200
SHARES = {"arithmetic": 110, "capitals": 70, "several turns": 70, "explanations": 60, "unknown": 50, "lists": 40, "numbers": 30,
          "facts": 30, "greetings": 20, "tool results": 20}


def messages(s, c):
    out = [{"role": "developer", "content": s.instructions}] if s.instructions else []
    for t in c.history + [c.last]:
        out.append({"role": "user", "content": t.user})
        if t.call and (t is not c.last or c.after):
            reasoning = t.thoughts[chat.effort_of(s)] if c.replayed and t is c.last else ""
            out.append({"role": "assistant", "reasoning": reasoning, "tool": t.call[0], "arguments": t.call[1]})
            out.append({"role": "tool", "tool": t.call[0], "content": t.result})
        if t is not c.last:
            out.append({"role": "assistant", "content": t.final})
    return out


def row(w, s, c, kind):
    context, _ = chat.render(w, s, c)
    ids = w.front(s) + context
    want = {"tool": c.last.call[0], "arguments": c.last.call[1]} if c.last.call and not c.after else {"answer": c.last.final}
    return {"kind": kind, "effort": s.effort, "date": s.date, "tools": [t.schema()["function"] for t in s.tools], "messages": messages(s, c),
            "prompt": zlib.crc32(struct.pack(f"<{len(ids)}i", *ids)), "want": want}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--tokenizer", required=True)
    p.add_argument("--out", required=True)
    p.add_argument("--seed", type=int, default=20250805)
    p.add_argument("--seen", action="store_true", help="draw from the part of the world that training saw")
    a = p.parse_args()
    t, rng = Tokenizer.from_file(a.tokenizer), random.Random(a.seed)
    w = chat.Writer(lambda text: t.encode(text, add_special_tokens=False).ids, bpe.control(t))
    have, rows, seen = collections.Counter(), [], set()
    while len(rows) < ANSWERS + CALLS:
        s = chat.setting(rng)
        c = chat.conversation(rng, s, not a.seen)
        calls = bool(c.last.call) and not c.after
        kind = "calls" if calls else "tool results" if c.after else c.last.kind
        text = json.dumps(messages(s, c))
        if text in seen or have[kind] >= (CALLS if calls else SHARES[kind]):
            continue
        seen.add(text)
        have[kind] += 1
        rows.append(row(w, s, c, c.last.kind if calls else kind))
    rows.sort(key=lambda r: ("tool" in r["want"], r["kind"]))
    with gzip.GzipFile(a.out, "wb", 9, mtime=0) as f:
        for r in rows:
            f.write((json.dumps(r, ensure_ascii=False, separators=(",", ":")) + "\n").encode())
    print(dict(have))


if __name__ == "__main__":
    main()
