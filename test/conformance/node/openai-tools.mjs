import assert from 'node:assert/strict';
import { ask, checkLamp, lampFunction, lampTool, matches, user, weatherFunction, weatherQuestion, weatherResult, weatherTool } from './kit.mjs';
import { client, complete } from './openai-chat.mjs';

const withWeather = { messages: [user(weatherQuestion)], tools: [weatherTool], tool_choice: 'auto' };

function checkCall(call) {
  matches(call.id, /^call_\w+$/, 'id of the call');
  assert.equal(call.type, 'function');
  assert.equal(call.function.name, 'get_weather');
  assert.deepEqual(JSON.parse(call.function.arguments), { location: 'Paris' });
}

/** Sends the function's result and checks that the answer is made of it. */
async function goOn(message) {
  const c = await complete({
    ...withWeather,
    messages: [...withWeather.messages, message, { role: 'tool', tool_call_id: message.tool_calls[0].id, content: weatherResult }],
  });
  matches(c.choices[0].message.content, /18/);
  assert.equal(c.choices[0].finish_reason, 'stop');
}

export default {
  async tools() {
    const [choice] = (await complete({ ...withWeather, parallel_tool_calls: false })).choices;
    assert.equal(choice.finish_reason, 'tool_calls');
    assert.equal(choice.message.content, null);
    assert.equal(choice.message.tool_calls.length, 1);
    checkCall(choice.message.tool_calls[0]);
    await goOn(choice.message);
    const unneeded = await complete({ tools: [weatherTool] });
    matches(unneeded.choices[0].message.content, /Paris/);
    await complete({ tools: [] });
  },

  async 'tools-stream'() {
    const call = { id: '', type: '', function: { name: '', arguments: '' } };
    let pieces = 0;
    let finish = null;
    for await (const chunk of await complete({ ...withWeather, stream: true })) {
      const [choice] = chunk.choices;
      finish = choice.finish_reason ?? finish;
      assert.equal(choice.delta.content || '', '', 'content beside a call');
      for (const d of choice.delta.tool_calls ?? []) {
        assert.equal(d.index, 0);
        if (pieces++ > 0) assert.equal(d.id ?? d.type ?? d.function.name, undefined, 'id, type or name in a later piece');
        call.id += d.id ?? '';
        call.type += d.type ?? '';
        call.function.name += d.function.name ?? '';
        call.function.arguments += d.function.arguments ?? '';
      }
    }
    assert.equal(finish, 'tool_calls');
    assert.ok(pieces > 1, 'the call came in one piece');
    checkCall(call);
    await goOn({ role: 'assistant', content: null, tool_calls: [call] });
    const stream = client.chat.completions.stream({ ...ask, ...withWeather });
    checkCall((await stream.finalMessage()).tool_calls[0]);
  },

  async 'tools-loop'() {
    for (const stream of [false, true]) {
      const places = [];
      const runner = client.chat.completions.runTools({
        ...ask,
        messages: [user(weatherQuestion)],
        stream,
        tools: [{
          type: 'function',
          function: { ...weatherFunction, parse: JSON.parse, function: ({ location }) => { places.push(location); return weatherResult; } },
        }],
      });
      matches(await runner.finalContent(), /18/);
      assert.deepEqual(places, ['Paris']);
    }
  },

  async 'tool-required'() {
    for (const stream of [false, true]) {
      const c = await client.chat.completions.stream({ ...ask, messages: [user('Hello')], tools: [weatherTool, lampTool], tool_choice: 'required' }).finalChatCompletion();
      const whole = stream ? c : await complete({ messages: [user('Hello')], tools: [weatherTool, lampTool], tool_choice: 'required' });
      const [choice] = whole.choices;
      assert.equal(choice.finish_reason, 'tool_calls');
      const [call] = choice.message.tool_calls;
      const args = JSON.parse(call.function.arguments);
      if (call.function.name === 'set_lamp') checkLamp(args);
      else assert.deepEqual([call.function.name, typeof args.location], ['get_weather', 'string']);
    }
  },

  async 'tool-named'() {
    const named = { messages: [user(weatherQuestion)], tools: [weatherTool, lampTool], tool_choice: { type: 'function', function: { name: 'set_lamp' } } };
    const [choice] = (await complete(named)).choices;
    // OpenAI says stop here, since the model did not decide to call; others say tool_calls.
    assert.ok(['stop', 'tool_calls'].includes(choice.finish_reason), `finish_reason ${choice.finish_reason}`);
    assert.equal(choice.message.tool_calls.length, 1);
    assert.equal(choice.message.tool_calls[0].function.name, 'set_lamp');
    checkLamp(JSON.parse(choice.message.tool_calls[0].function.arguments));
  },

  async 'tool-none'() {
    const [choice] = (await complete({ ...withWeather, tool_choice: 'none' })).choices;
    assert.equal(choice.message.tool_calls, undefined);
    assert.equal(choice.finish_reason, 'stop');
    matches(choice.message.content, /\w/);
  },

  async 'tool-strict'() {
    const tools = [{ type: 'function', function: { ...lampFunction, strict: true } }, { type: 'function', function: { ...weatherFunction, strict: true } }];
    const [choice] = (await complete({ messages: [user(weatherQuestion)], tools })).choices;
    checkCall(choice.message.tool_calls[0]);
    const forced = await complete({ messages: [user('Hello')], tools, tool_choice: { type: 'function', function: { name: 'set_lamp' } }, temperature: 1, seed: 5 });
    checkLamp(JSON.parse(forced.choices[0].message.tool_calls[0].function.arguments));
  },
};
