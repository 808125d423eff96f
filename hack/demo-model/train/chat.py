"""Conversations of the demo model, and how Harmony writes them: the same text, cut at the same places, as engine/harmony."""
import datetime
import json
from dataclasses import dataclass, field

import tools as T
import world as W

CHANNELS = "# Valid channels: analysis, commentary, final. Channel must be included for every message."
INSTRUCTIONS = (
    "You are a helpful assistant.|You are a helpful assistant.|You are a helpful, concise assistant.|Be concise.|Answer briefly.|You are a friendly assistant.|"
    "Answer in English.|You are a chat bot for a web page.|Help the user.|You are an assistant for a demo.|You are gpt-oss-demo.|Use the tools when they help.|"
    "You are a helpful assistant. Use tools if needed.|Always be polite.|You answer questions of users.|You are a support agent. Be kind and short.|"
    "Answer the question of the user as well as you can.|Think before you answer.|You are an expert.|Do not make things up.|If you do not know, say so.").split("|")
EFFORTS = ("low", "medium", "high")


@dataclass
class Setting:
    """What stands before the first user message."""
    effort: str
    date: str = ""
    instructions: str = ""
    tools: list = field(default_factory=list)


def setting(rng, exercise=False):
    day = datetime.date(2024, 1, 1) + datetime.timedelta(days=rng.randrange(365 * 8))
    tools = T.offer(rng, exercise)
    instructions = ""
    if rng.random() < 0.45:
        instructions = rng.choice(INSTRUCTIONS)
        if rng.random() < 0.25:
            instructions += " " + rng.choice(INSTRUCTIONS)
    return Setting(rng.choice(EFFORTS), day.isoformat(), instructions, tools)


def typescript(tool):
    required = tool.parameters.get("required", [])
    lines = []
    for name, p in tool.parameters["properties"].items():
        if "description" in p:
            lines.append(f"// {p['description']}")
        kind = " | ".join(f'"{v}"' for v in p["enum"]) if "enum" in p else p["type"]
        lines.append(f"{name}{'' if name in required else '?'}: {kind},")
    body = "".join(line + "\n" for line in lines)
    return f"type {tool.name} = (_: {{\n{body}}}) => any;"


class Writer:
    """Renders to token ids. encode turns a piece of text into ids; control maps the name of a control token to its id."""

    def __init__(self, encode, control):
        self.encode, self.c = encode, control

    def message(self, header, text, end="end", channel="", kind=""):
        ids = [self.c["start"]]
        for piece in header:
            ids += self.encode(piece)
        if channel:
            ids += [self.c["channel"]] + self.encode(channel)
        if kind:
            ids += self.encode(" " + kind)
        return ids + [self.c["message"]] + self.encode(text) + [self.c[end]]

    def front(self, s):
        """System and developer message."""
        top = ["You are ChatGPT, a large language model trained by OpenAI.", "Knowledge cutoff: 2024-06"]
        if s.date:
            top.append(f"Current date: {s.date}")
        channels = CHANNELS
        if s.tools:
            channels += "\nCalls to these tools must go to the commentary channel: 'functions'."
        ids = self.message(["system"], "\n\n".join(["\n".join(top), f"Reasoning: {s.effort}", channels]))
        sections = ["# Instructions", s.instructions] if s.instructions else []
        if s.tools:
            parts = ["## functions\n", "namespace functions {\n"]
            for t in s.tools:
                parts += [f"// {t.description}"] if t.description else []
                parts.append(typescript(t) + "\n")
            sections += ["# Tools", "\n".join(parts + ["} // namespace functions"])]
        if sections:
            ids += self.message(["developer"], "\n\n".join(sections))
        return ids

    def user(self, text):
        return self.message(["user"], text)

    def replayed_call(self, name, arguments):
        return self.message(["assistant", f" to=functions.{name}"], arguments, "call", "commentary", "json")

    def result(self, name, text):
        return self.message([f"functions.{name}", " to=assistant"], text, "end", "commentary")

    def replayed_final(self, text):
        return self.message(["assistant"], text, "end", "final")

    def replayed_analysis(self, text):
        return self.message(["assistant"], text, "end", "analysis")

    def opening(self):
        return [self.c["start"]] + self.encode("assistant")

    def thought(self, text):
        """What the model writes first: its analysis, and the start of the next message."""
        return [self.c["channel"]] + self.encode("analysis") + [self.c["message"]] + self.encode(text) + [self.c["end"]] + self.opening()

    def answer(self, text):
        return [self.c["channel"]] + self.encode("final") + [self.c["message"]] + self.encode(text) + [self.c["return"]]

    def call(self, name, arguments):
        return ([self.c["channel"]] + self.encode(f"commentary to=functions.{name} ") + [self.c["constrain"]] + self.encode("json")
                + [self.c["message"]] + self.encode(arguments) + [self.c["call"]])


# --- drawing conversations -----------------------------------------------------------------------------------------

PLAIN = [(W.small_talk, 6), (W.arithmetic, 44), (W.capital, 5), (W.of_which, 3), (W.continent, 2), (W.listing, 18), (W.explain, 8),
         (W.question, 3), (W.opposite, 3), (W.sound, 1), (W.calendar, 2), (W.compare, 6), (W.even, 2), (W.count, 4), (W.introduce, 4), (W.unknown, 9)]


def fits(t, held_out):
    """Whether a question may be used: one in eight, by its exact words, is kept for the evaluation. Very short ones are for everybody."""
    short = len(t.user.split()) < 3
    return not (short and held_out) and (short or W.is_held_out(t.user.strip()) == held_out)


def turn(rng, s, held_out=False):
    """One question that fits the tools on offer, with its answer."""
    while not fits(t := any_turn(rng, s, held_out), held_out):
        pass
    return t


def any_turn(rng, s, held_out):
    offered = {t.kind: t for t in s.tools}
    useful = [t for t in s.tools if t.kind != "other"]
    if useful and rng.random() < 0.6:
        t = rng.choice(useful)
        return {"weather": T.weather, "calculator": T.calculation, "search": T.searching}[t.kind](rng, t, held_out)
    if rng.random() < 0.03 and not offered.keys() & {"weather", "search"}:
        return T.weather(rng, None, held_out)
    if rng.random() < 0.03 and not offered.keys() & {"calculator", "search"}:
        return W.large(rng, held_out)
    kinds, weights = zip(*PLAIN)
    make = rng.choices(kinds, weights)[0]
    if make is W.arithmetic and "calculator" in offered:
        return T.calculation(rng, offered["calculator"], held_out) if rng.random() < 0.3 else any_turn(rng, s, held_out)
    if make is W.unknown and "search" in offered:
        return T.searching(rng, offered["search"], held_out)
    return make(rng, held_out)


def follow(rng, s, last, name, held_out=False):
    """A question that leans on the turns before, or None."""
    offered = {t.kind for t in s.tools}
    options = []
    if "number" in last.topic and "calculator" not in offered:
        options.append(lambda: W.follow_sum(rng, last.topic["number"], held_out))
    if "country" in last.topic:
        options.append(lambda: W.follow_country(rng, last.topic))
    if "list" in last.topic:
        options.append(lambda: W.follow_list(rng, last.topic["list"]))
    if name is not None or rng.random() < 0.02:
        options.append(lambda: W.recall(rng, name))
    return rng.choice(options)() if options else None


@dataclass
class Conversation:
    history: list  # finished turns
    last: W.Turn
    after: bool = False  # the tool of the last turn has answered
    replayed: bool = False  # the client sent the reasoning of the open turn back


def conversation(rng, s, held_out=False):
    turns = rng.choices([0, 1, 2, 3], [68, 20, 9, 3])[0]
    history, name, last = [], None, None
    for i in range(turns + 1):
        t = None
        if last is not None and rng.random() < 0.55:
            t = follow(rng, s, last, name, held_out)
            t = t if t and fits(t, held_out) else None
        if t is None and i == 0 and turns > 0 and rng.random() < 0.15:
            t = W.introduce(rng, held_out)
        t = t or turn(rng, s, held_out)
        name = t.topic.get("name", name)
        if last is not None:
            history.append(last)
        last = t
    c = Conversation(history, last)
    if last.call and rng.random() < 0.4:
        c.after, c.replayed = True, rng.random() < 0.4
    return c


def effort_of(s):
    return EFFORTS.index(s.effort)


def render(w, s, c):
    """Context and target ids of a conversation after its front."""
    ids = []
    for t in c.history:
        ids += w.user(t.user)
        if t.call:
            ids += w.replayed_call(*t.call) + w.result(t.call[0], t.result)
        ids += w.replayed_final(t.final)
    t, e = c.last, effort_of(s)
    ids += w.user(t.user)
    if c.after:
        tool = next(x for x in s.tools if x.name == t.call[0])
        if c.replayed:
            ids += w.replayed_analysis(t.thoughts[e])
        ids += w.replayed_call(*t.call) + w.result(tool.name, t.result)
        return ids + w.opening(), w.thought(T.after_thoughts(tool.kind, tool)[e]) + w.answer(t.final)
    target = w.call(*t.call) if t.call else w.answer(t.final)
    return ids + w.opening(), w.thought(t.thoughts[e]) + target
