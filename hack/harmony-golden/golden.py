#!/usr/bin/env python3
"""Writes render.jsonl.gz, parse.jsonl.gz and malformed.jsonl.gz: what openai-harmony
makes of generated conversations, of generated model output and of broken output.

    TIKTOKEN_ENCODINGS_BASE=<folder with o200k_base.tiktoken> python3 golden.py <folder>

In the first two a control token <|x|> is written as U+0001 x U+0002, so that their
text can be read, and the ids of a rendering are recorded as the first 16 hex digits
of the SHA-256 of their decimal forms, joined by commas. The third holds ids, because
they need not be text.
"""
import gzip
import hashlib
import json
import os
import random
import re
import sys

from openai_harmony import HarmonyEncodingName, load_harmony_encoding

OUT = sys.argv[1]
ENCODING = load_harmony_encoding(HarmonyEncodingName.HARMONY_GPT_OSS)
RAW = ENCODING._inner
NAMES = {199999: "endoftext", 200002: "return", 200003: "constrain", 200005: "channel",
         200006: "start", 200007: "end", 200008: "message", 200012: "call"}
IDS = {name: i for i, name in NAMES.items()}
random.seed(20251105)

WORDS = ("the quick brown fox weather in Zürich 東京 😀 don't e\u0301 a\tb x_y 3.14 100% <|start|> <|end|> "
         "{\"a\": [1, null]} `code` // comment | null \"quoted\" back\\slash C:\\ ünïcödé مرحبا नमस्ते").split(" ")
EFFORTS = ["Low", "Medium", "High"]


def chance(p):
    return random.random() < p


def text(n=8):
    out = " ".join(random.choice(WORDS) for _ in range(random.randint(0, n)))
    if chance(0.2):
        out = out.replace(" ", random.choice(["\n", "\r\n", "\n\n", "  "]), 2)
    return out + random.choice(["", "", "\n", " ", "."])


def name():
    return random.choice(["get_weather", "search", "a", "f2", "web-browsing", "x.y", "Café"])


def scalar():
    return random.choice([0, 1, -1, 20, 2.5, 1e-7, 1.5e300, 12345678901234567890, -2**63, 0.1, 1e16, 1e15, True, False,
                          None, "", "celsius", "q\"uote\n", [], {}, [1, "b"], {"b": 1, "a": [None]}])


def decorate(schema):
    if chance(0.4):
        schema["description"] = text(5)
    if chance(0.15):
        schema["title"] = text(2)
    if chance(0.3):
        schema["default"] = scalar()
    if chance(0.15):
        schema["examples"] = [scalar() for _ in range(random.randint(0, 3))]
    if chance(0.15):
        schema["nullable"] = random.choice([True, True, False, "yes"])
    items = list(schema.items())
    if chance(0.5):
        random.shuffle(items)
    return dict(items)


def schema(depth=0):
    kind = random.choice(["string", "string", "number", "integer", "boolean", "array", "object", "enum", "types", "oneOf",
                          "anyOf", "ref", "const", "null", "empty", "odd"])
    if depth > 3 and kind in ("array", "object", "oneOf"):
        kind = "string"
    if kind == "array":
        out = {"type": "array"}
        if chance(0.8):
            out["items"] = schema(depth + 1)
    elif kind == "object":
        out = {"type": "object"}
        if chance(0.9):
            out["properties"] = {random.choice("zyxwvutsabc") + str(i): schema(depth + 1) for i in range(random.randint(0, 4))}
            if chance(0.6):
                out["required"] = random.sample(list(out["properties"]), random.randint(0, len(out["properties"]))) + [3, "none"]
    elif kind == "enum":
        out = {"type": random.choice(["string", "string", "integer"]), "enum": [random.choice(["a", "b", "c d", 1, None, "é"])
                                                                                for _ in range(random.randint(0, 4))]}
    elif kind == "types":
        out = {"type": random.choice([["string", "null"], ["integer", "string"], [], [1], ["object"]])}
        if chance(0.3):
            out["enum"] = ["x", "y"]
    elif kind == "oneOf":
        out = {"oneOf": random.choice([[schema(depth + 1) for _ in range(random.randint(0, 3))]] * 5 + ["odd"])}
        if chance(0.3):
            out["type"] = "string"
        if chance(0.3) and isinstance(out["oneOf"], list) and out["oneOf"]:
            out["description"] = out["oneOf"][0].get("description", "same")
    elif kind == "anyOf":
        out = {"anyOf": [schema(depth + 1), {"type": "null"}]}
    elif kind == "ref":
        out = {"$ref": "#/$defs/X"}
    elif kind == "const":
        out = {"const": scalar()}
    elif kind == "empty":
        out = {}
    elif kind == "odd":
        out = {"type": random.choice(["any", 3, None, "file"])}
    else:
        out = {"type": kind}
    return decorate(out)


def parameters():
    if chance(0.7):
        out = {"type": "object", "properties": {f"{random.choice('qwertz')}{i}": schema(1) for i in range(random.randint(0, 5))}}
        if out["properties"] and chance(0.6):
            out["required"] = [next(iter(out["properties"]))]
        return out
    return random.choice([schema(0), {}, {"type": "object"}, {"type": "object", "properties": {}, "description": "root"}, True, 5])


def tool():
    out = {"name": name(), "description": text(6)}
    if chance(0.8):
        out["parameters"] = parameters() if chance(0.95) else None
    return out


def namespaces():
    out = {}
    for n in random.sample(["functions", "functions", "browser", "zoo", "apps", "python"], random.randint(1, 3)):
        out[n] = {"name": n, "tools": [tool() for _ in range(random.randint(0, 3))]}
        if chance(0.4):
            out[n]["description"] = text(8)
    return out


def builtins():
    from openai_harmony import ToolNamespaceConfig
    out = {}
    if chance(0.6):
        out["browser"] = json.loads(ToolNamespaceConfig.browser().model_dump_json())
    if chance(0.6):
        out["python"] = json.loads(ToolNamespaceConfig.python().model_dump_json())
    return out


def system():
    c = {"type": "system_content"}
    if chance(0.9):
        c["model_identity"] = "You are ChatGPT, a large language model trained by OpenAI." if chance(0.7) else text(4) + "!"
    if chance(0.9):
        c["reasoning_effort"] = random.choice(EFFORTS)
    if chance(0.9):
        c["knowledge_cutoff"] = "2024-06"
    if chance(0.7):
        c["conversation_start_date"] = "2025-06-28"
    if chance(0.9):
        c["channel_config"] = {"valid_channels": random.choice([["analysis", "commentary", "final"], ["final"], []]),
                               "channel_required": chance(0.9)}
    if chance(0.3):
        c["tools"] = builtins()
    return {"role": "system", "content": [c]}


def developer():
    c = {"type": "developer_content"}
    if chance(0.8):
        c["instructions"] = text(12) + "!"
    if chance(0.7):
        c["tools"] = namespaces() if chance(0.3) else {"functions": {"name": "functions", "tools": [
            tool() for _ in range(random.randint(0, 4))]}}
    return {"role": "developer", "content": [c] if chance(0.9) else [c, {"type": "text", "text": text()}]}


def turn():
    out = [{"role": "user", "content": text(12)}]
    if chance(0.1):
        out[0]["name"] = name()
    for _ in range(random.randint(0, 2)):
        if chance(0.7):
            out.append({"role": "assistant", "channel": "analysis", "content": text(12)})
        if chance(0.3):
            out.append({"role": "assistant", "channel": "commentary", "content": text(6)})
        if chance(0.6):
            f = "functions." + name()
            call = {"role": "assistant", "channel": "commentary", "recipient": f, "content": json.dumps({"q": text(3)})}
            if chance(0.8):
                call["content_type"] = random.choice(["json", "<|constrain|>json", "<|constrain|> json", "code"])
            out += [call, {"role": "tool", "name": f, "recipient": "assistant", "channel": "commentary", "content": text(8)}]
    if chance(0.8):
        out.append({"role": "assistant", "channel": "final", "content": text(12)})
    elif chance(0.3):
        out.append({"role": "assistant", "content": text(5), "recipient": random.choice(["all", "user", "browser.search"])})
    return out


def conversation():
    out = []
    if chance(0.9):
        out.append(system())
    if chance(0.8):
        out.append(developer())
    for _ in range(random.randint(0, 4)):
        out += turn()
        if chance(0.1):
            out.append(random.choice([developer, system])())
        if chance(0.1):
            out.append({"role": random.choice(["system", "developer"]), "content": text(6)})
    return {"messages": out}


def spell(ids):
    out, run = [], []
    for i in ids + [-1]:
        if i in NAMES or i == -1:
            out.append(RAW.decode_utf8(run))
            run = []
            if i >= 0:
                out.append("\x01" + NAMES[i] + "\x02")
        else:
            run.append(i)
    return "".join(out)


def digest(ids):
    return hashlib.sha256(",".join(map(str, ids)).encode()).hexdigest()[:16]


def renders(count):
    while count:
        c = conversation()
        source = json.dumps(c, ensure_ascii=False)
        drop = chance(0.6)
        ids = RAW.render_conversation_for_completion(source, "assistant", {"auto_drop_analysis": drop})
        yield {"drop": drop, "conversation": c, "text": spell(ids), "ids": digest(ids)}
        count -= 1


def encode(spelled):
    ids = []
    for i, part in enumerate(re.split("\x01(.*?)\x02", spelled)):
        ids += [IDS[part]] if i % 2 else RAW.encode(part, [])
    return ids


def control(n):
    return "\x01" + n + "\x02"


def body():
    return text(14).replace("\x01", "").replace("\x02", "")


def output():
    parts = []
    for _ in range(random.randint(0, 3)):
        parts.append(control("channel") + random.choice(["analysis", "commentary"]) + control("message") + body())
    last = "return"
    if chance(0.5):
        to = " to=" + random.choice(["functions." + name(), "functions." + name(), "python", "browser.search"])
        channel = control("channel") + random.choice(["commentary", "commentary", "analysis"])
        kind = random.choice(["", " json", " " + control("constrain") + "json", control("constrain") + "json", " code"])
        parts.append((to + channel if chance(0.4) else channel + to) + kind + control("message") + json.dumps({"q": text(4)}))
        last = "call"
    elif chance(0.9) or not parts:
        parts.append(control("channel") + "final" + control("message") + body())
    return (control("end") + control("start") + "assistant").join(parts) + control(random.choice([last, last, last, "end"]))


def parses(count):
    for _ in range(count):
        spelled = output()
        yield {"text": spelled, "messages": json.loads(RAW.parse_messages_from_completion_tokens(encode(spelled), "assistant", True))}


def write(path, rows):
    with open(os.path.join(OUT, path), "wb") as f, gzip.GzipFile(fileobj=f, mode="wb", mtime=0, filename="") as z:
        for row in rows:
            z.write((json.dumps(row, ensure_ascii=False) + "\n").encode())


def header(ids):
    """Returns the places of an output's tokens that lie in headers."""
    inside, places = True, []
    for i, t in enumerate(ids):
        inside = t == IDS["start"] or inside and t != IDS["message"]
        if inside or t == IDS["message"]:
            places.append(i)
    return places


def control_id():
    return random.choice(list(NAMES) + [200013])


def insert_in_header(ids):
    at = random.choice(header(ids))
    return ids[:at] + [control_id()] + ids[at:]


def insert_anywhere(ids):
    at = random.randint(0, len(ids))
    return ids[:at] + [control_id()] + ids[at:]


def drop(ids):
    at = random.choice(header(ids))
    return ids[:at] + ids[at + 1:]


def double(ids):
    at = random.choice(header(ids))
    return ids[:at + 1] + ids[at:]


def swap(ids):
    at = random.choice(header(ids)[:-1])
    return ids[:at] + [ids[at + 1], ids[at]] + ids[at + 2:]


def without(name):
    def change(ids):
        places = [i for i, t in enumerate(ids) if t == IDS[name]]
        at = random.choice(places) if places else len(ids) - 1
        return ids[:at] + ids[at + 1:]
    return change


def cut(ids):
    return ids[:random.randint(0, len(ids))]


def unknown_channel(ids):
    places = [i for i, t in enumerate(ids) if t == IDS["channel"]]
    at = random.choice(places)
    return ids[:at + 1] + RAW.encode(random.choice(["comment", "thought", "Final", "commentaryanalysis", "analysis final"]), []) + ids[at + 2:]


def text_after_end(ids):
    places = [i for i, t in enumerate(ids) if t in (IDS["end"], IDS["return"], IDS["call"])]
    at = random.choice(places) + 1
    return ids[:at] + RAW.encode(random.choice(["The answer is 4.", " ", "final", "<|start|>", "commentary"]), []) + ids[at:]


def past_the_end(ids):
    return ids + [random.choice([IDS["start"], IDS["channel"], IDS["message"]])] + encode(output())


# Tokens that are a part of a character: every byte of one, and two longer ones.
PARTS = [i for i in range(256) if RAW.decode_bytes([i])[0] >= 0x80] + [9552, 132990]


def broken_bytes(ids):
    """Tokens that are parts of characters, among them the end of a message."""
    at = random.choice([i for i, t in enumerate(ids) if t in (IDS["end"], IDS["return"], IDS["call"])] + [random.randint(0, len(ids))])
    return ids[:at] + random.choices(PARTS, k=random.randint(1, 3)) + ids[at:]


MUTATIONS = {"a control token in a header": insert_in_header, "a control token anywhere": insert_anywhere, "a token of a header missing": drop,
             "a token of a header twice": double, "two tokens of a header swapped": swap, "no message token": without("message"),
             "no channel token": without("channel"), "no start token": without("start"), "no end token": without("end"), "cut off": cut,
             "an unknown channel": unknown_channel, "text after the end": text_after_end, "past the end": past_the_end,
             "broken characters": broken_bytes}


def parsed(ids, strict):
    try:
        return json.loads(RAW.parse_messages_from_completion_tokens(ids, "assistant", strict))
    except Exception as e:  # the binding has no narrower type
        return {"error": str(e)}


def malformed(count):
    for i in range(count):
        name = list(MUTATIONS)[i % len(MUTATIONS)]
        spelled = output()
        while "\x01channel\x02" not in spelled:
            spelled = output()
        whole = encode(spelled)
        ids = MUTATIONS[name](whole)
        yield {"mutation": name, "ids": ids, "whole": parsed(whole, True), "strict": parsed(ids, True), "lenient": parsed(ids, False)}


write("render.jsonl.gz", renders(2200))
write("parse.jsonl.gz", parses(2200))
write("malformed.jsonl.gz", malformed(1400))
