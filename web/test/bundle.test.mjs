// The committed bundle is what these sources give, and the sources are well typed.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { test } from 'node:test';

const here = path.resolve(import.meta.dirname, '..');
const committed = path.join(process.env.MINIMAX_ROOT, 'web/dist');

const files = folder =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter(entry => entry.isFile())
    .map(entry => path.relative(folder, path.join(entry.parentPath, entry.name)))
    .sort();

test('web/dist is the bundle of web/src (else: npm run build in web/, and commit it)', () => {
  execFileSync(process.execPath, ['build.mjs', '--out', 'made'], { cwd: here, stdio: 'inherit' });
  const made = path.join(here, 'made');
  assert.deepEqual(files(committed), files(made));
  for (const file of files(made))
    assert.ok(readFileSync(path.join(made, file)).equals(readFileSync(path.join(committed, file))), `${file} differs`);
});

test('types agree', () => {
  execFileSync(process.execPath, ['node_modules/typescript/bin/tsc', '--noEmit'], { cwd: here, stdio: 'inherit' });
});

test('the bundle stays small', () => {
  const scripts = files(committed).filter(file => file.endsWith('.js'));
  const bytes = pattern =>
    scripts
      .filter(file => pattern.test(file))
      .reduce((sum, file) => sum + readFileSync(path.join(committed, file)).length, 0);
  assert.ok(bytes(/\/app-/) < 120_000, `the page itself: ${bytes(/\/app-/)} bytes`);
  assert.ok(bytes(/./) < 900_000, `all scripts: ${bytes(/./)} bytes`);
});

test('nothing of it names another server', () => {
  for (const file of files(committed).filter(name => /\.(html|css)$/.test(name)))
    assert.doesNotMatch(
      readFileSync(path.join(committed, file), 'utf8'),
      /(?:src|href|url)\s*[=(]\s*["']?(?:https?:)?\/\//,
      file,
    );
});

test('formatted (else: npm run format in web/)', () => {
  const files = ['web/src', 'web/test', 'web/build.mjs', 'tests/web', 'tests/clients', 'tests/node'];
  const prettier = path.join(here, 'node_modules/prettier/bin/prettier.cjs');
  execFileSync(process.execPath, [prettier, '--check', '--log-level=warn', ...files, '!**/*.json'], {
    cwd: process.env.MINIMAX_ROOT,
    stdio: 'inherit',
  });
});
