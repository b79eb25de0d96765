// Code with its words coloured: highlight.js with the languages that people ask models about.
import hljs from 'highlight.js/lib/common';
import cmake from 'highlight.js/lib/languages/cmake';
import dockerfile from 'highlight.js/lib/languages/dockerfile';
import haskell from 'highlight.js/lib/languages/haskell';
import julia from 'highlight.js/lib/languages/julia';
import latex from 'highlight.js/lib/languages/latex';
import matlab from 'highlight.js/lib/languages/matlab';
import nginx from 'highlight.js/lib/languages/nginx';
import protobuf from 'highlight.js/lib/languages/protobuf';
import scala from 'highlight.js/lib/languages/scala';
import x86asm from 'highlight.js/lib/languages/x86asm';

for (const [name, language] of Object.entries({
  cmake,
  dockerfile,
  haskell,
  julia,
  latex,
  matlab,
  nginx,
  protobuf,
  scala,
  x86asm,
}))
  hljs.registerLanguage(name, language);

const LONGEST = 200_000; // characters; longer code stays plain rather than stop the page

/** HTML of the code, or undefined for a language that is not known. */
export function highlight(code: string, language: string): string | undefined {
  if (!language || code.length > LONGEST || !hljs.getLanguage(language)) return undefined;
  return hljs.highlight(code, { language, ignoreIllegals: true }).value;
}

const names: Record<string, string> = {
  cpp: 'C++',
  cs: 'C#',
  csharp: 'C#',
  js: 'JavaScript',
  ts: 'TypeScript',
  py: 'Python',
  sh: 'Shell',
  bash: 'Bash',
  md: 'Markdown',
  yml: 'YAML',
  tex: 'LaTeX',
  rs: 'Rust',
  rb: 'Ruby',
  text: 'Text',
  txt: 'Text',
};

export function languageName(language: string): string {
  return names[language] ?? hljs.getLanguage(language)?.name ?? language;
}
