// `minimax serve` over a model whose words are known, for clients to talk with.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import process from 'node:process';

const { MINIMAX_ROOT: root, MINIMAX_PROGRAM: program, MINIMAX_TESTDATA: testdata } = process.env;

/** What the models say. Every word is a token of its own, and is said once. */
export const scripts = {
  hello: [
    '<think>',
    '\nI ',
    'wonder ',
    'who ',
    'this is.',
    '\n</think>\n\n',
    'Hello',
    ', ',
    '世界',
    '! ',
    'How ',
    'are ',
    'you',
    '?',
  ],
  weather: [
    '<think>',
    '\nLook it up.',
    '\n</think>\n\n',
    '<tool_calls>\n',
    '{"name": "weather", ',
    '"arguments": {"place": "Paris", "days": [1, 2]}}',
    '\n</tool_calls>',
  ],
  thinker: ['<think>', '\nhm ', 'well ', 'but '],
  endless: ['and ', 'so ', 'on ', 'it ', 'goes, '],
};

/** Starts a server for one of the scripts; `flags` are added to its command line. */
export async function serve(script, ...flags) {
  const folder = mkdtempSync(path.join(tmpdir(), 'minimax-clients-'));
  const words = JSON.stringify(scripts[script]);
  execFileSync(
    'python3',
    [
      '-B',
      '-c',
      `import json, sys; sys.path.insert(0, sys.argv[1]); import scripted_model
scripted_model.write(sys.argv[2], json.loads(sys.argv[3]), sys.argv[4] == "True")`,
      path.join(root, 'tests/cli'),
      folder,
      words,
      ['endless', 'thinker'].includes(script) ? 'True' : 'False',
    ],
    { env: { ...process.env, MINIMAX_PROGRAM: program, MINIMAX_TESTDATA: testdata } },
  );
  const child = spawn(
    program,
    ['serve', folder, '--name', script, '--port', '0', '--access-log', '-', '--threads', '1', ...flags],
    { env: { PATH: process.env.PATH, HOME: folder }, stdio: ['ignore', 'pipe', 'pipe'] },
  );
  const server = { log: '', url: '' };
  child.stderr.on('data', data => (server.log += data));
  const ended = new Promise(resolve => child.on('close', (code, signal) => resolve(code ?? signal)));
  await new Promise((resolve, reject) => {
    let said = '';
    child.stdout.on('data', data => {
      said += data;
      const found = /serving at (http:\S+)/.exec(said);
      if (found) resolve((server.url = found[1]));
    });
    void ended.then(code => reject(new Error(`minimax serve ended with ${code}: ${server.log}`)));
  });
  /** Lines of the access log. */
  server.requests = () =>
    server.log
      .split('\n')
      .filter(line => line.startsWith('{'))
      .map(line => JSON.parse(line));
  server.stop = async () => {
    child.kill('SIGTERM');
    const code = await ended;
    rmSync(folder, { recursive: true, force: true });
    assert.equal(code, 0, server.log);
  };
  return server;
}

/** Asks again until `check` no longer throws. */
export async function eventually(check, ms = 600_000) {
  for (const end = Date.now() + ms; ; await new Promise(resolve => setTimeout(resolve, 20)))
    try {
      return await check();
    } catch (error) {
      if (Date.now() > end) throw error;
    }
}

export const thought = scripts.hello.slice(1, 5).join('').trim();
export const answer = scripts.hello.slice(6).join('');
export const weatherTool = {
  type: 'function',
  function: {
    name: 'weather',
    description: 'The weather of a place.',
    parameters: {
      type: 'object',
      properties: { place: { type: 'string' }, days: { type: 'array', items: { type: 'integer' } } },
      required: ['place'],
      additionalProperties: false,
    },
  },
};
