#!/usr/bin/env python3
"""Writes render.jsonl.gz and parse.jsonl.gz: what openai-harmony 0.0.8 makes of
generated conversations and of generated model output.

    pip install openai-harmony==0.0.8
    TIKTOKEN_ENCODINGS_BASE=<folder with o200k_base.tiktoken> python3 golden.py

The files hold text, so that a test needs no vocabulary: a control token <|x|> is
written as U+0001 x U+0002. The ids of each rendering are recorded as the first 16
hex digits of the SHA-256 of their decimal forms, joined by commas.
"""
import gzip
import hashlib
import json
import os
import random
import re

from openai_harmony import HarmonyEncodingName, load_harmony_encoding

HERE = os.path.dirname(os.path.abspath(__file__))
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
    with open(os.path.join(HERE, path), "wb") as f, gzip.GzipFile(fileobj=f, mode="wb", mtime=0, filename="") as z:
        for row in rows:
            z.write((json.dumps(row, ensure_ascii=False) + "\n").encode())


write("render.jsonl.gz", renders(2200))
write("parse.jsonl.gz", parses(2200))
