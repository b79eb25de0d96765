// A server that serves web/dist as the program does and answers as its API does, with answers made for tests: what the
// last message asks for decides which. By hand: `node mock_server.mjs [port]`, then say "show me everything".
import { createServer } from 'node:http';
import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import * as texts from './mock_texts.mjs';

const root = process.env.MINIMAX_ROOT ?? path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
const types = {
  html: 'text/html; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  css: 'text/css; charset=utf-8',
  txt: 'text/plain; charset=utf-8',
  svg: 'image/svg+xml',
  woff2: 'font/woff2',
};

// The headers that the program sends, read from where they are written.
const webHeaders = () => {
  const source = readFileSync(path.join(root, 'src/server/web_page.h'), 'utf8');
  const list = source.slice(source.indexOf('kWebHeaders'));
  return [...list.matchAll(/\{"([\w-]+)",\s*((?:"[^"]*"\s*)+)\}/g)].map(([, name, value]) => [
    name,
    [...value.matchAll(/"([^"]*)"/g)].map(match => match[1]).join(''),
  ]);
};

const pieces = text => text.match(/\s*\S{1,6}|\s+$/g) ?? [];
const sleep = ms => new Promise(resolve => setTimeout(resolve, ms));

/** What to say to a conversation: {reasoning, content, calls, finish, status, ...}. */
function script(body, server) {
  const last = body.messages.at(-1);
  const text = String(last.content);
  const asked = word => text.toLowerCase().includes(word);
  if (body.continue_final_message) return { content: 'going on.' };
  if (last.role === 'tool') return { content: `The tool says ${text}. So take an umbrella.` };
  if (asked('busy') && server.busy-- > 0)
    return {
      status: 429,
      error: { message: 'Too many requests are waiting (8 of 8).', type: 'rate_limit_error', code: 'rate_limited' },
      headers: { 'Retry-After': '1' },
    };
  if (asked('context') && body.messages.length > 1)
    return {
      status: 400,
      error: {
        message: 'This model’s context is 4096 tokens, but the messages have 5210.',
        type: 'invalid_request_error',
        code: 'context_length_exceeded',
      },
    };
  if (asked('refuse'))
    return {
      status: 400,
      error: {
        message: 'temperature is 9, expected 0 to 2',
        type: 'invalid_request_error',
        param: 'temperature',
        code: null,
      },
    };
  if (asked('break')) return { status: 500, error: { message: 'The engine threw.', type: 'server_error', code: null } };
  if (asked('cut')) return { reasoning: 'Something is about to happen.', content: 'This answer will be ', cut: true };
  if (asked('weather'))
    return {
      reasoning: 'I should look it up.',
      calls: [{ name: 'weather', arguments: '{"place": "Paris", "days": [1, 2]}' }],
      finish: 'tool_calls',
    };
  if (asked('everything')) return { reasoning: texts.thinking, content: texts.everything };
  if (asked('hostile')) return { content: texts.hostile };
  if (asked('endless'))
    return { reasoning: 'Counting. ', content: Array.from({ length: 5000 }, (_, n) => `number ${n}, `).join('') };
  if (asked('ponder')) return { reasoning: 'Hmm, let me see. '.repeat(400), content: 'Done pondering.' };
  if (asked('limit')) return { content: 'This goes on and', finish: 'length' };
  if (asked('echo'))
    return {
      content:
        '```json\n' +
        JSON.stringify(
          {
            ...body,
            messages: body.messages.map(({ role, content, reasoning_content }) => ({
              role,
              content,
              reasoning_content,
            })),
          },
          null,
          2,
        ) +
        '\n```',
    };
  if (asked('empty')) return { reasoning: 'Nothing comes to mind.', content: '' };
  return {
    reasoning: `The user says “${text.slice(0, 40)}”. I will answer briefly.\n\nLet me think of a friendly answer.`,
    content: `You said: *${text.slice(0, 200)}*. This is answer number ${++server.answers}.`,
  };
}

async function complete(server, body, response) {
  const {
    status,
    error,
    headers,
    reasoning = '',
    content = '',
    calls = [],
    finish = 'stop',
    cut,
  } = script(body, server);
  if (error) {
    response.writeHead(status, { 'Content-Type': 'application/json', ...headers });
    return response.end(JSON.stringify({ error }));
  }
  const id = `chatcmpl-${++server.ids}`;
  const live = { end: false };
  server.live.set(id, live);
  const chunk = (delta, more = {}) => ({
    id,
    object: 'chat.completion.chunk',
    created: 1,
    model: body.model ?? 'mock-m1',
    choices: [{ index: 0, delta, finish_reason: null, ...more }],
  });
  response.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-cache' });
  let open = true;
  response.on('close', () => {
    open = false;
    if (!response.writableFinished) ++server.aborted;
  });
  let sent = 0;
  const say = async data => {
    while (sent >= server.hold && open && !live.end) await sleep(5);
    if (!open) return;
    ++sent;
    response.write(`data: ${JSON.stringify(data)}\n\n`);
    if (server.delay) await sleep(server.delay);
  };
  const start = Date.now();
  await say(chunk({ role: 'assistant', content: '' }));
  const budget = body.max_thinking_tokens ?? Infinity;
  let thought = 0;
  for (const piece of pieces(reasoning)) {
    if (thought === budget || live.end || !open) break;
    ++thought;
    await say(chunk({ reasoning_content: piece }));
  }
  let said = 0;
  for (const piece of pieces(content)) {
    if (!open) break;
    ++said;
    await say(chunk({ content: piece }));
  }
  if (cut) {
    // What a page has not read yet when the connection breaks is lost to it: a test that wants it seen holds the cut.
    while ((server.hold !== Infinity || response.writableLength > 0) && open) await sleep(5);
    return response.destroy();
  }
  for (const [index, call] of calls.entries()) {
    await say(
      chunk({
        tool_calls: [{ index, id: `call_${index}`, type: 'function', function: { name: call.name, arguments: '' } }],
      }),
    );
    for (const piece of pieces(call.arguments))
      await say(chunk({ tool_calls: [{ index, function: { arguments: piece } }] }));
  }
  await say(chunk({}, { finish_reason: finish }));
  const prompt = Math.ceil(JSON.stringify(body.messages).length / 4);
  const tokens = thought + said;
  await say({
    id,
    object: 'chat.completion.chunk',
    created: 1,
    model: body.model ?? 'mock-m1',
    choices: [],
    usage: {
      prompt_tokens: prompt,
      completion_tokens: tokens,
      total_tokens: prompt + tokens,
      prompt_tokens_details: { cached_tokens: prompt >> 1 },
      completion_tokens_details: { reasoning_tokens: thought },
    },
    timings: {
      cache_n: prompt >> 1,
      prompt_n: prompt - (prompt >> 1),
      prompt_ms: 12,
      predicted_n: tokens,
      predicted_ms: Date.now() - start,
      predicted_per_second: (1000 * tokens) / Math.max(Date.now() - start, 1),
    },
  });
  server.live.delete(id);
  response.end('data: [DONE]\n\n');
}

/**
 * Starts it; `delay` ms lie between tokens, and no answer gets more than `hold` of them before that is changed: what a
 * test does while an answer is being made must not be a race. What tests look at and change lies in the object returned.
 */
export async function startMock({
  port = 0,
  delay = 0,
  hold = Infinity,
  key = '',
  below = '',
  dist = path.join(root, 'web/dist'),
} = {}) {
  const server = {
    delay,
    hold,
    key,
    busy: 0,
    answers: 0,
    ids: 0,
    aborted: 0,
    requests: [],
    live: new Map(),
    models: ['mock-m1', 'mock-m1-small'],
    down: false,
  };
  const files = new Map(
    readdirSync(dist, { recursive: true, withFileTypes: true })
      .filter(entry => entry.isFile())
      .map(entry => {
        const file = path.join(entry.parentPath ?? entry.path, entry.name);
        return ['/' + path.relative(dist, file), file];
      }),
  );
  const headers = webHeaders();
  const http = createServer((request, response) => {
    if (server.down) return request.destroy();
    // As behind a proxy that gives the server a path of its own.
    if (!request.url.startsWith(below)) return request.destroy();
    const url = new URL(request.url.slice(below.length), 'http://mock');
    const json = (status, value) => {
      response.writeHead(status, { 'Content-Type': 'application/json' });
      response.end(JSON.stringify(value));
    };
    if (request.method === 'GET' && !url.pathname.startsWith('/v1')) {
      const file = files.get(url.pathname === '/' ? '/index.html' : url.pathname);
      if (!file) return json(404, { error: { message: `no ${url.pathname}` } });
      for (const [name, value] of headers) response.setHeader(name, value);
      response.setHeader('Content-Type', types[path.extname(file).slice(1)]);
      return response.end(readFileSync(file));
    }
    if (server.key && request.headers.authorization !== `Bearer ${server.key}`)
      return json(401, { error: { message: 'Wrong or missing API key', type: 'authentication_error' } });
    if (url.pathname === '/v1/models')
      return json(200, {
        object: 'list',
        data: server.models.map(id => ({ id, object: 'model', max_model_len: 4096 })),
      });
    let body = '';
    request
      .on('data', data => (body += data))
      .on('end', () => {
        const parsed = JSON.parse(body || '{}');
        if (url.pathname === '/v1/chat/completions') {
          server.requests.push(parsed);
          return void complete(server, parsed, response);
        }
        if (url.pathname === '/v1/chat/completions/control') {
          const live = server.live.get(parsed.id);
          if (live) live.end = true;
          return json(live ? 200 : 404, { ok: Boolean(live) });
        }
        return json(404, { error: { message: `no ${url.pathname}` } });
      });
  });
  await new Promise(resolve => http.listen(port, '127.0.0.1', resolve));
  server.url = `http://127.0.0.1:${http.address().port}${below}`;
  server.close = () => (http.closeAllConnections(), new Promise(resolve => http.close(resolve)));
  return server;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { url } = await startMock({ port: Number(process.argv[2] ?? 8089), delay: 15 });
  console.log(url);
}
