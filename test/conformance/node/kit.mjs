// What the clients for Node share: the questions, a few assertions, and the loop that plays scenarios and prints a JSON
// line for each.
import assert from 'node:assert/strict';

export const url = process.env.CONFORMANCE_URL;
export const limitedUrl = process.env.CONFORMANCE_LIMITED_URL;
export const key = process.env.CONFORMANCE_KEY || 'none';
export const model = process.env.CONFORMANCE_MODEL;

export const question = 'What is the capital of France?';
export const user = (content) => ({ role: 'user', content });
/** The least that a chat completion needs, without chance in it. */
export const ask = { model, temperature: 0, messages: [user(question)] };

export const weatherQuestion = 'What is the weather in Paris?';
export const weatherResult = '{"temperature":18,"condition":"sunny"}';
export const weatherParameters = {
  type: 'object',
  properties: { location: { type: 'string' } },
  required: ['location'],
  additionalProperties: false,
};
export const weatherFunction = { name: 'get_weather', description: 'Get the current weather in a city', parameters: weatherParameters };
export const weatherTool = { type: 'function', function: weatherFunction };
/** A function whose arguments are bounded, whatever a model fills them with. */
export const lampFunction = {
  name: 'set_lamp',
  description: 'Switch a lamp',
  parameters: {
    type: 'object',
    properties: { room: { type: 'string', enum: ['kitchen', 'hall'] }, on: { type: 'boolean' }, level: { type: 'integer', minimum: 0, maximum: 10 } },
    required: ['room', 'on', 'level'],
    additionalProperties: false,
  },
};
export const lampTool = { type: 'function', function: lampFunction };

/** A schema in OpenAI's strict subset of which every instance is short, so that no model can ramble in it. */
export const reportSchema = {
  type: 'object',
  properties: {
    city: { type: 'string', enum: ['Paris', 'Berlin', 'Tokyo'] },
    size: { type: 'integer', minimum: 1, maximum: 99 },
    capital: { type: 'boolean' },
    note: { anyOf: [{ type: 'string', pattern: '^[a-z]{1,8}$' }, { type: 'null' }] },
    tags: { type: 'array', items: { $ref: '#/$defs/tag' }, minItems: 1, maxItems: 3 },
  },
  required: ['city', 'size', 'capital', 'note', 'tags'],
  additionalProperties: false,
  $defs: { tag: { type: 'string', enum: ['big', 'old', 'new'] } },
};

/** Checks what reportSchema says. */
export function checkReport(report) {
  assert.deepEqual(Object.keys(report), ['city', 'size', 'capital', 'note', 'tags'], 'keys, in the order of the schema');
  assert.ok(['Paris', 'Berlin', 'Tokyo'].includes(report.city), `city ${report.city}`);
  assert.ok(Number.isInteger(report.size) && report.size >= 1 && report.size <= 99, `size ${report.size}`);
  assert.equal(typeof report.capital, 'boolean', 'capital');
  assert.ok(report.note === null || /^[a-z]{1,8}$/.test(report.note), `note ${report.note}`);
  assert.ok(Array.isArray(report.tags) && report.tags.length >= 1 && report.tags.length <= 3, `tags ${report.tags}`);
  for (const tag of report.tags) assert.ok(['big', 'old', 'new'].includes(tag), `tag ${tag}`);
}

export function checkLamp(args) {
  assert.deepEqual(Object.keys(args).sort(), ['level', 'on', 'room'], 'keys of the arguments');
  assert.ok(['kitchen', 'hall'].includes(args.room), `room ${args.room}`);
  assert.equal(typeof args.on, 'boolean', 'on');
  assert.ok(Number.isInteger(args.level) && args.level >= 0 && args.level <= 10, `level ${args.level}`);
}

let salt = 0;
/** A prompt that takes a server a while and is in no cache. */
export const longQuestion = (repeats = 600) =>
  `${process.pid}.${process.hrtime.bigint()}.${salt++} ` + `${question} `.repeat(repeats);

export const matches = (text, pattern, what = 'text') => assert.ok(pattern.test(text ?? ''), `${what} is ${JSON.stringify(text)}, want ${pattern}`);

/** Waits for a promise to be rejected and returns why. */
export async function fails(promise) {
  let value;
  try {
    value = await promise;
  } catch (err) {
    return err;
  }
  assert.fail(`no error, but ${JSON.stringify(value)?.slice(0, 200)}`);
}

/** Usage adds up, in the words of the chat API. */
export function checkUsage(usage) {
  assert.ok(usage, 'usage is missing');
  assert.ok(usage.prompt_tokens > 0 && usage.completion_tokens > 0, `usage ${JSON.stringify(usage)}`);
  assert.equal(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens, 'total_tokens');
  assert.ok(usage.prompt_tokens_details.cached_tokens >= 0, 'cached_tokens');
  assert.ok(usage.completion_tokens_details.reasoning_tokens >= 0, 'reasoning_tokens');
}

const root = () => url.replace(/\/v1$/, '');

/** What the server tells about itself, or null where it is not a gptoss-server. */
async function state() {
  const headers = { authorization: `Bearer ${key}` };
  const health = await fetch(`${root()}/v1/health`, { headers }).catch(() => null);
  if (!health?.ok) return null;
  const { active_requests: active } = await health.json();
  const metrics = await (await fetch(`${root()}/v1/metrics`, { headers })).text();
  let cancelled = 0;
  let ended = 0;
  for (const [, status, count] of metrics.matchAll(/^gpt_oss_request_count\{status="(\w+)"\} (\d+)/gm)) {
    ended += Number(count);
    if (status === 'cancelled') cancelled = Number(count);
  }
  return { active, cancelled, ended };
}

/**
 * Runs leave, which must leave a request in its middle, and waits until the server has noticed. On a slow machine the client
 * may be gone before its request is on its way; then it leaves again.
 */
export async function noticed(leave) {
  for (let attempt = 0; attempt < 5; attempt++) {
    const before = await state();
    await leave();
    if (!before) return;
    const begun = Date.now();
    for (;;) {
      const now = await state();
      if (now.active <= before.active && now.ended > before.ended) {
        assert.ok(now.cancelled > before.cancelled, 'the server counts a request as ended, but not as cancelled');
        return;
      }
      if (now.active <= before.active && Date.now() > begun + 2_000) break;
      assert.ok(Date.now() < begun + 10_000, `10 s later the server still has ${now.active} active requests`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
  assert.fail('no request reached the server before its client left');
}

/** Plays the scenarios that the arguments name. */
export async function play(scenarios) {
  for (const name of process.argv.slice(2)) {
    const begun = process.hrtime.bigint();
    const line = { scenario: name, ok: true };
    let alarm;
    const late = new Promise((_, reject) => {
      alarm = setTimeout(() => reject(new Error('it did not end within 60 s')), 60_000);
    });
    try {
      assert.ok(scenarios[name], 'this client has no such scenario');
      await Promise.race([scenarios[name](), late]);
    } catch (err) {
      line.ok = false;
      line.error = describe(err);
    }
    clearTimeout(alarm);
    line.seconds = Number(process.hrtime.bigint() - begun) / 1e9;
    console.log(JSON.stringify(line));
  }
  process.exit(0); // what a failed scenario left open must not keep the process
}

function describe(err) {
  const where = (err.stack ?? '').split('\n').find((l) => /[a-z-]+\.mjs:\d+/.test(l) && !l.includes('node_modules') && !l.includes('kit.mjs'));
  const place = where?.match(/([a-z-]+\.mjs:\d+)/)?.[1];
  const kind = err.constructor?.name && !['Error', 'AssertionError'].includes(err.constructor.name) ? `${err.constructor.name}: ` : '';
  return `${place ? `${place}: ` : ''}${kind}${String(err.message).slice(0, 1500)}`;
}
