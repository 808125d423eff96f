import openai

from kit import KEY, MODEL, QUESTION, URL, check, equal, fails, matches, user

client = openai.OpenAI(base_url=URL, api_key=KEY, max_retries=0, timeout=50)
ASK = {"model": MODEL, "temperature": 0, "messages": [user(QUESTION)]}


def complete(**extra):
    return client.chat.completions.create(**{**ASK, **extra})


def answer(**extra):
    return complete(**extra).choices[0].message.content


class Streamed:
    """A stream that was read to its end."""

    def __init__(self, stream):
        self.ids, self.chunks, self.usage = set(), [], None
        self.content, self.reasoning, self.finish, self.logprobs = {}, {}, {}, []
        for chunk in stream:
            self.ids.add((chunk.id, chunk.created, chunk.model, chunk.object))
            self.chunks.append(chunk)
            self.usage = chunk.usage or self.usage
            for c in chunk.choices:
                check(self.finish.get(c.index) is None, "a chunk of a choice after its finish reason")
                self.content[c.index] = self.content.get(c.index, "") + (c.delta.content or "")
                self.reasoning[c.index] = self.reasoning.get(c.index, "") + (getattr(c.delta, "reasoning", None) or "")
                self.finish[c.index] = c.finish_reason
                if c.logprobs:
                    self.logprobs += c.logprobs.content or []
        equal(len(self.ids), 1, "ids of one stream:")


def check_usage(usage):
    check(usage.prompt_tokens > 0 and usage.completion_tokens > 0, f"usage {usage}")
    equal(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens, "total_tokens")
    check(usage.prompt_tokens_details.cached_tokens >= 0, "cached_tokens")
    check(usage.completion_tokens_details.reasoning_tokens >= 0, "reasoning_tokens")


def models():
    ours = [m for m in client.models.list() if m.id == MODEL]
    equal(len(ours), 1, "models of the name:")
    equal(ours[0].object, "model")
    check(isinstance(ours[0].created, int) and isinstance(ours[0].owned_by, str), f"{ours[0]}")


def model():
    equal(client.models.retrieve(MODEL).id, MODEL)
    equal(fails(openai.NotFoundError, lambda: client.models.retrieve("no-such-model")).code, "model_not_found")


def chat():
    c = complete()
    matches(c.id, "^chatcmpl-", "id")
    equal((c.object, c.model, len(c.choices)), ("chat.completion", MODEL, 1))
    choice = c.choices[0]
    equal((choice.index, choice.finish_reason, choice.logprobs, choice.message.role, choice.message.tool_calls), (0, "stop", None, "assistant", None))
    matches(choice.message.content, "Paris")
    check("<|" not in choice.message.content, "control tokens in the answer")
    check_usage(c.usage)
    check(c._request_id, "the header x-request-id is missing")


def stream():
    whole = complete(seed=1)
    s = Streamed(complete(seed=1, stream=True, stream_options={"include_usage": True}))
    equal(s.chunks[0].choices[0].delta.role, "assistant", "role of the first chunk")
    equal(sum(1 for c in s.chunks for x in c.choices if x.delta.role), 1, "chunks with a role:")
    equal(s.content[0], whole.choices[0].message.content, "streamed")
    equal(s.finish[0], "stop")
    equal(s.chunks[-1].choices, [], "choices of the chunk with the usage")
    check(all(c.usage is None for c in s.chunks[:-1]), "usage before the last chunk")
    check_usage(s.usage)
    equal(s.usage.total_tokens, whole.usage.total_tokens)
    check(Streamed(complete(stream=True)).usage is None, "usage that nobody asked for")
    with client.chat.completions.stream(**ASK, seed=1) as helped:
        equal("".join(e.delta for e in helped if e.type == "content.delta"), whole.choices[0].message.content, "the helper's deltas")
        equal(helped.get_final_completion().choices[0].message.content, whole.choices[0].message.content)


def roles():
    parts = [{"type": "text", "text": "What is the capital "}, {"type": "text", "text": "of France?"}]
    for before in (
        [{"role": "system", "content": "Answer shortly."}],
        [{"role": "developer", "content": "Answer shortly."}],
        [{"role": "system", "content": [{"type": "text", "text": "You are terse."}]}, {"role": "developer", "content": "Be kind."}],
    ):
        matches(answer(messages=[*before, {"role": "user", "name": "alice", "content": parts}]), "Paris")


def reasoning():
    counts = []
    for effort in ("low", "medium", "high"):
        c = complete(reasoning_effort=effort)
        said = c.choices[0].message
        matches(said.content, "Paris")
        matches(said.reasoning, r"\w", "reasoning")
        equal(said.reasoning_content, said.reasoning)
        check(said.reasoning not in said.content, "reasoning in the answer")
        counts.append(c.usage.completion_tokens_details.reasoning_tokens)
    check(0 < counts[0] < counts[2], f"reasoning tokens of low, medium and high: {counts}")
    whole = complete(reasoning_effort="high").choices[0].message.reasoning
    equal(Streamed(complete(reasoning_effort="high", stream=True)).reasoning[0], whole, "streamed")
    extra = complete(extra_body={"reasoning_level": "high"})
    equal(extra.usage.completion_tokens_details.reasoning_tokens, counts[2], "reasoning tokens of reasoning_level high:")


def turns():
    matches(answer(messages=[user(QUESTION), {"role": "assistant", "content": "The capital of France is Paris."}, user("And of Japan?")]), "Tokyo")
    first = complete().choices[0].message
    matches(answer(messages=[user(QUESTION), first, user("And of Japan?")]), "Tokyo")


def stop():
    whole = answer()
    word = whole.split(" ")[2]
    want = whole[: whole.index(word)]
    for given in (word, ["never said", word]):
        choice = complete(stop=given).choices[0]
        equal((choice.message.content, choice.finish_reason), (want, "stop"))
        s = Streamed(complete(stop=given, stream=True))
        equal((s.content[0], s.finish[0]), (want, "stop"), "streamed")


def length():
    for name in ("max_completion_tokens", "max_tokens"):
        c = complete(**{name: 5})
        equal((c.choices[0].finish_reason, c.usage.completion_tokens), ("length", 5), name)
        equal(Streamed(complete(**{name: 5}, stream=True)).finish[0], "length", name)


def seed():
    warm = {"temperature": 1, "top_p": 1, "seed": 7, "messages": [user("Explain gravity in one sentence.")]}
    first = answer(**warm)
    equal(answer(**warm), first)
    equal(Streamed(complete(**warm, stream=True)).content[0], first, "streamed")


def logprobs():
    def verify(tokens, content):
        equal(bytes(b for t in tokens for b in t.bytes).decode(), content, "the bytes of the tokens")
        check(all(t.logprob <= 0 and len(t.top_logprobs) == 3 for t in tokens), "logprobs or alternatives")

    choice = complete(logprobs=True, top_logprobs=3).choices[0]
    verify(choice.logprobs.content, choice.message.content)
    s = Streamed(complete(logprobs=True, top_logprobs=3, stream=True))
    verify(s.logprobs, s.content[0])


def choices():
    c = complete(n=3, temperature=1, seed=3)
    equal([x.index for x in c.choices], [0, 1, 2])
    check(all(x.finish_reason == "stop" for x in c.choices), "finish reasons")
    check_usage(c.usage)
    s = Streamed(complete(n=3, temperature=1, seed=3, stream=True))
    equal([s.content[i] for i in range(3)], [x.message.content for x in c.choices], "streamed")


def sampling():
    complete(frequency_penalty=0.5, presence_penalty=-0.5)
    complete(user="u", metadata={"a": "b"}, store=False, service_tier="auto", safety_identifier="s", prompt_cache_key="k", verbosity="low", modalities=["text"])
    complete(logit_bias={"40": -100})
    for name, value in (("frequency_penalty", 2.5), ("presence_penalty", -3), ("logit_bias", {"x": 1}), ("logit_bias", {"40": 101})):
        matches(fails(openai.BadRequestError, lambda: complete(**{name: value})).param, f"^{name}", "param")


def completions():
    old = {"model": MODEL, "prompt": "The capital of France is", "max_tokens": 8, "temperature": 0, "seed": 1}
    c = client.completions.create(**old)
    matches(c.id, "^cmpl-", "id")
    equal((c.object, c.model, c.choices[0].index, c.choices[0].logprobs), ("text_completion", MODEL, 0, None))
    check(c.choices[0].finish_reason in ("stop", "length"), f"finish_reason {c.choices[0].finish_reason}")
    check(0 < c.usage.completion_tokens <= 8, f"usage {c.usage}")
    text, usage = "", None
    for chunk in client.completions.create(**old, stream=True, stream_options={"include_usage": True}):
        equal(chunk.object, "text_completion")
        text += "".join(x.text for x in chunk.choices)
        usage = chunk.usage or usage
    equal(text, c.choices[0].text, "streamed")
    equal(usage.completion_tokens, c.usage.completion_tokens, "usage, streamed")
    several = client.completions.create(**{**old, "prompt": ["One", "Two"]}, n=2)
    equal(sorted(x.index for x in several.choices), [0, 1, 2, 3])


def embeddings():
    err = fails(openai.NotFoundError, lambda: client.embeddings.create(model=MODEL, input=QUESTION))
    matches(err.body["message"], r"\w+ \w+", "message")


SCENARIOS = {
    "models": models, "model": model, "chat": chat, "stream": stream, "roles": roles, "reasoning": reasoning, "turns": turns, "stop": stop,
    "length": length, "seed": seed, "logprobs": logprobs, "choices": choices, "sampling": sampling, "completions": completions, "embeddings": embeddings,
}
