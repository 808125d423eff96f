// LangChain's OpenAI models for JavaScript.
import assert from 'node:assert/strict';
import { AIMessage, HumanMessage, SystemMessage, ToolMessage } from '@langchain/core/messages';
import { ChatOpenAI, OpenAI, OpenAIEmbeddings } from '@langchain/openai';
import { z } from 'zod';
import {
  checkLamp, checkReport, fails, key, lampTool, limitedUrl, longQuestion, matches, model, noticed, play, question, reportSchema, url, user,
  weatherQuestion, weatherResult, weatherTool,
} from './kit.mjs';

const settings = (extra, baseURL = url, apiKey = key) => ({ model, temperature: 0, maxRetries: 0, apiKey, configuration: { baseURL }, ...extra });
const chat = (extra, baseURL, apiKey) => new ChatOpenAI(settings(extra, baseURL, apiKey));

/** Reads a stream to its end, as one message. */
async function read(stream) {
  let all;
  let pieces = 0;
  for await (const chunk of await stream) {
    all = all ? all.concat(chunk) : chunk;
    pieces++;
  }
  return { all, pieces };
}

function checkUsage(usage) {
  assert.ok(usage?.input_tokens > 0 && usage.output_tokens > 0, `usage ${JSON.stringify(usage)}`);
  assert.equal(usage.total_tokens, usage.input_tokens + usage.output_tokens);
  assert.ok(usage.output_token_details.reasoning > 0, 'reasoning tokens');
}

const talks = {
  async chat() {
    const m = await chat().invoke(question);
    matches(m.content, /Paris/);
    matches(m.id, /^chatcmpl-/, 'id');
    assert.equal(m.response_metadata.finish_reason, 'stop');
    assert.equal(m.response_metadata.model_name, model);
    checkUsage(m.usage_metadata);
  },

  async stream() {
    const whole = await chat().invoke(question);
    const { all, pieces } = await read(chat().stream(question));
    assert.equal(all.content, whole.content);
    assert.ok(pieces > 4, `only ${pieces} pieces`);
    assert.equal(all.response_metadata.finish_reason, 'stop');
    checkUsage(all.usage_metadata);
    assert.equal(all.usage_metadata.total_tokens, whole.usage_metadata.total_tokens);
  },

  async roles() {
    const m = await chat().invoke([new SystemMessage('Answer shortly.'), new HumanMessage({ content: [{ type: 'text', text: question }], name: 'alice' })]);
    matches(m.content, /Paris/);
    matches((await chat().invoke([{ role: 'developer', content: 'Answer shortly.' }, user(question)])).content, /Paris/);
  },

  async reasoning() {
    const counts = [];
    for (const reasoning_effort of ['low', 'high']) {
      const m = await chat({ modelKwargs: { reasoning_effort } }).invoke(question);
      counts.push(m.usage_metadata.output_token_details.reasoning);
      matches(m.additional_kwargs.reasoning_content, /\w/, 'reasoning_content');
    }
    assert.ok(counts[0] < counts[1], `reasoning tokens of low and high: ${counts}`);
  },

  async turns() {
    const first = await chat().invoke(question);
    matches((await chat().invoke([new HumanMessage(question), first, new HumanMessage('And of Japan?')])).content, /Tokyo/);
  },

  async stop() {
    const whole = (await chat().invoke(question)).content;
    const stop = whole.split(' ')[2];
    const want = whole.slice(0, whole.indexOf(stop));
    assert.equal((await chat().invoke(question, { stop: [stop] })).content, want);
    assert.equal((await read(chat().stream(question, { stop: [stop] }))).all.content, want, 'streamed');
  },

  async length() {
    const m = await chat({ maxTokens: 5 }).invoke(question);
    assert.deepEqual([m.response_metadata.finish_reason, m.usage_metadata.output_tokens], ['length', 5]);
    assert.equal((await read(chat({ maxTokens: 5 }).stream(question))).all.response_metadata.finish_reason, 'length');
  },

  async seed() {
    const warm = chat({ temperature: 1, topP: 1 });
    const ask = 'Explain gravity in one sentence.';
    const first = await warm.invoke(ask, { seed: 7 });
    assert.equal((await warm.invoke(ask, { seed: 7 })).content, first.content);
    assert.equal((await read(warm.stream(ask, { seed: 7 }))).all.content, first.content, 'streamed');
  },

  async logprobs() {
    const m = await chat({ logprobs: true, topLogprobs: 2 }).invoke(question);
    const tokens = m.response_metadata.logprobs.content;
    assert.equal(tokens.map((t) => t.token).join(''), m.content);
    assert.equal(tokens[0].top_logprobs.length, 2);
    const { all } = await read(chat({ logprobs: true }).stream(question));
    assert.equal(all.response_metadata.logprobs.content.map((t) => t.token).join(''), all.content, 'streamed');
  },

  async choices() {
    const { generations } = await chat({ n: 2, temperature: 1 }).generate([[new HumanMessage(question)]]);
    assert.equal(generations[0].length, 2);
    for (const g of generations[0]) matches(g.text, /\w/);
  },
};

const tools = {
  async tools() {
    const m = chat().bindTools([weatherTool]);
    const ask = new HumanMessage(weatherQuestion);
    const called = await m.invoke([ask]);
    assert.equal(called.response_metadata.finish_reason, 'tool_calls');
    assert.deepEqual(called.invalid_tool_calls, []);
    const [call] = called.tool_calls;
    assert.deepEqual([called.tool_calls.length, call.name, call.args], [1, 'get_weather', { location: 'Paris' }]);
    matches((await m.invoke([ask, called, new ToolMessage({ content: weatherResult, tool_call_id: call.id })])).content, /18/);
  },

  async 'tools-stream'() {
    const m = chat().bindTools([weatherTool]);
    const ask = new HumanMessage(weatherQuestion);
    const { all } = await read(m.stream([ask]));
    const [call] = all.tool_calls;
    assert.deepEqual([all.tool_calls.length, call.name, call.args], [1, 'get_weather', { location: 'Paris' }]);
    const history = [ask, new AIMessage({ content: all.content, tool_calls: all.tool_calls }), new ToolMessage({ content: weatherResult, tool_call_id: call.id })];
    matches((await read(m.stream(history))).all.content, /18/);
  },

  async 'tool-required'() {
    const m = await chat().bindTools([weatherTool, lampTool], { tool_choice: 'required' }).invoke('Hello');
    assert.deepEqual(m.invalid_tool_calls, []);
    const [call] = m.tool_calls;
    if (call.name === 'set_lamp') checkLamp(call.args);
    else assert.equal(typeof call.args.location, 'string');
  },

  async 'tool-named'() {
    const m = await chat().bindTools([weatherTool, lampTool], { tool_choice: 'set_lamp' }).invoke(weatherQuestion);
    assert.equal(m.tool_calls[0].name, 'set_lamp');
    checkLamp(m.tool_calls[0].args);
  },

  async 'tool-none'() {
    const m = await chat().bindTools([weatherTool], { tool_choice: 'none' }).invoke(weatherQuestion);
    assert.deepEqual(m.tool_calls, []);
    matches(m.content, /\w/);
  },

  async 'tool-strict'() {
    const m = await chat({ temperature: 1 }).bindTools([lampTool], { strict: true, tool_choice: 'set_lamp' }).invoke('Hello', { seed: 5 });
    checkLamp(m.tool_calls[0].args);
  },
};

const Report = z.object({
  city: z.enum(['Paris', 'Berlin', 'Tokyo']),
  size: z.number().int().min(1).max(99),
  capital: z.boolean(),
  note: z.string().regex(/^[a-z]{1,8}$/).nullable(),
  tags: z.array(z.enum(['big', 'old', 'new'])).min(1).max(3),
});

const json = {
  async 'json-object'() {
    const m = await chat({ maxTokens: 400 }).withConfig({ response_format: { type: 'json_object' } }).invoke([new SystemMessage('Answer in JSON.'), new HumanMessage(question)]);
    matches(m.content, /^\s*\{/);
  },

  async 'json-parse'() {
    for (const [schema, options] of [
      [Report, { method: 'jsonSchema', strict: true }], [{ title: 'report', ...reportSchema }, { method: 'jsonSchema', strict: true }],
      [Report, { method: 'functionCalling', name: 'report' }],
    ]) {
      checkReport(await chat().withStructuredOutput(schema, options).invoke(question));
    }
  },
};

async function refused(promise, status, code, param) {
  const err = await fails(promise);
  assert.equal(err.status, status, `got ${err}`);
  if (code) assert.equal(err.code, code);
  if (param) assert.equal(err.param, param);
  return err;
}

const errors = {
  async 'error-key'() {
    const wrong = 'sk-wrong-0123456789';
    const err = await refused(chat({}, url, wrong).invoke(question), 401, 'invalid_api_key');
    assert.ok(!err.message.includes(wrong), 'the message repeats the key');
  },

  async 'error-model'() {
    await refused(chat({ model: 'no-such-model' }).invoke(question), 404, 'model_not_found');
    await refused(read(chat({ model: 'no-such-model' }).stream(question)), 404, 'model_not_found');
  },

  async 'error-param'() {
    await refused(chat({ temperature: 3 }).invoke(question), 400, null, 'temperature');
  },

  async 'error-limit'() {
    const burst = (maxRetries) => Promise.allSettled(Array.from({ length: 6 }, () => chat({ maxRetries }, limitedUrl).invoke(longQuestion(100))));
    const failures = (results) => results.filter((r) => r.status === 'rejected').map((r) => r.reason);
    const errs = failures(await burst(0));
    assert.ok(errs.length > 0, 'six at once fit into a server for two');
    for (const err of errs) assert.equal(err.status, 429, `got ${err}`);
    assert.deepEqual(failures(await burst(10)).map(String), [], 'with retries');
  },

  async cancel() {
    await noticed(async () => {
      const controller = new AbortController();
      setTimeout(() => controller.abort(), 200);
      await fails(read(chat().stream(longQuestion(), { signal: controller.signal })));
    });
    await noticed(async () => { // by leaving the loop
      for await (const _ of await chat().stream(longQuestion())) break;
    });
  },

  async timeout() {
    await noticed(async () => {
      const err = await fails(chat({ timeout: 200 }).invoke(longQuestion()));
      matches(`${err.name} ${err.message}`, /[Tt]ime|[Aa]bort/, 'the error');
    });
  },
};

const rest = {
  async 'responses-chat'() {
    const m = chat({ useResponsesApi: true });
    const whole = await m.invoke([new SystemMessage('Answer shortly.'), new HumanMessage(question)]);
    matches(whole.text, /Paris/);
    checkUsage(whole.usage_metadata);
    const { all } = await read(m.stream([new SystemMessage('Answer shortly.'), new HumanMessage(question)]));
    assert.equal(all.text, whole.text, 'streamed');
    assert.equal(all.usage_metadata.total_tokens, whole.usage_metadata.total_tokens, 'usage, streamed');
    const called = await m.bindTools([weatherTool]).invoke(weatherQuestion);
    assert.deepEqual(called.tool_calls[0].args, { location: 'Paris' });
    const told = new ToolMessage({ content: weatherResult, tool_call_id: called.tool_calls[0].id });
    matches((await m.bindTools([weatherTool]).invoke([new HumanMessage(weatherQuestion), called, told])).text, /18/);
  },

  async completions() {
    const m = new OpenAI(settings({ maxTokens: 8 }));
    const text = await m.invoke(question);
    let streamed = '';
    for await (const piece of await m.stream(question)) streamed += piece;
    assert.equal(streamed, text, 'streamed');
  },

  async embeddings() {
    await refused(new OpenAIEmbeddings(settings()).embedQuery(question), 404);
  },
};

await play({ ...talks, ...tools, ...json, ...errors, ...rest });
