// Anthropic's library against /v1/messages.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import Anthropic from '@anthropic-ai/sdk';
import { answer, serve, thought, weatherTool } from './serve.mjs';

let hello, weather;
const client = server => new Anthropic({ baseURL: server.url, apiKey: 'any', maxRetries: 0 });
const ask = { max_tokens: 100, messages: [{ role: 'user', content: 'Hi' }] };
before(async () => {
  [hello, weather] = await Promise.all([serve('hello'), serve('weather')]);
});
after(() => Promise.all([hello, weather].map(server => server?.stop())));

test('messages', async () => {
  const message = await client(hello).messages.create({ model: 'hello', system: 'Be kind.', ...ask });
  assert.deepEqual([message.type, message.role, message.stop_reason], ['message', 'assistant', 'end_turn']);
  assert.equal(message.content.find(({ type }) => type === 'text').text, answer);
  assert.equal(message.content.find(({ type }) => type === 'thinking').thinking.trim(), thought);
  assert.equal(message.usage.output_tokens, 15);
});

test('messages, streamed', async () => {
  const stream = client(hello).messages.stream({ model: 'hello', ...ask });
  let text = '';
  stream.on('text', delta => (text += delta));
  const message = await stream.finalMessage();
  assert.equal(text, answer);
  assert.equal(message.stop_reason, 'end_turn');
});

test('messages with tools', async () => {
  const { name, description, parameters } = weatherTool.function;
  const tools = [{ name, description, input_schema: parameters }];
  const message = await client(weather).messages.create({ model: 'weather', tools, ...ask });
  assert.equal(message.stop_reason, 'tool_use');
  const call = message.content.find(({ type }) => type === 'tool_use');
  assert.deepEqual([call.name, call.input], ['weather', { place: 'Paris', days: [1, 2] }]);
  const next = await client(weather).messages.create({
    model: 'weather',
    tools,
    max_tokens: 100,
    messages: [
      ...ask.messages,
      { role: 'assistant', content: message.content },
      { role: 'user', content: [{ type: 'tool_result', tool_use_id: call.id, content: 'rain' }] },
    ],
  });
  assert.equal(next.stop_reason, 'tool_use');
});

test('errors', async () => {
  await assert.rejects(
    client(hello).messages.create({ model: 'hello', max_tokens: 10, messages: [{ role: 'wizard', content: 'x' }] }),
    Anthropic.BadRequestError,
  );
});
