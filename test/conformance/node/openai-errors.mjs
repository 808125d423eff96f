import assert from 'node:assert/strict';
import OpenAI from 'openai';
import { ask, fails, key, limitedUrl, longQuestion, matches, noticed, url, user } from './kit.mjs';
import { client, complete } from './openai-chat.mjs';

export default {
  async 'error-key'() {
    const wrong = 'sk-wrong-0123456789';
    const err = await fails(new OpenAI({ baseURL: url, apiKey: wrong, maxRetries: 0 }).chat.completions.create(ask));
    assert.ok(err instanceof OpenAI.AuthenticationError, `got ${err}`);
    assert.equal(err.status, 401);
    assert.equal(err.code, 'invalid_api_key');
    assert.ok(!err.message.includes(wrong), 'the message repeats the key');
    const streamed = await fails(new OpenAI({ baseURL: url, apiKey: wrong, maxRetries: 0 }).chat.completions.create({ ...ask, stream: true }));
    assert.ok(streamed instanceof OpenAI.AuthenticationError, `streamed: got ${streamed}`);
    assert.equal(key === wrong, false);
  },

  async 'error-model'() {
    const err = await fails(complete({ model: 'no-such-model' }));
    assert.ok(err instanceof OpenAI.NotFoundError, `got ${err}`);
    assert.equal(err.code, 'model_not_found');
    matches(err.message, /no-such-model/, 'message');
  },

  async 'error-param'() {
    const cases = [
      ['temperature', { temperature: 3 }], ['top_p', { top_p: 'x' }], ['messages', { messages: [] }], ['messages', { messages: undefined }],
      ['model', { model: undefined }], ['stop', { stop: ['a', 'b', 'c', 'd', 'e'] }], ['stream_options', { stream_options: { include_usage: true } }],
      ['messages[0].role', { messages: [{ role: 'root', content: 'x' }] }], ['reasoning_effort', { reasoning_effort: 'insane' }],
      ['messages[0].content', { messages: [{ role: 'user' }] }], ['tool_choice', { tool_choice: 'required' }], ['n', { n: 0 }], ['max_tokens', { max_tokens: -1 }],
    ];
    for (const [param, extra] of cases) {
      const err = await complete(extra).catch((e) => e);
      assert.ok(err instanceof OpenAI.BadRequestError, `${JSON.stringify(extra)}: got ${err}`);
      assert.equal(err.type, 'invalid_request_error', param);
      assert.equal(err.param, param, JSON.stringify(extra));
      assert.equal(typeof err.code, 'string', `code of ${param}`);
      const streamed = await complete({ ...extra, stream: param !== 'stream_options' }).catch((e) => e);
      assert.ok(streamed instanceof OpenAI.BadRequestError, `${param}, streamed: got ${streamed}`);
    }
    const long = await fails(complete({ messages: [user(longQuestion(20_000))] }));
    assert.deepEqual([long.status, long.code], [400, 'context_length_exceeded']);
  },

  async 'error-limit'() {
    const burst = (maxRetries) => Promise.allSettled(
      Array.from({ length: 6 }, () => new OpenAI({ baseURL: limitedUrl, apiKey: key, maxRetries }).chat.completions.create({ ...ask, messages: [user(longQuestion(100))] })),
    );
    const refused = (await burst(0)).filter((r) => r.status === 'rejected').map((r) => r.reason);
    assert.ok(refused.length > 0, 'six at once fit into a server for two');
    for (const err of refused) {
      assert.ok(err instanceof OpenAI.RateLimitError, `got ${err}`);
      matches(err.headers.get('retry-after'), /^[1-9]\d*$/, 'Retry-After');
      assert.equal(err.type, 'rate_limit_error');
    }
    const failed = (await burst(10)).filter((r) => r.status === 'rejected').map((r) => String(r.reason));
    assert.deepEqual(failed, [], 'with retries');
  },

  async cancel() {
    const stream = await complete({ stream: true });
    for await (const chunk of stream) {
      if (chunk.choices[0]?.delta.reasoning || chunk.choices[0]?.delta.content) break;
    }
    await noticed(async () => { // by leaving the loop
      for await (const _ of await complete({ stream: true, messages: [user(longQuestion())] })) break;
    });
    await noticed(async () => { // by a controller
      const controller = new AbortController();
      const left = client.chat.completions.create({ ...ask, messages: [user(longQuestion())] }, { signal: controller.signal });
      setTimeout(() => controller.abort(), 200);
      assert.ok((await fails(left)) instanceof OpenAI.APIUserAbortError);
    });
  },

  async timeout() {
    await noticed(async () => {
      const err = await fails(client.chat.completions.create({ ...ask, messages: [user(longQuestion())] }, { timeout: 200 }));
      assert.ok(err instanceof OpenAI.APIConnectionTimeoutError, `got ${err}`);
    });
  },
};
