// The Vercel AI SDK, through both of its providers: the one for OpenAI and the one for servers like it.
import assert from 'node:assert/strict';
import { createOpenAI } from '@ai-sdk/openai';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { APICallError, embed, generateText, jsonSchema, Output, RetryError, stepCountIs, streamText, tool } from 'ai';
import { z } from 'zod';
import {
  checkLamp, checkReport, fails, key, lampFunction, limitedUrl, longQuestion, matches, model, noticed, play, question, reportSchema, url, user,
  weatherFunction, weatherQuestion, weatherResult,
} from './kit.mjs';

globalThis.AI_SDK_LOG_WARNINGS = false;
const openai = (baseURL = url, apiKey = key) => createOpenAI({ baseURL, apiKey });
const compatible = (baseURL = url, apiKey = key) =>
  createOpenAICompatible({ name: 'gptoss', baseURL, apiKey, includeUsage: true, supportsStructuredOutputs: true });
const base = { temperature: 0, maxRetries: 0 };

/** Runs a scenario with each provider's chat model. */
const both = (scenario) => async () => {
  for (const make of [openai, compatible]) {
    const pick = (name = model, baseURL = url, apiKey = key) => (make === openai ? openai(baseURL, apiKey).chat(name) : compatible(baseURL, apiKey).chatModel(name));
    try {
      await scenario(pick, make === openai ? 'openai' : 'gptoss');
    } catch (err) {
      err.message = `${make === openai ? '@ai-sdk/openai' : '@ai-sdk/openai-compatible'}: ${err.message}`;
      throw err;
    }
  }
};

const weather = (run) => tool({ description: weatherFunction.description, inputSchema: jsonSchema(weatherFunction.parameters), ...(run && { execute: run }) });
const lamp = (strict) => tool({ description: lampFunction.description, inputSchema: jsonSchema(lampFunction.parameters), ...(strict && { strict: true }) });
const answerOf = (call) => ({
  role: 'tool',
  content: [{ type: 'tool-result', toolCallId: call.toolCallId, toolName: call.toolName, output: { type: 'json', value: JSON.parse(weatherResult) } }],
});

function checkUsage(usage) {
  assert.ok(usage.inputTokens > 0 && usage.outputTokens > 0, `usage ${JSON.stringify(usage)}`);
  assert.equal(usage.totalTokens, usage.inputTokens + usage.outputTokens);
  assert.ok(usage.outputTokenDetails.reasoningTokens > 0, 'reasoning tokens');
}

/** Reads a stream to its end; errors in it are thrown. */
async function read(options) {
  const parts = [];
  let error;
  const result = streamText({ ...base, ...options, onError: (e) => { error = e.error; } });
  for await (const part of result.fullStream) parts.push(part);
  if (error) throw error;
  return { parts, text: await result.text, finish: await result.finishReason, usage: await result.usage, calls: await result.toolCalls, result };
}

async function refused(promise, status, code) {
  const err = await fails(promise);
  assert.ok(APICallError.isInstance(err), `got ${err}`);
  assert.equal(err.statusCode, status);
  const { error } = JSON.parse(err.responseBody);
  assert.equal(err.message, error.message, 'the message of the library');
  if (code) assert.equal(error.code, code);
  return error;
}

const chat = {
  chat: both(async (pick, name) => {
    const r = await generateText({ ...base, model: pick(), prompt: question });
    matches(r.text, /Paris/);
    assert.equal(r.finishReason, 'stop');
    checkUsage(r.usage);
    matches(r.response.id, /^chatcmpl-/, 'id');
    assert.equal(r.response.modelId, model);
    if (name === 'gptoss') matches(r.reasoningText, /\w/, 'reasoning');
  }),

  stream: both(async (pick, name) => {
    const whole = await generateText({ ...base, model: pick(), prompt: question });
    const s = await read({ model: pick(), prompt: question });
    assert.equal(s.text, whole.text);
    assert.equal(s.finish, 'stop');
    checkUsage(s.usage);
    assert.equal(s.usage.totalTokens, whole.usage.totalTokens);
    assert.ok(s.parts.filter((p) => p.type === 'text-delta').length > 2, 'the text came in one piece');
    if (name === 'gptoss') assert.equal(await s.result.reasoningText, whole.reasoningText);
  }),

  roles: both(async (pick) => {
    const r = await generateText({ ...base, model: pick(), system: 'Answer shortly.', messages: [{ role: 'user', content: [{ type: 'text', text: question }] }] });
    matches(r.text, /Paris/);
    const developer = await generateText({ ...base, model: openai().chat(model), system: 'Answer shortly.', prompt: question, providerOptions: { openai: { systemMessageMode: 'developer' } } });
    matches(developer.text, /Paris/);
  }),

  reasoning: async () => {
    const counts = [];
    for (const reasoningEffort of ['low', 'high']) {
      const r = await generateText({ ...base, model: compatible().chatModel(model), prompt: question, providerOptions: { gptoss: { reasoningEffort } } });
      counts.push(r.usage.outputTokenDetails.reasoningTokens);
      matches(r.reasoningText, /\w/, 'reasoning');
      assert.ok(!r.text.includes(r.reasoningText), 'reasoning in the answer');
    }
    assert.ok(counts[0] < counts[1], `reasoning tokens of low and high: ${counts}`);
    const forced = await generateText({ maxRetries: 0, model: openai().chat(model), prompt: question, providerOptions: { openai: { forceReasoning: true, reasoningEffort: 'high' } } });
    matches(forced.text, /Paris/);
  },

  turns: both(async (pick) => {
    const first = await generateText({ ...base, model: pick(), messages: [user(question)] });
    const second = await generateText({ ...base, model: pick(), messages: [user(question), ...first.response.messages, user('And of Japan?')] });
    matches(second.text, /Tokyo/);
  }),

  stop: both(async (pick) => {
    const whole = (await generateText({ ...base, model: pick(), prompt: question })).text;
    const stop = whole.split(' ')[2];
    const want = whole.slice(0, whole.indexOf(stop));
    assert.equal((await generateText({ ...base, model: pick(), prompt: question, stopSequences: [stop] })).text, want);
    assert.equal((await read({ model: pick(), prompt: question, stopSequences: [stop] })).text, want, 'streamed');
  }),

  length: both(async (pick) => {
    const r = await generateText({ ...base, model: pick(), prompt: question, maxOutputTokens: 5 });
    assert.deepEqual([r.finishReason, r.usage.outputTokens], ['length', 5]);
    assert.equal((await read({ model: pick(), prompt: question, maxOutputTokens: 5 })).finish, 'length');
  }),

  seed: both(async (pick) => {
    const warm = { model: pick(), prompt: 'Explain gravity in one sentence.', temperature: 1, topP: 1, seed: 7 };
    const first = await generateText({ ...base, ...warm });
    assert.equal((await generateText({ ...base, ...warm })).text, first.text);
    assert.equal((await read(warm)).text, first.text, 'streamed');
  }),
};

const tools = {
  tools: both(async (pick) => {
    const given = { ...base, model: pick(), tools: { get_weather: weather() } };
    const r = await generateText({ ...given, prompt: weatherQuestion });
    assert.equal(r.finishReason, 'tool-calls');
    assert.equal(r.toolCalls.length, 1);
    assert.deepEqual([r.toolCalls[0].toolName, r.toolCalls[0].input], ['get_weather', { location: 'Paris' }]);
    const after = await generateText({ ...given, messages: [user(weatherQuestion), ...r.response.messages, answerOf(r.toolCalls[0])] });
    matches(after.text, /18/);
  }),

  'tools-stream': both(async (pick) => {
    const s = await read({ model: pick(), prompt: weatherQuestion, tools: { get_weather: weather() } });
    assert.equal(s.finish, 'tool-calls');
    assert.deepEqual([s.calls.length, s.calls[0].toolName, s.calls[0].input], [1, 'get_weather', { location: 'Paris' }]);
    assert.ok(s.parts.filter((p) => p.type === 'tool-input-delta').length > 1, 'the call came in one piece');
  }),

  'tools-loop': both(async (pick) => {
    for (const play of [generateText, read]) {
      const places = [];
      const run = ({ location }) => { places.push(location); return JSON.parse(weatherResult); };
      const r = await play({ ...base, model: pick(), prompt: weatherQuestion, tools: { get_weather: weather(run) }, stopWhen: stepCountIs(3) });
      matches(r.text, /18/);
      assert.deepEqual(places, ['Paris']);
    }
  }),

  'tool-required': both(async (pick) => {
    const r = await generateText({ ...base, model: pick(), prompt: 'Hello', tools: { get_weather: weather(), set_lamp: lamp() }, toolChoice: 'required' });
    assert.equal(r.toolCalls.length, 1);
    if (r.toolCalls[0].toolName === 'set_lamp') checkLamp(r.toolCalls[0].input);
    else assert.equal(typeof r.toolCalls[0].input.location, 'string');
  }),

  'tool-named': both(async (pick) => {
    const given = { model: pick(), prompt: weatherQuestion, tools: { get_weather: weather(), set_lamp: lamp() }, toolChoice: { type: 'tool', toolName: 'set_lamp' } };
    for (const calls of [(await generateText({ ...base, ...given })).toolCalls, (await read(given)).calls]) {
      assert.equal(calls[0].toolName, 'set_lamp');
      checkLamp(calls[0].input);
    }
  }),

  'tool-none': both(async (pick) => {
    const r = await generateText({ ...base, model: pick(), prompt: weatherQuestion, tools: { get_weather: weather() }, toolChoice: 'none' });
    assert.deepEqual(r.toolCalls, []);
    assert.equal(r.finishReason, 'stop');
  }),

  'tool-strict': both(async (pick) => {
    const r = await generateText({ ...base, temperature: 1, seed: 5, model: pick(), prompt: 'Hello', tools: { set_lamp: lamp(true) }, toolChoice: 'required' });
    checkLamp(r.toolCalls[0].input);
  }),
};

const Report = z.object({
  city: z.enum(['Paris', 'Berlin', 'Tokyo']),
  size: z.number().int().min(1).max(99),
  capital: z.boolean(),
  note: z.string().regex(/^[a-z]{1,8}$/).nullable(),
  tags: z.array(z.enum(['big', 'old', 'new'])).min(1).max(3),
});

const json = {
  'json-parse': both(async (pick) => {
    for (const schema of [Report, jsonSchema(reportSchema)]) {
      checkReport((await generateText({ ...base, model: pick(), prompt: question, output: Output.object({ schema }) })).output);
    }
    const picked = await generateText({ ...base, model: pick(), prompt: question, output: Output.choice({ options: ['Paris', 'Rome'] }) });
    assert.ok(['Paris', 'Rome'].includes(picked.output), `choice ${picked.output}`);
  }),

  'json-stream': both(async (pick) => {
    let error;
    const s = streamText({ ...base, model: pick(), prompt: question, output: Output.object({ schema: Report }), onError: (e) => { error = e.error; } });
    let partial;
    for await (const p of s.partialOutputStream) partial = p;
    if (error) throw error;
    checkReport(partial);
    checkReport(await s.output);
  }),
};

const errors = {
  'error-key': both(async (pick) => {
    const wrong = 'sk-wrong-0123456789';
    const error = await refused(generateText({ ...base, model: pick(model, url, wrong), prompt: question }), 401, 'invalid_api_key');
    assert.ok(!JSON.stringify(error).includes(wrong), 'the message repeats the key');
  }),

  'error-model': both(async (pick) => {
    await refused(generateText({ ...base, model: pick('no-such-model'), prompt: question }), 404, 'model_not_found');
    await refused(read({ model: pick('no-such-model'), prompt: question }), 404, 'model_not_found');
  }),

  'error-param': both(async (pick) => {
    const error = await refused(generateText({ ...base, model: pick(), prompt: question, temperature: 3 }), 400);
    assert.equal(error.param, 'temperature');
  }),

  'error-limit': both(async (pick) => {
    const burst = (maxRetries) => Promise.allSettled(Array.from({ length: 6 }, () =>
      generateText({ ...base, maxRetries, model: pick(model, limitedUrl), prompt: longQuestion(100) })));
    const failures = (results) => results.filter((r) => r.status === 'rejected').map((r) => r.reason);
    const errs = failures(await burst(0));
    assert.ok(errs.length > 0, 'six at once fit into a server for two');
    for (const err of errs) {
      assert.ok(APICallError.isInstance(err) && err.isRetryable, `got ${err}`);
      assert.equal(err.statusCode, 429);
      matches(err.responseHeaders['retry-after'], /^[1-9]\d*$/, 'Retry-After');
    }
    assert.deepEqual(failures(await burst(10)).map((e) => (RetryError.isInstance(e) ? String(e.lastError) : String(e))), [], 'with retries');
  }),

  cancel: both(async (pick) => {
    await noticed(async () => {
      const controller = new AbortController();
      const s = streamText({ ...base, model: pick(), prompt: longQuestion(), abortSignal: controller.signal });
      setTimeout(() => controller.abort(), 200);
      const kinds = [];
      for await (const part of s.fullStream) kinds.push(part.type);
      assert.ok(kinds.includes('abort'), `parts ${kinds}`);
    });
  }),

  timeout: both(async (pick) => {
    await noticed(async () => {
      const err = await fails(generateText({ ...base, model: pick(), prompt: longQuestion(), timeout: 200 }));
      matches(err.name, /Timeout|Abort/, 'name of the error');
    });
  }),
};

const rest = {
  'responses-chat': async () => {
    const m = openai().responses(model);
    const r = await generateText({ ...base, model: m, system: 'Answer shortly.', prompt: question });
    matches(r.text, /Paris/);
    checkUsage(r.usage);
    matches(r.response.id, /^resp_/, 'id');
    const s = await read({ model: m, system: 'Answer shortly.', prompt: question });
    assert.deepEqual([s.text, s.finish], [r.text, 'stop'], 'streamed');
    assert.equal(s.usage.totalTokens, r.usage.totalTokens, 'usage, streamed');
  },

  'responses-tools': async () => {
    for (const play of [generateText, read]) {
      const places = [];
      const run = ({ location }) => { places.push(location); return JSON.parse(weatherResult); };
      const r = await play({ ...base, model: openai().responses(model), prompt: weatherQuestion, tools: { get_weather: weather(run) }, stopWhen: stepCountIs(3) });
      matches(r.text, /18/);
      assert.deepEqual(places, ['Paris']);
    }
  },

  'responses-json': async () => {
    checkReport((await generateText({ ...base, model: openai().responses(model), prompt: question, output: Output.object({ schema: Report }) })).output);
  },

  completions: async () => {
    for (const m of [openai().completion(model), compatible().completionModel(model)]) {
      const r = await generateText({ ...base, model: m, prompt: question, maxOutputTokens: 8 });
      assert.ok(['stop', 'length'].includes(r.finishReason), `finishReason ${r.finishReason}`);
      assert.ok(r.usage.outputTokens > 0 && r.usage.outputTokens <= 8, `usage ${JSON.stringify(r.usage)}`);
      assert.equal((await read({ model: m, prompt: question, maxOutputTokens: 8 })).text, r.text, 'streamed');
    }
  },

  embeddings: async () => {
    await refused(embed({ model: openai().textEmbeddingModel(model), value: question, maxRetries: 0 }), 404);
  },
};

await play({ ...chat, ...tools, ...json, ...errors, ...rest });
