// The official OpenAI library against the server.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import OpenAI from 'openai';
import { answer, eventually, serve, thought, weatherTool } from './serve.mjs';

let hello, weather, endless;
const client = (server, more) => new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'any', maxRetries: 0, ...more });
const messages = [{ role: 'user', content: 'Hi' }];

before(async () => {
  [hello, weather, endless] = await Promise.all([
    serve('hello'),
    serve('weather'),
    serve('endless', '--max-running', '1', '--max-waiting', '1'),
  ]);
});
after(() => Promise.all([hello, weather, endless].map(server => server?.stop())));

test('models', async () => {
  const { data } = await client(hello).models.list();
  assert.deepEqual(
    data.map(({ id, object }) => [id, object]),
    [['hello', 'model']],
  );
  assert.equal((await client(hello).models.retrieve('hello')).id, 'hello');
});

test('chat', async () => {
  const {
    choices: [choice],
    usage,
    object,
    model,
    id,
  } = await client(hello).chat.completions.create({ model: 'hello', messages });
  assert.equal(choice.message.content, answer);
  assert.equal(choice.message.reasoning_content, thought);
  assert.equal(choice.message.role, 'assistant');
  assert.equal(choice.finish_reason, 'stop');
  assert.equal(object, 'chat.completion');
  assert.equal(model, 'hello');
  assert.match(id, /^chatcmpl-/);
  assert.equal(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens);
  // 14 words and the end; 6 of them are the thinking with its tags.
  assert.equal(usage.completion_tokens, 15);
  assert.ok(usage.completion_tokens_details.reasoning_tokens >= 4, JSON.stringify(usage));
});

test('a conversation: earlier turns, parts, developer and system', async () => {
  const {
    choices: [{ message }],
    usage,
  } = await client(hello).chat.completions.create({
    model: 'hello',
    messages: [
      { role: 'developer', content: 'Be kind.' },
      {
        role: 'user',
        content: [
          { type: 'text', text: 'Hi' },
          { type: 'text', text: ' there' },
        ],
      },
      { role: 'assistant', content: 'Hello!', reasoning_content: 'short' },
      { role: 'user', content: 'Again' },
    ],
  });
  assert.equal(message.content, answer);
  assert.ok(usage.prompt_tokens > 20);
});

test('streaming', async () => {
  const stream = await client(hello).chat.completions.create({
    model: 'hello',
    messages,
    stream: true,
    stream_options: { include_usage: true },
  });
  let content = '',
    reasoning = '',
    finish,
    usage,
    chunks = 0;
  const ids = new Set();
  for await (const chunk of stream) {
    ++chunks;
    ids.add(chunk.id);
    assert.equal(chunk.object, 'chat.completion.chunk');
    if (chunk.usage) usage = chunk.usage;
    const [choice] = chunk.choices;
    content += choice?.delta.content ?? '';
    reasoning += choice?.delta.reasoning_content ?? '';
    finish = choice?.finish_reason ?? finish;
  }
  assert.deepEqual([content, reasoning.trim(), finish, ids.size], [answer, thought, 'stop', 1]);
  assert.equal(usage.completion_tokens, 15);
  assert.ok(chunks >= 10, `${chunks} chunks`);
});

test('the helper that gathers a stream', async () => {
  const runner = client(hello).chat.completions.stream({ model: 'hello', messages });
  let said = '';
  runner.on('content', delta => (said += delta));
  assert.equal(await runner.finalContent(), answer);
  assert.equal(said, answer);
});

test('limits: stop strings, max_tokens, thinking', async () => {
  const ask = async more =>
    (await client(hello).chat.completions.create({ model: 'hello', messages, ...more })).choices[0];
  const stopped = await ask({ stop: ['世界'] });
  assert.deepEqual([stopped.message.content, stopped.finish_reason], ['Hello, ', 'stop']);
  const short = await ask({ max_completion_tokens: 8 });
  assert.deepEqual([short.message.content, short.finish_reason], ['Hello, ', 'length']);
  const budget = await ask({ max_thinking_tokens: 2 });
  assert.equal(budget.message.reasoning_content.trim().split(' ').length <= 2, true, budget.message.reasoning_content);
});

test('several answers, and their log-probabilities', async () => {
  const { choices } = await client(hello).chat.completions.create({
    model: 'hello',
    messages,
    n: 3,
    logprobs: true,
    top_logprobs: 2,
    seed: 7,
  });
  assert.deepEqual(
    choices.map(({ index, message }) => [index, message.content]),
    [0, 1, 2].map(index => [index, answer]),
  );
  for (const {
    logprobs: { content },
  } of choices) {
    assert.ok(content.length >= 8);
    for (const { token, logprob, bytes, top_logprobs } of content) {
      assert.equal(typeof token, 'string');
      assert.ok(logprob <= 0 && Array.isArray(bytes) && top_logprobs.length === 2);
    }
  }
});

test('the same seed, the same words', async () => {
  const ask = async seed =>
    (
      await client(endless).chat.completions.create({
        model: 'endless',
        messages,
        seed,
        max_tokens: 30,
        temperature: 2,
        top_p: 1,
        logit_bias: {},
      })
    ).choices[0].message.content;
  assert.equal(await ask(5), await ask(5));
});

test('tools', async () => {
  const openai = client(weather);
  const {
    choices: [{ message, finish_reason }],
  } = await openai.chat.completions.create({ model: 'weather', messages, tools: [weatherTool] });
  assert.equal(finish_reason, 'tool_calls');
  const [call] = message.tool_calls;
  assert.deepEqual([message.tool_calls.length, call.type, call.function.name], [1, 'function', 'weather']);
  assert.deepEqual(JSON.parse(call.function.arguments), { place: 'Paris', days: [1, 2] });
  assert.ok(call.id);
  // The result goes back, and the model speaks again.
  const next = await openai.chat.completions.create({
    model: 'weather',
    tools: [weatherTool],
    messages: [...messages, message, { role: 'tool', tool_call_id: call.id, content: '{"rain": true}' }],
  });
  assert.equal(next.choices[0].finish_reason, 'tool_calls');
});

test('tools, streamed and run by the library', async () => {
  const openai = client(weather);
  const stream = await openai.chat.completions.create({
    model: 'weather',
    messages,
    tools: [weatherTool],
    stream: true,
  });
  let name = '',
    args = '',
    finish;
  for await (const {
    choices: [choice],
  } of stream) {
    name += choice?.delta.tool_calls?.[0]?.function?.name ?? '';
    args += choice?.delta.tool_calls?.[0]?.function?.arguments ?? '';
    finish = choice?.finish_reason ?? finish;
  }
  assert.deepEqual([name, JSON.parse(args), finish], ['weather', { place: 'Paris', days: [1, 2] }, 'tool_calls']);

  const asked = [];
  const runner = openai.chat.completions.runTools(
    {
      model: 'weather',
      messages,
      tools: [
        {
          type: 'function',
          function: { ...weatherTool.function, parse: JSON.parse, function: given => (asked.push(given), 'rain') },
        },
      ],
    },
    { maxChatCompletions: 2 },
  );
  await runner.done().catch(() => {});
  assert.deepEqual(asked[0], { place: 'Paris', days: [1, 2] });
});

test('errors are the library’s own', async () => {
  const openai = client(hello);
  const failing = more => openai.chat.completions.create({ model: 'hello', messages, ...more });
  await assert.rejects(
    failing({ temperature: 'hot' }),
    error => error instanceof OpenAI.BadRequestError && /temperature/.test(error.message) && error.status === 400,
  );
  await assert.rejects(failing({ messages: [] }), OpenAI.BadRequestError);
  await assert.rejects(
    failing({ messages: [{ role: 'wizard', content: 'x' }] }),
    error => error instanceof OpenAI.BadRequestError && /wizard/.test(error.message),
  );
  await assert.rejects(
    failing({ messages: [{ role: 'user', content: 'long '.repeat(100_000) }] }),
    error => error instanceof OpenAI.BadRequestError && error.code === 'context_length_exceeded',
  );
  await assert.rejects(openai.models.retrieve('other'), OpenAI.NotFoundError);
  await assert.rejects(openai.get('/nothing'), OpenAI.NotFoundError);
  // A bad request fails alone.
  assert.equal((await failing({})).choices[0].message.content, answer);
});

test('a full queue is 429, and asked again by the library', async () => {
  const openai = client(endless);
  const abort = new AbortController();
  const ask = more =>
    openai.chat.completions.create(
      { model: 'endless', messages, stream: true, max_tokens: 100_000, ...more },
      { signal: abort.signal },
    );
  const running = await ask();
  await running[Symbol.asyncIterator]().next(); // it is being answered
  const waiting = ask().catch(() => {});
  let refused;
  await eventually(async () => {
    refused = await ask().then(
      () => undefined,
      error => error,
    );
    assert.ok(refused instanceof OpenAI.RateLimitError, String(refused));
  });
  assert.ok(Number(refused.headers.get('retry-after')) >= 1);
  abort.abort();
  await waiting;
  const { choices } = await client(endless, { maxRetries: 5 }).chat.completions.create({
    model: 'endless',
    messages,
    max_tokens: 3,
  });
  assert.equal(choices[0].finish_reason, 'length');
});

test('an abort frees the server', async () => {
  const stream = await client(endless).chat.completions.create({
    model: 'endless',
    messages,
    stream: true,
    max_tokens: 1_000_000,
  });
  let pieces = 0;
  for await (const _ of stream) if (++pieces === 20) break;
  await eventually(() => assert.ok(endless.requests().at(-1).client_gone, JSON.stringify(endless.requests().at(-1))));
  await client(endless).chat.completions.create({ model: 'endless', messages, max_tokens: 3 });
});

test('an API key', async () => {
  const server = await serve('hello', '--api-key', 'right');
  try {
    await assert.rejects(client(server).models.list(), OpenAI.AuthenticationError);
    assert.equal((await client(server, { apiKey: 'right' }).models.list()).data.length, 1);
  } finally {
    await server.stop();
  }
});

test('completions', async () => {
  const {
    choices: [choice],
    usage,
  } = await client(endless).completions.create({ model: 'endless', prompt: 'and ', max_tokens: 5, temperature: 0 });
  assert.equal(choice.text, 'so on it goes, and ');
  assert.equal(usage.completion_tokens, 5);
});
