// Every field of a chat request that the official library types: taken, or refused by its name.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { serve, weatherTool } from './serve.mjs';

let hello;
before(async () => {
  hello = await serve('hello');
});
after(() => hello?.stop());

const messages = [{ role: 'user', content: 'Hi' }];
const { function: weather } = weatherTool;

/** field: [values that are taken, values that are refused, and the places they are refused at]. */
const fields = {
  messages: [
    [messages],
    [
      ['Hi', 'messages'],
      [[], 'messages'],
      [[5], 'messages[0]'],
    ],
  ],
  model: [['hello', 'another'], [[5, 'model']]],
  audio: [[null], [[{ format: 'wav', voice: 'alloy' }, 'audio']]],
  frequency_penalty: [
    [0.5, -2],
    [
      [3, 'frequency_penalty'],
      ['x', 'frequency_penalty'],
    ],
  ],
  function_call: [
    ['none', 'auto'],
    [
      ['x', 'function_call'],
      [{ name: 'x' }, 'function_call.name'],
      [5, 'function_call'],
    ],
  ],
  functions: [
    [[weather]],
    [
      [{}, 'functions'],
      [[{ name: 5 }], 'functions[0].name'],
    ],
  ],
  logit_bias: [
    [{ 5: -1 }, null],
    [
      [{ 5: 'x' }, 'logit_bias.5'],
      [[], 'logit_bias'],
      [{ 9999: 1 }, 'logit_bias.9999'],
    ],
  ],
  logprobs: [[true, null], [['x', 'logprobs']]],
  max_completion_tokens: [
    [5, null],
    [
      ['x', 'max_completion_tokens'],
      [1.5, 'max_completion_tokens'],
    ],
  ],
  max_tokens: [[5, null], [['x', 'max_tokens']]],
  metadata: [
    [{ a: 'b' }, null],
    [
      [{ a: 5 }, 'metadata.a'],
      ['x', 'metadata'],
    ],
  ],
  modalities: [
    [['text'], null],
    [
      [['audio'], 'modalities[0]'],
      ['text', 'modalities'],
    ],
  ],
  moderation: [[null], [[{ model: 'x' }, 'moderation']]],
  n: [
    [2, null],
    [
      [0, 'n'],
      ['x', 'n'],
    ],
  ],
  parallel_tool_calls: [[true, false], [['x', 'parallel_tool_calls']]],
  prediction: [
    [{ type: 'content', content: 'x' }, { type: 'content', content: [{ type: 'text', text: 'x' }] }, null],
    [
      ['x', 'prediction'],
      [{ type: 'x' }, 'prediction.type'],
      [{ type: 'content', content: 5 }, 'prediction.content'],
    ],
  ],
  presence_penalty: [[0.5], [[-3, 'presence_penalty']]],
  prompt_cache_key: [['x', null], [[5, 'prompt_cache_key']]],
  prompt_cache_options: [[{ mode: 'implicit', ttl: '30m' }], [[{ mode: 'x' }, 'prompt_cache_options.mode']]],
  prompt_cache_retention: [
    ['in_memory', '24h', null],
    [
      ['x', 'prompt_cache_retention'],
      [5, 'prompt_cache_retention'],
    ],
  ],
  reasoning_effort: [
    ['none', 'minimal', 'low', 'medium', 'high', 'xhigh', null],
    [
      ['x', 'reasoning_effort'],
      [5, 'reasoning_effort'],
    ],
  ],
  response_format: [
    [
      { type: 'text' },
      { type: 'json_object' },
      { type: 'json_schema', json_schema: { name: 'x', schema: { type: 'integer' } } },
    ],
    [
      [{ type: 'x' }, 'response_format.type'],
      [{ type: 'json_schema', json_schema: { name: 'x', strict: 'x' } }, 'response_format.json_schema.strict'],
    ],
  ],
  safety_identifier: [['x', null], [[5, 'safety_identifier']]],
  seed: [
    [5, -5, null],
    [
      ['x', 'seed'],
      [1.5, 'seed'],
    ],
  ],
  service_tier: [
    ['auto', 'default', 'flex', 'scale', 'priority', 'fast', null],
    [
      ['x', 'service_tier'],
      [5, 'service_tier'],
    ],
  ],
  stop: [
    ['x', ['x', 'y'], null],
    [
      [5, 'stop'],
      [['x', 5], 'stop[1]'],
    ],
  ],
  store: [[true, null], [['x', 'store']]],
  stream: [[false, null], [['x', 'stream']]],
  stream_options: [
    [{ include_usage: true, include_obfuscation: false }, null],
    [
      [{ include_usage: 5 }, 'stream_options.include_usage'],
      [{ include_obfuscation: 'x' }, 'stream_options.include_obfuscation'],
    ],
  ],
  temperature: [
    [0, 2, null],
    [
      ['x', 'temperature'],
      [-1, 'temperature'],
    ],
  ],
  tool_choice: [
    ['none', 'auto'],
    [
      ['x', 'tool_choice'],
      [{ type: 'custom', custom: { name: 'x' } }, 'tool_choice.type'],
    ],
  ],
  tools: [
    [[weatherTool]],
    [
      [{}, 'tools'],
      [[{ type: 'custom', custom: { name: 'x' } }], 'tools[0].type'],
    ],
  ],
  top_logprobs: [
    [0, null],
    [
      [21, 'top_logprobs'],
      ['x', 'top_logprobs'],
    ],
  ],
  top_p: [
    [0.5, null],
    [
      [2, 'top_p'],
      ['x', 'top_p'],
    ],
  ],
  user: [['x'], [[5, 'user']]],
  verbosity: [
    ['low', 'medium', 'high', null],
    [
      ['x', 'verbosity'],
      [5, 'verbosity'],
    ],
  ],
  web_search_options: [[null], [[{}, 'web_search_options']]],
};

test('the table has the fields that the library types', () => {
  const types = readFileSync(
    path.join(import.meta.dirname, 'node_modules/openai/resources/chat/completions/completions.d.ts'),
    'utf8',
  );
  const [, body] = /export interface ChatCompletionCreateParamsBase \{\n(.*?)\n\}/s.exec(types);
  const typed = [...body.replaceAll(/\/\*.*?\*\//gs, '').matchAll(/^ {4}(\w+)\??:/gm)].map(([, name]) => name);
  assert.ok(typed.length > 30, typed.join());
  assert.deepEqual(typed.toSorted(), Object.keys(fields).toSorted());
});

for (const [field, [taken, refused]] of Object.entries(fields))
  test(field, async () => {
    const ask = value =>
      fetch(`${hello.url}/v1/chat/completions`, {
        method: 'POST',
        body: JSON.stringify({ model: 'hello', messages, max_tokens: 1, [field]: value }),
      });
    for (const value of taken) {
      const response = await ask(value);
      assert.equal(response.status, 200, `${JSON.stringify(value)}: ${await response.text()}`);
    }
    for (const [value, param] of refused) {
      const response = await ask(value);
      const { error } = await response.json();
      assert.deepEqual([response.status, error?.param], [400, param], JSON.stringify(value));
      assert.equal(error.type, 'invalid_request_error');
    }
  });
