import assert from 'node:assert/strict';
import OpenAI from 'openai';
import { ask, checkUsage, key, matches, model, question, url, user } from './kit.mjs';

export const client = new OpenAI({ baseURL: url, apiKey: key, maxRetries: 0, timeout: 50_000 });
export const complete = (extra) => client.chat.completions.create({ ...ask, ...extra });

/** Reads a stream to its end: what it said, choice by choice, and what held it together. */
export async function read(stream) {
  const all = { ids: new Set(), chunks: [], choices: [], usage: null };
  for await (const chunk of stream) {
    all.ids.add(`${chunk.id} ${chunk.created} ${chunk.model} ${chunk.object}`);
    all.chunks.push(chunk);
    all.usage = chunk.usage ?? all.usage;
    for (const c of chunk.choices) {
      const choice = (all.choices[c.index] ??= { content: '', reasoning: '', finish: null, logprobs: [], roles: 0 });
      choice.content += c.delta.content ?? '';
      choice.reasoning += c.delta.reasoning ?? '';
      choice.roles += c.delta.role ? 1 : 0;
      choice.logprobs.push(...(c.logprobs?.content ?? []));
      assert.equal(choice.finish, null, 'a chunk of a choice after its finish reason');
      choice.finish = c.finish_reason;
    }
  }
  assert.equal(all.ids.size, 1, `ids of one stream: ${[...all.ids]}`);
  return all;
}

export default {
  async models() {
    const models = [];
    for await (const m of client.models.list()) models.push(m);
    const ours = models.find((m) => m.id === model);
    assert.ok(ours, `${model} is not among ${models.map((m) => m.id)}`);
    assert.equal(ours.object, 'model');
    assert.ok(Number.isInteger(ours.created) && ours.created > 0, `created ${ours.created}`);
    assert.equal(typeof ours.owned_by, 'string');
  },

  async model() {
    const found = await client.models.retrieve(model);
    assert.equal(found.id, model);
    assert.equal(found.object, 'model');
    const err = await client.models.retrieve('no-such-model').catch((e) => e);
    assert.ok(err instanceof OpenAI.NotFoundError, `got ${err}`);
    assert.equal(err.code, 'model_not_found');
  },

  async chat() {
    const { data: c, response } = await complete().withResponse();
    matches(c.id, /^chatcmpl-/, 'id');
    assert.equal(c.object, 'chat.completion');
    assert.equal(c.model, model);
    assert.ok(Math.abs(c.created - Date.now() / 1000) < 86_400, `created ${c.created}`);
    assert.equal(c.choices.length, 1);
    const [choice] = c.choices;
    assert.equal(choice.index, 0);
    assert.equal(choice.finish_reason, 'stop');
    assert.equal(choice.logprobs ?? null, null);
    assert.equal(choice.message.role, 'assistant');
    assert.equal(choice.message.tool_calls, undefined);
    assert.equal(choice.message.refusal ?? null, null);
    matches(choice.message.content, /Paris/);
    assert.doesNotMatch(choice.message.content, /<\|/);
    checkUsage(c.usage);
    assert.ok(c._request_id, 'the header x-request-id is missing');
    matches(response.headers.get('content-type'), /^application\/json/, 'content type');
    const again = await complete();
    assert.notEqual(again.id, c.id, 'two answers with one id');
  },

  async stream() {
    const whole = await complete({ seed: 1 });
    const { data, response } = await client.chat.completions
      .create({ ...ask, seed: 1, stream: true, stream_options: { include_usage: true } })
      .withResponse();
    matches(response.headers.get('content-type'), /^text\/event-stream/, 'content type');
    const all = await read(data);
    const [choice] = all.choices;
    assert.equal(all.chunks[0].object, 'chat.completion.chunk');
    assert.equal(all.chunks[0].choices[0].delta.role, 'assistant');
    assert.equal(choice.roles, 1, 'chunks with a role');
    assert.ok(all.chunks.length > 4, `only ${all.chunks.length} chunks`);
    assert.equal(choice.content, whole.choices[0].message.content);
    assert.equal(choice.finish, whole.choices[0].finish_reason);
    const last = all.chunks.at(-1);
    assert.deepEqual(last.choices, [], 'choices of the chunk with the usage');
    for (const c of all.chunks.slice(0, -1)) assert.equal(c.usage, null, 'usage before the last chunk');
    const finished = all.chunks.at(-2).choices[0];
    assert.deepEqual([finished.delta, finished.finish_reason], [{}, 'stop'], 'the chunk before the usage');
    checkUsage(last.usage);
    assert.equal(last.usage.prompt_tokens, whole.usage.prompt_tokens);
    assert.equal(last.usage.completion_tokens, whole.usage.completion_tokens);

    const plain = await read(await complete({ stream: true }));
    assert.ok(plain.chunks.every((c) => c.usage === undefined || c.usage === null), 'usage that nobody asked for');
    const helped = client.chat.completions.stream({ ...ask, seed: 1 });
    assert.equal((await helped.finalMessage()).content, whole.choices[0].message.content);
  },

  async roles() {
    const parts = [{ type: 'text', text: 'What is the capital ' }, { type: 'text', text: 'of France?' }];
    for (const before of [
      [{ role: 'system', content: 'Answer shortly.' }],
      [{ role: 'developer', content: 'Answer shortly.' }],
      [{ role: 'system', content: [{ type: 'text', text: 'You are terse.' }] }, { role: 'developer', content: 'Be kind.' }],
    ]) {
      const c = await complete({ messages: [...before, { role: 'user', name: 'alice', content: parts }] });
      matches(c.choices[0].message.content, /Paris/);
    }
    const empty = await complete();
    const instructed = await complete({ messages: [{ role: 'system', content: 'Answer shortly.' }, user(question)] });
    assert.ok(instructed.usage.prompt_tokens > empty.usage.prompt_tokens, 'instructions that take no tokens');
  },

  async reasoning() {
    const counts = [];
    for (const reasoning_effort of ['low', 'medium', 'high']) {
      const c = await complete({ reasoning_effort });
      const { content, reasoning, reasoning_content } = c.choices[0].message;
      matches(content, /Paris/);
      matches(reasoning, /\w/, 'reasoning');
      assert.equal(reasoning_content, reasoning, 'reasoning_content');
      assert.ok(!content.includes(reasoning), 'reasoning in the answer');
      counts.push(c.usage.completion_tokens_details.reasoning_tokens);
    }
    assert.ok(0 < counts[0] && counts[0] < counts[2], `reasoning tokens of low, medium and high: ${counts}`);
    const all = await read(await complete({ reasoning_effort: 'high', stream: true }));
    const whole = await complete({ reasoning_effort: 'high' });
    assert.equal(all.choices[0].reasoning, whole.choices[0].message.reasoning);
    const bySystem = await complete({ messages: [{ role: 'system', content: 'Reasoning: high' }, user(question)] });
    assert.equal(bySystem.usage.completion_tokens_details.reasoning_tokens, counts[2], 'reasoning tokens of a system message that says high');
    for (const reasoning_effort of ['none', 'minimal', 'xhigh']) await complete({ reasoning_effort });
  },

  async turns() {
    const c = await complete({ messages: [user(question), { role: 'assistant', content: 'The capital of France is Paris.' }, user('And of Japan?')] });
    matches(c.choices[0].message.content, /Tokyo/);
  },

  async stop() {
    const whole = (await complete()).choices[0].message.content;
    const stop = whole.split(' ')[2];
    const want = whole.slice(0, whole.indexOf(stop));
    for (const given of [stop, ['never said', stop]]) {
      const c = await complete({ stop: given });
      assert.equal(c.choices[0].message.content, want);
      assert.equal(c.choices[0].finish_reason, 'stop');
      const all = await read(await complete({ stop: given, stream: true }));
      assert.equal(all.choices[0].content, want, 'streamed');
      assert.equal(all.choices[0].finish, 'stop');
    }
  },

  async length() {
    for (const name of ['max_completion_tokens', 'max_tokens']) {
      const c = await complete({ [name]: 5 });
      assert.equal(c.choices[0].finish_reason, 'length', name);
      assert.equal(c.usage.completion_tokens, 5, name);
      assert.notEqual(c.choices[0].message.content, null, `content of an answer without a call, ${name}`);
      const all = await read(await complete({ [name]: 5, stream: true }));
      assert.equal(all.choices[0].finish, 'length', `${name}, streamed`);
    }
  },

  async seed() {
    const warm = { temperature: 1, top_p: 1, seed: 7, messages: [user('Explain gravity in one sentence.')] };
    const first = (await complete(warm)).choices[0].message;
    const second = (await complete(warm)).choices[0].message;
    assert.deepEqual(second, first);
    const streamed = await read(await complete({ ...warm, stream: true }));
    assert.equal(streamed.choices[0].content, first.content, 'streamed');
    const seen = new Set();
    for (let seed = 0; seed < 12; seed++) seen.add((await complete({ ...warm, temperature: 2, seed })).choices[0].message.content);
    assert.ok(seen.size > 1, '12 seeds gave one answer at temperature 2');
  },

  async logprobs() {
    const check = (tokens, content) => {
      assert.equal(Buffer.from(tokens.flatMap((t) => t.bytes)).toString(), content, 'the bytes of the tokens');
      for (const t of tokens) {
        assert.ok(t.logprob <= 0, `logprob ${t.logprob}`);
        assert.equal(t.top_logprobs.length, 3);
        assert.ok(t.top_logprobs[0].logprob >= t.top_logprobs[2].logprob, 'order of top_logprobs');
      }
    };
    const given = { logprobs: true, top_logprobs: 3 };
    const { message, logprobs } = (await complete(given)).choices[0];
    check(logprobs.content, message.content);
    assert.equal(logprobs.refusal, null);
    const all = await read(await complete({ ...given, stream: true }));
    check(all.choices[0].logprobs, all.choices[0].content);
    const bare = (await complete({ logprobs: true })).choices[0].logprobs.content;
    assert.ok(bare.every((t) => t.top_logprobs.length === 0), 'alternatives that nobody asked for');
  },

  async choices() {
    const c = await complete({ n: 3, temperature: 1, seed: 3 });
    assert.deepEqual(c.choices.map((x) => x.index), [0, 1, 2]);
    for (const choice of c.choices) {
      assert.equal(choice.message.role, 'assistant');
      assert.equal(choice.finish_reason, 'stop');
    }
    checkUsage(c.usage);
    const one = await complete({ temperature: 1, seed: 3 });
    assert.equal(c.usage.prompt_tokens, one.usage.prompt_tokens, 'the prompt counts once');
    assert.ok(c.usage.completion_tokens > one.usage.completion_tokens, 'all answers count');
    const all = await read(await complete({ n: 3, temperature: 1, seed: 3, stream: true, stream_options: { include_usage: true } }));
    assert.deepEqual(all.choices.map((x) => x.finish), ['stop', 'stop', 'stop']);
    assert.deepEqual(all.choices.map((x) => x.content), c.choices.map((x) => x.message.content), 'streamed');
    assert.equal(all.usage.completion_tokens, c.usage.completion_tokens, 'usage, streamed');
  },

  async sampling() {
    await complete({ frequency_penalty: 0.5, presence_penalty: -0.5 });
    await complete({
      user: 'u', metadata: { a: 'b' }, store: false, service_tier: 'auto', safety_identifier: 's', prompt_cache_key: 'k', verbosity: 'low',
      parallel_tool_calls: undefined, modalities: ['text'], response_format: { type: 'text' },
    });
    const { logprobs, message } = (await complete({ logprobs: true, logit_bias: {} })).choices[0];
    assert.equal(logprobs.content.map((t) => t.token).join(''), message.content);
    const banned = await complete({ logit_bias: { 40: -100, 41: 5 }, frequency_penalty: 0 });
    assert.equal(banned.choices.length, 1);
    for (const [name, value] of [['frequency_penalty', 2.5], ['presence_penalty', -3], ['logit_bias', { x: 1 }], ['logit_bias', { 40: 101 }]]) {
      const err = await complete({ [name]: value }).catch((e) => e);
      assert.ok(err instanceof OpenAI.BadRequestError, `${name}: got ${err}`);
      matches(err.param, new RegExp(`^${name}`), 'param');
    }
  },

  async completions() {
    const old = { model, prompt: 'The capital of France is', max_tokens: 8, temperature: 0, seed: 1 };
    const c = await client.completions.create(old);
    matches(c.id, /^cmpl-/, 'id');
    assert.equal(c.object, 'text_completion');
    assert.equal(c.model, model);
    const [choice] = c.choices;
    assert.equal(choice.index, 0);
    assert.equal(typeof choice.text, 'string');
    assert.ok(['stop', 'length'].includes(choice.finish_reason), `finish_reason ${choice.finish_reason}`);
    assert.equal(choice.logprobs, null);
    assert.ok(c.usage.completion_tokens <= 8 && c.usage.prompt_tokens > 0, `usage ${JSON.stringify(c.usage)}`);
    let text = '';
    let usage = null;
    let finish = null;
    for await (const chunk of await client.completions.create({ ...old, stream: true, stream_options: { include_usage: true } })) {
      assert.equal(chunk.object, 'text_completion');
      text += chunk.choices[0]?.text ?? '';
      finish = chunk.choices[0]?.finish_reason ?? finish;
      usage = chunk.usage ?? usage;
    }
    assert.deepEqual([text, finish], [choice.text, choice.finish_reason], 'streamed');
    assert.deepEqual([usage.prompt_tokens, usage.completion_tokens], [c.usage.prompt_tokens, c.usage.completion_tokens], 'usage, streamed');
    const several = await client.completions.create({ ...old, prompt: ['One', 'Two'], n: 2 });
    assert.deepEqual(several.choices.map((x) => x.index).sort(), [0, 1, 2, 3]);
  },

  async embeddings() {
    const err = await client.embeddings.create({ model, input: question }).catch((e) => e);
    assert.ok(err instanceof OpenAI.NotFoundError, `got ${err}`);
    matches(err.error?.message, /\w+ \w+/, 'message');
  },
};
