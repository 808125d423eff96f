// The official OpenAI client against a running model; one JSON line of result.
//
//   node client.mjs chat|stream|models|load|crowd [COUNT]
//
// OPENAI_BASE_URL, OPENAI_API_KEY and MODEL say where, with what key, and whom to ask.
import OpenAI from 'openai';

const client = new OpenAI({ maxRetries: Number(process.env.RETRIES ?? 0), timeout: 30_000 });
const ask = {
  model: process.env.MODEL,
  messages: [
    { role: 'system', content: 'Answer shortly.' },
    { role: 'user', content: 'Hello! Who are you?' },
  ],
  max_tokens: 200,
};

const commands = {
  async chat() {
    const c = await client.chat.completions.create(ask);
    const { message, finish_reason } = c.choices[0];
    return { id: c.id, object: c.object, model: c.model, role: message.role, content: message.content, finish_reason, usage: c.usage };
  },

  async stream() {
    const stream = await client.chat.completions.create({ ...ask, stream: true, stream_options: { include_usage: true } });
    const result = { content: '', chunks: 0, ids: [], finish_reason: null, usage: null };
    for await (const chunk of stream) {
      if (!result.ids.includes(chunk.id)) result.ids.push(chunk.id);
      result.usage = chunk.usage ?? result.usage;
      const choice = chunk.choices[0];
      if (!choice) continue;
      if (choice.delta.content) {
        result.content += choice.delta.content;
        result.chunks++;
      }
      result.finish_reason = choice.finish_reason ?? result.finish_reason;
    }
    return result;
  },

  async models() {
    const models = await client.models.list();
    return { models: models.data.map((m) => m.id) };
  },

  // load sends COUNT streamed requests one after the other and counts the failures.
  async load(count) {
    const result = { ok: 0, failed: 0, errors: [] };
    for (let i = 0; i < count; i++) {
      try {
        const { content, finish_reason } = await commands.stream();
        if (!content || !finish_reason) throw new Error('the stream ended early');
        result.ok++;
      } catch (err) {
        result.failed++;
        result.errors.push(String(err));
      }
    }
    return result;
  },

  // crowd keeps COUNT long requests going until it is asked to end, and counts the failures.
  async crowd(count) {
    const result = { ok: 0, failed: 0, errors: [] };
    let going = true;
    process.once('SIGTERM', () => (going = false));
    const one = async () => {
      while (going) {
        try {
          const stream = await client.chat.completions.create({ ...ask, stream: true, ignore_eos: true, max_tokens: 1000 });
          let finished = false;
          for await (const chunk of stream) finished ||= Boolean(chunk.choices[0]?.finish_reason);
          if (!finished) throw new Error('the stream ended early');
          result.ok++;
        } catch (err) {
          result.failed++;
          result.errors.push(String(err));
        }
      }
    };
    await Promise.all(Array.from({ length: count }, one));
    return result;
  },
};

try {
  const result = await commands[process.argv[2]](Number(process.argv[3] ?? 1));
  console.log(JSON.stringify(result));
} catch (err) {
  console.log(JSON.stringify({ status: err.status, code: err.code, type: err.type, error: err.message }));
}
