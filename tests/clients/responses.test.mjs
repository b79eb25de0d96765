// OpenAI's Responses API, by the official library.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import OpenAI from 'openai';
import { answer, serve, weatherTool } from './serve.mjs';

let hello, weather;
const client = server => new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'any', maxRetries: 0 });
before(async () => {
  [hello, weather] = await Promise.all([serve('hello'), serve('weather')]);
});
after(() => Promise.all([hello, weather].map(server => server?.stop())));

test('responses', async () => {
  const response = await client(hello).responses.create({ model: 'hello', instructions: 'Be kind.', input: 'Hi' });
  assert.equal(response.output_text, answer);
  assert.deepEqual([response.object, response.status], ['response', 'completed']);
  assert.equal(response.usage.output_tokens, 15);
  assert.ok(response.output.some(({ type }) => type === 'reasoning'));
});

test('responses, streamed', async () => {
  let text = '';
  const types = new Set();
  for await (const event of await client(hello).responses.create({
    model: 'hello',
    input: [{ role: 'user', content: 'Hi' }],
    stream: true,
  })) {
    types.add(event.type);
    if (event.type === 'response.output_text.delta') text += event.delta;
  }
  assert.equal(text, answer);
  for (const type of ['response.created', 'response.output_text.done', 'response.completed'])
    assert.ok(types.has(type), [...types].join(' '));
});

test('responses with tools', async () => {
  const { name, description, parameters } = weatherTool.function;
  const response = await client(weather).responses.create({
    model: 'weather',
    input: 'Hi',
    tools: [{ type: 'function', name, description, parameters, strict: false }],
  });
  const call = response.output.find(({ type }) => type === 'function_call');
  assert.deepEqual([call.name, JSON.parse(call.arguments)], ['weather', { place: 'Paris', days: [1, 2] }]);
});
