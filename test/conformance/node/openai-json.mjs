import assert from 'node:assert/strict';
import OpenAI from 'openai';
import { LengthFinishReasonError } from 'openai/core/error';
import { zodFunction, zodResponseFormat } from 'openai/helpers/zod';
import { z } from 'zod';
import { ask, checkReport, matches, question, reportSchema, user, weatherQuestion } from './kit.mjs';
import { client, complete, read } from './openai-chat.mjs';

const format = { type: 'json_schema', json_schema: { name: 'report', strict: true, schema: reportSchema } };

export const Report = z.object({
  city: z.enum(['Paris', 'Berlin', 'Tokyo']),
  size: z.number().int().min(1).max(99),
  capital: z.boolean(),
  note: z.string().regex(/^[a-z]{1,8}$/).nullable(),
  tags: z.array(z.enum(['big', 'old', 'new'])).min(1).max(3),
});

export default {
  async 'json-object'() {
    const given = { response_format: { type: 'json_object' }, messages: [{ role: 'system', content: 'Answer in JSON.' }, user(question)], max_completion_tokens: 400 };
    const [choice] = (await complete(given)).choices;
    // A model that was not made for it may fill an object without end; only then may it be cut.
    if (choice.finish_reason === 'length') matches(choice.message.content, /^\s*\{/);
    else assert.equal(Object.prototype.toString.call(JSON.parse(choice.message.content)), '[object Object]');
    const all = await read(await complete({ ...given, stream: true }));
    assert.equal(all.choices[0].content, choice.message.content, 'streamed');
  },

  async 'json-schema'() {
    for (const warm of [{}, { temperature: 1, seed: 1 }, { temperature: 1, seed: 2 }]) {
      const c = await complete({ ...warm, response_format: format });
      assert.equal(c.choices[0].finish_reason, 'stop');
      assert.equal(c.choices[0].message.refusal ?? null, null);
      checkReport(JSON.parse(c.choices[0].message.content));
      const all = await read(await complete({ ...warm, response_format: format, stream: true }));
      assert.equal(all.choices[0].content, c.choices[0].message.content, 'streamed');
    }
    for (const [schema, why] of [
      [{ ...reportSchema, not: {} }, 'a keyword that is not supported'],
      [{ type: 'object', properties: { a: { type: 'wrong' } }, required: ['a'], additionalProperties: false }, 'an unknown type'],
    ]) {
      const err = await complete({ response_format: { type: 'json_schema', json_schema: { name: 'bad', strict: true, schema } } }).catch((e) => e);
      assert.ok(err instanceof OpenAI.BadRequestError, `a strict schema with ${why}: got ${err}`);
      matches(err.param, /^response_format/, 'param');
    }
    const nameless = await complete({ response_format: { type: 'json_schema' } }).catch((e) => e);
    assert.ok(nameless instanceof OpenAI.BadRequestError, `no json_schema: got ${nameless}`);
  },

  async 'json-parse'() {
    const c = await client.chat.completions.parse({ ...ask, response_format: zodResponseFormat(Report, 'report') });
    checkReport(c.choices[0].message.parsed);
    const Weather = z.object({ location: z.enum(['Paris', 'London']) });
    const t = await client.chat.completions.parse({
      ...ask, messages: [user(weatherQuestion)], tools: [zodFunction({ name: 'get_weather', description: 'Get the current weather in a city', parameters: Weather })], tool_choice: 'required',
    });
    Weather.parse(t.choices[0].message.tool_calls[0].function.parsed_arguments);
    // An answer that is cut has nothing to parse, and the library has an error of its own for it.
    const cut = await client.chat.completions.parse({ ...ask, max_completion_tokens: 3, response_format: zodResponseFormat(Report, 'report') }).catch((e) => e);
    assert.ok(cut instanceof LengthFinishReasonError, `cut: got ${cut}`);
  },

  async 'json-stream'() {
    const stream = client.chat.completions.stream({ ...ask, response_format: zodResponseFormat(Report, 'report') });
    let snapshot;
    stream.on('content.delta', ({ parsed }) => { snapshot = parsed ?? snapshot; });
    const final = await stream.finalChatCompletion();
    checkReport(final.choices[0].message.parsed);
    assert.equal(snapshot?.city, final.choices[0].message.parsed.city);
  },
};
