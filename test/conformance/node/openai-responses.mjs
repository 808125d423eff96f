// The Responses API. Shapes and order of events are those of OpenAI's reference.
import assert from 'node:assert/strict';
import OpenAI from 'openai';
import { zodTextFormat } from 'openai/helpers/zod';
import { checkReport, matches, model, question, reportSchema, weatherFunction, weatherQuestion, weatherResult } from './kit.mjs';
import { client } from './openai-chat.mjs';
import { Report } from './openai-json.mjs';

const ask = { model, input: question, temperature: 0 };
const respond = (extra) => client.responses.create({ ...ask, ...extra });
const weatherTool = { type: 'function', ...weatherFunction, strict: null };

function checkUsage(usage) {
  assert.ok(usage.input_tokens > 0 && usage.output_tokens > 0, `usage ${JSON.stringify(usage)}`);
  assert.equal(usage.total_tokens, usage.input_tokens + usage.output_tokens);
  assert.ok(usage.input_tokens_details.cached_tokens >= 0, 'cached_tokens');
  assert.ok(usage.output_tokens_details.reasoning_tokens >= 0, 'reasoning_tokens');
}

function checkMessage(item) {
  matches(item.id, /^msg_/, 'id of the message');
  assert.deepEqual([item.type, item.role, item.status], ['message', 'assistant', 'completed']);
  assert.equal(item.content.length, 1);
  assert.equal(item.content[0].type, 'output_text');
  assert.deepEqual(item.content[0].annotations, []);
}

/** Follows the events of a stream: numbered, of one response, every item and part opened and closed, deltas equal to their done. */
async function follow(stream) {
  const events = [];
  const texts = new Map();
  const open = new Set();
  for await (const e of stream) {
    assert.equal(e.sequence_number, events.length, `sequence_number of ${e.type}`);
    events.push(e);
    const part = `${e.item_id} ${e.content_index}`;
    switch (e.type) {
      case 'response.output_item.added':
        open.add(`item ${e.output_index}`);
        if (e.item.type !== 'reasoning') assert.equal(e.item.status, 'in_progress', `status of a new ${e.item.type}`); // reasoning may have none
        break;
      case 'response.output_item.done': assert.ok(open.delete(`item ${e.output_index}`), 'an item ends that did not begin'); break;
      case 'response.content_part.added': open.add(`part ${part}`); break;
      case 'response.content_part.done': assert.ok(open.delete(`part ${part}`), 'a part ends that did not begin'); break;
      case 'response.output_text.delta': case 'response.reasoning_text.delta': case 'response.function_call_arguments.delta':
        texts.set(part, (texts.get(part) ?? '') + e.delta); break;
      case 'response.output_text.done': case 'response.reasoning_text.done': assert.equal(e.text, texts.get(part), e.type); break;
      case 'response.function_call_arguments.done': assert.equal(e.arguments, texts.get(part), e.type); break;
    }
  }
  assert.deepEqual([...open], [], 'items and parts left open');
  const names = events.map((e) => e.type);
  assert.deepEqual(names.slice(0, 2), ['response.created', 'response.in_progress']);
  assert.equal(events[0].response.status, 'in_progress');
  assert.deepEqual(events[0].response.output, []);
  return { events, names, last: events.at(-1) };
}

export default {
  async responses() {
    const r = await respond({ instructions: 'Answer shortly.', metadata: { a: 'b' } });
    matches(r.id, /^resp_/, 'id');
    assert.equal(r.object, 'response');
    assert.equal(r.status, 'completed');
    assert.equal(r.model, model);
    assert.ok(r.created_at > 0, `created_at ${r.created_at}`);
    for (const name of ['error', 'incomplete_details', 'previous_response_id']) assert.equal(r[name], null, name);
    assert.equal(r.instructions, 'Answer shortly.');
    assert.deepEqual(r.metadata, { a: 'b' });
    assert.deepEqual(r.tools, []);
    assert.equal(r.tool_choice, 'auto');
    assert.equal(typeof r.parallel_tool_calls, 'boolean');
    assert.equal(r.temperature, 0);
    assert.equal(r.text.format.type, 'text');
    matches(r.output_text, /Paris/);
    checkMessage(r.output.at(-1));
    const [thought] = r.output;
    assert.equal(thought.type, 'reasoning');
    matches(thought.id, /^rs_/, 'id of the reasoning');
    assert.deepEqual(thought.summary, []);
    assert.equal(thought.content[0].type, 'reasoning_text');
    checkUsage(r.usage);
    assert.equal((await client.responses.retrieve(r.id)).output_text, r.output_text, 'retrieved');
    const list = await respond({ input: [{ role: 'developer', content: 'Be kind.' }, { role: 'user', content: [{ type: 'input_text', text: question }] }], reasoning: { effort: 'low' }, store: false });
    matches(list.output_text, /Paris/);
    assert.ok(list.usage.output_tokens_details.reasoning_tokens < r.usage.output_tokens_details.reasoning_tokens, 'low effort');
    assert.ok((await client.responses.retrieve(list.id).catch((e) => e)) instanceof OpenAI.NotFoundError, 'store: false was stored');
    await client.responses.delete(r.id);
    assert.ok((await client.responses.retrieve(r.id).catch((e) => e)) instanceof OpenAI.NotFoundError, 'deleted, and still there');
  },

  async 'responses-stream'() {
    const whole = await respond({ seed: 1 });
    const { events, names, last } = await follow(await respond({ seed: 1, stream: true }));
    assert.equal(last.type, 'response.completed');
    assert.equal(last.response.status, 'completed');
    checkUsage(last.response.usage);
    assert.deepEqual(last.response.output.map((i) => i.type), whole.output.map((i) => i.type));
    assert.deepEqual(last.response.output.at(-1).content, whole.output.at(-1).content, 'the answer');
    const spoken = names.slice(names.indexOf('response.output_text.delta'));
    assert.deepEqual(spoken.filter((n) => n !== 'response.output_text.delta'),
      ['response.output_text.done', 'response.content_part.done', 'response.output_item.done', 'response.completed']);
    const begun = names.indexOf('response.output_text.delta');
    assert.deepEqual(names.slice(begun - 2, begun), ['response.output_item.added', 'response.content_part.added']);
    assert.ok(names.includes('response.reasoning_text.delta') && names.includes('response.reasoning_text.done'), 'no events of the reasoning');
    assert.ok(events.every((e) => !e.response || e.response.id === last.response.id), 'two ids');
    const helped = client.responses.stream({ ...ask, seed: 1 });
    assert.equal((await helped.finalResponse()).output_text, whole.output_text, 'the helper');
  },

  async 'responses-tools'() {
    const given = { input: [{ role: 'user', content: weatherQuestion }], tools: [weatherTool] };
    const r = await respond(given);
    const call = r.output.find((i) => i.type === 'function_call');
    assert.ok(call, `no call in ${JSON.stringify(r.output)}`);
    matches(call.id, /^fc_/, 'id');
    matches(call.call_id, /^call_/, 'call_id');
    assert.deepEqual([call.name, JSON.parse(call.arguments), call.status], ['get_weather', { location: 'Paris' }, 'completed']);
    assert.deepEqual([r.tools[0].type, r.tools[0].name], ['function', 'get_weather'], 'tools, echoed');
    const result = { type: 'function_call_output', call_id: call.call_id, output: weatherResult };
    matches((await respond({ ...given, input: [...given.input, ...r.output, result] })).output_text, /18/);
    matches((await respond({ ...given, input: [result], previous_response_id: r.id })).output_text, /18/);
    const { names, last } = await follow(await respond({ ...given, stream: true }));
    const at = names.indexOf('response.function_call_arguments.delta');
    assert.equal(names[at - 1], 'response.output_item.added');
    assert.deepEqual(names.slice(at).filter((n) => n !== 'response.function_call_arguments.delta'),
      ['response.function_call_arguments.done', 'response.output_item.done', 'response.completed']);
    assert.equal(last.response.output.at(-1).arguments, call.arguments);
    const forced = await respond({ tools: [weatherTool], tool_choice: { type: 'function', name: 'get_weather' }, input: 'Hello' });
    assert.equal(forced.output.find((i) => i.type === 'function_call').name, 'get_weather');
  },

  async 'responses-turns'() {
    const first = await respond();
    const second = await respond({ input: 'And of Japan?', previous_response_id: first.id });
    assert.equal(second.previous_response_id, first.id);
    matches(second.output_text, /Tokyo/);
    assert.ok(second.usage.input_tokens > first.usage.input_tokens, 'the first turn takes no tokens');
    const err = await respond({ previous_response_id: 'resp_none' }).catch((e) => e);
    assert.ok(err instanceof OpenAI.BadRequestError || err instanceof OpenAI.NotFoundError, `got ${err}`);
    assert.deepEqual([err.param, err.code], ['previous_response_id', 'previous_response_not_found']);
  },

  async 'responses-json'() {
    const r = await respond({ text: { format: { type: 'json_schema', name: 'report', strict: true, schema: reportSchema } } });
    checkReport(JSON.parse(r.output_text));
    assert.equal(r.text.format.type, 'json_schema');
    const parsed = await client.responses.parse({ ...ask, text: { format: zodTextFormat(Report, 'report') } });
    checkReport(parsed.output_parsed);
  },

  async 'responses-length'() {
    const r = await respond({ max_output_tokens: 16, reasoning: { effort: 'high' } });
    assert.equal(r.status, 'incomplete');
    assert.deepEqual(r.incomplete_details, { reason: 'max_output_tokens' });
    assert.ok(r.usage.output_tokens <= 16, `output_tokens ${r.usage.output_tokens}`);
    const { last } = await follow(await respond({ max_output_tokens: 16, reasoning: { effort: 'high' }, stream: true }));
    assert.equal(last.type, 'response.incomplete');
    assert.equal(last.response.status, 'incomplete');
  },
};
