// LangChain's ChatOpenAI against the server.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { HumanMessage, SystemMessage, ToolMessage } from '@langchain/core/messages';
import { ChatOpenAI } from '@langchain/openai';
import { answer, serve, weatherTool } from './serve.mjs';

let hello, weather;
before(async () => {
  [hello, weather] = await Promise.all([serve('hello'), serve('weather')]);
});
after(() => Promise.all([hello, weather].map(server => server?.stop())));
const chat = server =>
  new ChatOpenAI({ model: 'any', apiKey: 'any', maxRetries: 0, configuration: { baseURL: `${server.url}/v1` } });

test('invoke', async () => {
  const message = await chat(hello).invoke([new SystemMessage('Be kind.'), new HumanMessage('Hi')]);
  assert.equal(message.text, answer);
  assert.equal(message.usage_metadata.output_tokens, 15);
});

test('stream', async () => {
  let text = '';
  let last;
  for await (const chunk of await chat(hello).stream('Hi')) {
    text += chunk.text;
    last = last ? last.concat(chunk) : chunk;
  }
  assert.equal(text, answer);
  assert.equal(last.usage_metadata.output_tokens, 15);
});

test('batch', async () => {
  const messages = await chat(hello).batch(['one', 'two', 'three']);
  assert.deepEqual(
    messages.map(message => message.text),
    [answer, answer, answer],
  );
});

test('tools', async () => {
  const model = chat(weather).bindTools([weatherTool]);
  const message = await model.invoke('Hi');
  assert.deepEqual(
    message.tool_calls.map(({ name, args }) => [name, args]),
    [['weather', { place: 'Paris', days: [1, 2] }]],
  );
  const next = await model.invoke([
    new HumanMessage('Hi'),
    message,
    new ToolMessage({ tool_call_id: message.tool_calls[0].id, content: 'rain' }),
  ]);
  assert.equal(next.tool_calls.length, 1);
});
