// The AI SDK, by its provider for OpenAI-compatible servers.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { generateText, jsonSchema, streamText, tool } from 'ai';
import { answer, serve, thought, weatherTool } from './serve.mjs';

let hello, weather;
before(async () => {
  [hello, weather] = await Promise.all([serve('hello'), serve('weather')]);
});
after(() => Promise.all([hello, weather].map(server => server?.stop())));
const model = (server, name) =>
  createOpenAICompatible({ name: 'minimax', baseURL: `${server.url}/v1`, includeUsage: true })(name);

test('generateText', async () => {
  const { text, reasoningText, usage, finishReason } = await generateText({
    model: model(hello, 'hello'),
    prompt: 'Hi',
    maxRetries: 0,
  });
  assert.deepEqual([text, reasoningText.trim(), finishReason, usage.outputTokens], [answer, thought, 'stop', 15]);
});

test('streamText', async () => {
  const result = streamText({ model: model(hello, 'hello'), prompt: 'Hi', maxRetries: 0 });
  let text = '',
    reasoning = '';
  for await (const part of result.fullStream) {
    assert.notEqual(part.type, 'error', String(part.error));
    if (part.type === 'text-delta') text += part.text;
    if (part.type === 'reasoning-delta') reasoning += part.text;
  }
  assert.deepEqual([text, reasoning.trim()], [answer, thought]);
  assert.equal((await result.usage).outputTokens, 15);
});

test('tools', async () => {
  const asked = [];
  const { toolCalls, finishReason } = await generateText({
    model: model(weather, 'weather'),
    prompt: 'Hi',
    maxRetries: 0,
    tools: {
      weather: tool({
        description: 'The weather of a place.',
        inputSchema: jsonSchema(weatherTool.function.parameters),
        execute: async given => (asked.push(given), 'rain'),
      }),
    },
  });
  assert.equal(finishReason, 'tool-calls');
  assert.deepEqual(
    toolCalls.map(({ toolName, input }) => [toolName, input]),
    [['weather', { place: 'Paris', days: [1, 2] }]],
  );
  assert.deepEqual(asked, [{ place: 'Paris', days: [1, 2] }]);
});
