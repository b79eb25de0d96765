// Answers that must have a form, by three clients. The model's own words fit none of these forms: the server's masks make
// them.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { ChatOpenAI } from '@langchain/openai';
import { generateText, Output } from 'ai';
import OpenAI from 'openai';
import { zodResponseFormat, zodTextFormat } from 'openai/helpers/zod';
import { z } from 'zod';
import { serve, weatherTool } from './serve.mjs';

let hello;
let openai;
const messages = [{ role: 'user', content: 'Hi' }];
// Bounded, so that a model that babbles comes to an end.
const Verdict = z.object({ ok: z.boolean(), grade: z.enum(['good', 'bad']), marks: z.array(z.boolean()).max(3) });
before(async () => {
  hello = await serve('hello');
  openai = new OpenAI({ baseURL: `${hello.url}/v1`, apiKey: 'any', maxRetries: 0 });
});
after(() => hello?.stop());

test('openai: parse', async () => {
  const {
    choices: [{ message, finish_reason }],
  } = await openai.chat.completions.parse({
    model: 'hello',
    messages,
    response_format: zodResponseFormat(Verdict, 'verdict'),
  });
  assert.deepEqual(Verdict.parse(message.parsed), message.parsed);
  assert.equal(finish_reason, 'stop');
  // The thinking stayed free.
  assert.match(message.reasoning_content, /I wonder/);
});

test('openai: a schema that is not supported is refused by name', async () => {
  const schema = { type: 'object', properties: { a: { type: 'string', contentEncoding: 'base64', not: {} } } };
  await assert.rejects(
    openai.chat.completions.create({
      model: 'hello',
      messages,
      response_format: { type: 'json_schema', json_schema: { name: 'x', schema } },
    }),
    error => error instanceof OpenAI.BadRequestError && /"?not"?/.test(error.message),
  );
});

test('openai: tools that must be called', async () => {
  for (const tool_choice of ['required', { type: 'function', function: { name: 'weather' } }]) {
    const parameters = {
      type: 'object',
      properties: { place: { enum: ['Paris', 'Rome'] } },
      required: ['place'],
      additionalProperties: false,
    };
    const {
      choices: [{ message, finish_reason }],
    } = await openai.chat.completions.create({
      model: 'hello',
      messages,
      tool_choice,
      parallel_tool_calls: false,
      tools: [{ type: 'function', function: { ...weatherTool.function, parameters } }],
    });
    assert.equal(finish_reason, 'tool_calls');
    assert.equal(message.tool_calls.length, 1);
    assert.equal(message.tool_calls[0].function.name, 'weather');
    assert.ok(['Paris', 'Rome'].includes(JSON.parse(message.tool_calls[0].function.arguments).place));
  }
});

test('openai: responses', async () => {
  const response = await openai.responses.parse({
    model: 'hello',
    input: 'Hi',
    text: { format: zodTextFormat(Verdict, 'verdict') },
  });
  assert.deepEqual(Verdict.parse(response.output_parsed), response.output_parsed);
});

test('langchain: withStructuredOutput', async () => {
  const model = new ChatOpenAI({
    model: 'hello',
    apiKey: 'any',
    maxRetries: 0,
    configuration: { baseURL: `${hello.url}/v1` },
  });
  const verdict = await model.withStructuredOutput(Verdict, { name: 'verdict', method: 'jsonSchema' }).invoke('Hi');
  assert.deepEqual(Verdict.parse(verdict), verdict);
});

test('ai: an object as output', async () => {
  const model = createOpenAICompatible({
    name: 'minimax',
    baseURL: `${hello.url}/v1`,
    supportsStructuredOutputs: true,
  })('hello');
  const { output } = await generateText({
    model,
    prompt: 'Hi',
    output: Output.object({ schema: Verdict }),
    maxRetries: 0,
  });
  assert.deepEqual(Verdict.parse(output), output);
});
