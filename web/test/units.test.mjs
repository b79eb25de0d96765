// The parts of the page that can be tested without one.
import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import * as esbuild from 'esbuild';

const src = path.resolve(import.meta.dirname, '../src');

globalThis.navigator ??= { platform: 'Linux' };
async function load(file) {
  const { outputFiles } = await esbuild.build({
    entryPoints: [path.join(src, file)],
    bundle: true,
    write: false,
    format: 'esm',
    platform: 'neutral',
    mainFields: ['module', 'main'],
  });
  return import('data:text/javascript;base64,' + Buffer.from(outputFiles[0].contents).toString('base64'));
}

const { events } = await load('api/sse.ts');
const { errorOf } = await load('api/errors.ts');
const conversations = await load('chat/conversation.ts');
const { chatRequest, shortened, userText } = await load('chat/request.ts');
const { grow } = await load('chat/run.ts');
const { plainSettings, toolsProblem } = await load('chat/settings.ts');
const { fromJson, toJson, toMarkdown } = await load('chat/transfer.ts');
const format = await load('lib/format.ts');

function stream(...parts) {
  return new ReadableStream({
    start(controller) {
      for (const part of parts) controller.enqueue(typeof part === 'string' ? new TextEncoder().encode(part) : part);
      controller.close();
    },
  });
}

async function all(body) {
  const found = [];
  for await (const event of events(body)) found.push(event);
  return found;
}

test('server-sent events, however they are cut', async () => {
  const text = ': hello\r\n\r\ndata: {"a": "Zürich 数"}\n\ndata:two\rdata: lines\r\revent: x\nid: 1\ndata: last';
  const bytes = new TextEncoder().encode(text);
  const expected = ['{"a": "Zürich 数"}', 'two\nlines', 'last'];
  assert.deepEqual(await all(stream(bytes)), expected);
  assert.deepEqual(await all(stream(...Array.from(bytes, byte => new Uint8Array([byte])))), expected);
  for (let cut = 1; cut < bytes.length; ++cut)
    assert.deepEqual(await all(stream(bytes.slice(0, cut), bytes.slice(cut))), expected, `cut at ${cut}`);
  assert.deepEqual(await all(stream()), []);
});

test('errors of the API', () => {
  const body = (message, code = null) => JSON.stringify({ error: { message, type: 'invalid_request_error', code } });
  assert.equal(errorOf(400, body('too long', 'context_length_exceeded'), null).kind, 'context');
  assert.equal(errorOf(400, body('the maximum context length is 5'), null).kind, 'context');
  assert.equal(errorOf(400, body('no'), null).kind, 'request');
  assert.equal(errorOf(401, '', null).kind, 'key');
  assert.equal(errorOf(429, '', '7').retryAfter, 7);
  assert.equal(errorOf(429, '', '99999').retryAfter, 600);
  assert.ok(Math.abs(errorOf(503, '', new Date(Date.now() + 20_000).toUTCString()).retryAfter - 20) <= 1);
  assert.equal(errorOf(429, '', 'soon').retryAfter, undefined);
  assert.equal(errorOf(502, '<html>Bad gateway</html>', null).message, 'The server answered with status 502.');
  assert.equal(errorOf(500, 'plain words', null).message, 'plain words');
});

const empty = {
  id: 'a',
  parent: 'q',
  time: 1,
  role: 'assistant',
  content: '',
  reasoning: '',
  toolCalls: [],
  status: 'waiting',
};
const delta = (value, finish) => ({ choices: [{ index: 0, delta: value, finish_reason: finish ?? null }] });

test('an answer grows from chunks', () => {
  let turn = grow(empty, delta({ role: 'assistant', content: '' }), 5);
  assert.equal(turn.status, 'waiting');
  turn = grow(turn, delta({ reasoning_content: 'hm', reasoning: 'hm' }), 100);
  turn = grow(turn, delta({ reasoning: ' yes' }), 400);
  assert.deepEqual([turn.status, turn.reasoning, turn.firstMs, turn.thinkMs], ['thinking', 'hm yes', 100, 300]);
  turn = grow(turn, delta({ content: '\n\n' }), 500);
  turn = grow(turn, delta({ content: 'Hi\n' }), 600);
  turn = grow(turn, delta({ tool_calls: [{ index: 0, id: 'c', function: { name: 'f', arguments: '{"a"' } }] }), 650);
  turn = grow(
    turn,
    delta({
      tool_calls: [
        { index: 0, function: { arguments: ': 1}' } },
        { index: 1, id: 'd', function: { name: 'g' } },
      ],
    }),
    700,
  );
  turn = grow(turn, delta({}, 'tool_calls'), 700);
  assert.deepEqual([turn.status, turn.content, turn.thinkMs, turn.finish], ['answering', 'Hi\n', 400, 'tool_calls']);
  assert.deepEqual(
    turn.toolCalls.map(call => call.function),
    [
      { name: 'f', arguments: '{"a": 1}' },
      { name: 'g', arguments: '' },
    ],
  );
  assert.equal(grow(turn, { choices: [{ index: 1, delta: { content: 'other' } }] }, 800).content, 'Hi\n');
});

function talk() {
  let conversation = conversations.newConversation({ ...plainSettings });
  const add = (id, parent, more) =>
    (conversation = conversations.withTurn(conversation, { id, parent, time: 1, content: id, ...more }));
  add('q1', null, { role: 'user' });
  add('a1', 'q1', { ...empty, id: 'a1', parent: 'q1', content: 'first', status: 'done' });
  add('a2', 'q1', { ...empty, id: 'a2', parent: 'q1', content: 'second', reasoning: 'why', status: 'done' });
  add('q2', 'a2', { role: 'user' });
  return conversation;
}
const shown = conversation =>
  conversations
    .shownTurns(conversation)
    .map(turn => turn.id)
    .join(' ');

test('versions of turns', () => {
  let conversation = talk();
  assert.equal(shown(conversation), 'q1 a2 q2');
  conversation = conversations.withSibling(conversation, 'a2', -1);
  assert.equal(shown(conversation), 'q1 a1');
  assert.equal(shown(conversations.withSibling(conversation, 'a1', -1)), 'q1 a1');
  conversation = conversations.withSibling(conversation, 'a1', 1);
  assert.equal(shown(conversation), 'q1 a2 q2');
  conversation = conversations.withoutTurn(conversation, 'a2');
  assert.equal(shown(conversation), 'q1 a1');
  assert.equal('q2' in conversation.turns, false);
  assert.equal(conversations.titleOf(conversation), 'q1');
});

test('requests', () => {
  const turns = conversations.shownTurns(talk());
  const plain = chatRequest(turns, plainSettings, 'm');
  assert.deepEqual(plain, {
    model: 'm',
    messages: [
      { role: 'user', content: 'q1' },
      { role: 'assistant', content: 'second', reasoning_content: 'why' },
      { role: 'user', content: 'q2' },
    ],
  });
  const full = chatRequest(
    turns,
    {
      ...plainSettings,
      system: 'Be brief',
      temperature: 0,
      thinking: 0,
      stop: 'END\n\\n\\n',
      keepThinking: true,
      tools: '[{"name": "f"}]',
      schema: '{"type": "object"}',
    },
    undefined,
  );
  assert.deepEqual(full.messages[0], { role: 'system', content: 'Be brief' });
  assert.deepEqual([full.messages[2].reasoning_content, full.keep_reasoning], ['why', true]);
  assert.deepEqual(
    [full.temperature, full.max_thinking_tokens, full.stop, full.tools],
    [0, 0, ['END', '\n\n'], [{ name: 'f' }]],
  );
  assert.equal(full.response_format.json_schema.schema.type, 'object');
  assert.equal('model' in full, false);
  assert.notEqual(toolsProblem('[{}]'), '');
  assert.notEqual(toolsProblem('{'), '');
  assert.equal('tools' in chatRequest(turns, { ...plainSettings, tools: '{' }, undefined), false);
  const user = content => ({ role: 'user', content });
  assert.deepEqual(
    shortened([user('1'), {}, user('2'), {}, user('3')]).map(turn => turn.content),
    ['3'],
  );
  assert.deepEqual(
    shortened([user('1')]).map(turn => turn.content),
    ['1'],
  );
  assert.equal(
    userText({ content: 'Why?', attachments: [{ name: 'a.md', text: '```\nx\n```\n' }] }),
    'a.md:\n````\n```\nx\n```\n````\n\nWhy?',
  );
});

test('conversations as files', () => {
  const conversation = talk();
  const [read] = fromJson(toJson([conversation]));
  assert.deepEqual(read, conversation);
  assert.match(toMarkdown(conversation), /# q1\n\n## You\n\nq1\n\n## Assistant\n\n<details><summary>Thinking/);
  for (const [text, problem] of [
    ['no', /not JSON/],
    ['{}', /not exported/],
    ['null', /not exported/],
    ['{"format":"minimax-chat","conversations":[{}]}', /no turns/],
    [
      '{"format":"minimax-chat","conversations":[{"turns":{"a":{"id":"a","content":"x","role":"wizard"}}}]}',
      /role "wizard"/,
    ],
    [
      '{"format":"minimax-chat","conversations":[{"turns":{"a":{"id":"a","parent":"a","content":"x","role":"user"}}}]}',
      /comes before/,
    ],
  ])
    assert.throws(() => fromJson(text), problem);
  const [odd] = fromJson(
    '{"format":"minimax-chat","conversations":[{"id":"../x","turns":{},"settings":{"temperature":"hot","seed":3}}]}',
  );
  assert.match(odd.id, /^[a-z0-9]+$/);
  assert.deepEqual([odd.settings.temperature, odd.settings.seed], [null, 3]);
});

test('numbers and times', () => {
  assert.deepEqual([0, 999, 1200, 40960, 1_048_576, 2_000_000].map(format.shortCount), [
    '0',
    '999',
    '1.2k',
    '41k',
    '1.05M',
    '2M',
  ]);
  assert.deepEqual([512, 2048, 81920, 1000].map(format.budget), ['512', '2k', '80k', '1k']);
  assert.deepEqual([40, 9960, 59_400, 125_000, 3_780_000].map(format.duration), [
    '0.0 s',
    '10 s',
    '59 s',
    '2 min 5 s',
    '1 h 3 min',
  ]);
  const noon = new Date(2026, 4, 20, 12).getTime();
  assert.deepEqual(
    [0, 1, 3, 20, 300].map(days => format.dayGroup(noon - days * 86_400_000, noon)),
    ['Today', 'Yesterday', 'This week', 'This month', 'July 2025'],
  );
});
