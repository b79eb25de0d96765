// Bundles src/ into dist/: `node build.mjs`, or with --watch. `--out DIR` writes elsewhere.
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import * as esbuild from 'esbuild';

const root = path.dirname(fileURLToPath(import.meta.url));
const option = name => process.argv.indexOf(name);
const out = option('--out') > 0 ? path.resolve(process.argv[option('--out') + 1]) : path.join(root, 'dist');

// A sum over the sources, by which cmake/web_page.cmake and the tests see whether a bundle is theirs.
function sourcesSum() {
  const names = readdirSync(path.join(root, 'src'), { recursive: true, withFileTypes: true })
    .filter(entry => entry.isFile())
    .map(entry => path.relative(root, path.join(entry.parentPath ?? entry.path, entry.name)));
  names.push('build.mjs', 'package-lock.json', 'package.json', 'tsconfig.json');
  const sum = data => createHash('sha256').update(data).digest('hex');
  return sum(
    names
      .sort()
      .map(name => `${sum(readFileSync(path.join(root, name)))}  ${name}\n`)
      .join(''),
  );
}

// KaTeX offers each font as woff2, woff and ttf; every browser that runs this page reads woff2.
const woff2Only = {
  name: 'woff2-only',
  setup(build) {
    build.onLoad({ filter: /katex\.min\.css$/ }, ({ path: file }) => ({
      contents: readFileSync(file, 'utf8').replace(/,url\([^)]*\.(?:woff|ttf)\) format\("[a-z]+"\)/g, ''),
      loader: 'css',
    }));
  },
};

// index.html names the hashed files; every license asks that its text go along with the code.
const page = {
  name: 'page',
  setup(build) {
    build.onStart(() => {
      rmSync(out, { recursive: true, force: true });
      mkdirSync(out, { recursive: true });
    });
    build.onEnd(({ metafile, errors }) => {
      if (errors.length) return;
      const made = Object.keys(metafile.outputs).map(file => path.relative(out, path.resolve(root, file)));
      const find = pattern => made.find(file => pattern.test(file)) ?? fail(`no output matches ${pattern}`);
      const html = readFileSync(path.join(root, 'src/index.html'), 'utf8').replace(
        /\{(theme|app)\.(js|css)\}/g,
        (_, name, kind) => find(new RegExp(`^assets/${name}-\\w+\\.${kind}$`)),
      );
      writeFileSync(path.join(out, 'index.html'), html);
      writeFileSync(path.join(out, 'favicon.svg'), readFileSync(path.join(root, 'src/favicon.svg')));
      writeFileSync(path.join(out, 'licenses.txt'), licenses(metafile));
      writeFileSync(path.join(out, 'sources.sha256'), sourcesSum() + '\n');
    });
  },
};

function fail(text) {
  throw new Error(text);
}

function licenses(metafile) {
  const names = new Set();
  for (const input of Object.keys(metafile.inputs)) {
    const found = /node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(input);
    if (found) names.add(found[1]);
  }
  return [...names]
    .sort()
    .map(name => {
      const folder = path.join(root, 'node_modules', name);
      const { version, license } = JSON.parse(readFileSync(path.join(folder, 'package.json'), 'utf8'));
      const file = readdirSync(folder).find(entry => /^licen[cs]e/i.test(entry));
      const text = file ? readFileSync(path.join(folder, file), 'utf8').trim() : `License: ${license}`;
      return `${name} ${version} (${license})\n\n${text}\n`;
    })
    .join('\n' + '-'.repeat(80) + '\n\n');
}

const options = {
  absWorkingDir: root,
  entryPoints: { app: 'src/main.tsx', theme: 'src/theme/early.ts' },
  outdir: out,
  bundle: true,
  splitting: true,
  format: 'esm',
  minify: true,
  target: 'es2022',
  charset: 'utf8',
  jsx: 'automatic',
  jsxImportSource: 'preact',
  legalComments: 'none',
  metafile: true,
  entryNames: 'assets/[name]-[hash]',
  chunkNames: 'assets/[name]-[hash]',
  assetNames: 'assets/[name]-[hash]',
  loader: { '.woff2': 'file' },
  plugins: [woff2Only, page],
  logLevel: 'warning',
};

if (option('--watch') > 0) {
  await (await esbuild.context(options)).watch();
  console.log(`watching; the bundle is in ${out}`);
} else {
  await esbuild.build(options);
}
