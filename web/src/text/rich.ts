// Markdown, code and mathematics as DOM. Loaded apart from the page (300 kB), when the first answer needs it.
import createDOMPurify from 'dompurify';
import katex from 'katex';
import MarkdownIt from 'markdown-it';
import { highlight, languageName } from './highlight';
import { math, placeholder } from './math';

// No HTML of the model's: it is shown as text. No images either: to load one is to tell its server what was said here.
const md = new MarkdownIt({ html: false, linkify: true }).use(math).disable('image');
md.linkify.set({ fuzzyLink: false, fuzzyEmail: false });
const { escapeHtml } = md.utils;

md.renderer.rules.fence = (tokens, index) => {
  const { content, info } = tokens[index];
  const language = info
    .trim()
    .split(/[\s{,:]/)[0]
    .toLowerCase();
  if (language === 'math') return `<p>${placeholder(content, true)}</p>\n`;
  return codeBlock(content.replace(/\n$/, ''), language);
};
md.renderer.rules.code_block = (tokens, index) => codeBlock(tokens[index].content.replace(/\n$/, ''), '');

function codeBlock(code: string, language: string): string {
  const label = language ? languageName(language) : 'Code';
  return (
    `<figure class="code"><figcaption><span>${escapeHtml(label)}</span>` +
    '<button type="button" class="wrap" aria-pressed="false">Wrap</button><button type="button" class="copy">Copy</button>' +
    `</figcaption><pre tabindex="0" role="group" aria-label="${escapeHtml(label)}"><code>${highlight(code, language) ?? escapeHtml(code)}</code></pre></figure>\n`
  );
}

md.renderer.rules.table_open = () => '<div class="table" tabindex="0" role="group" aria-label="Table"><table>\n';
md.renderer.rules.table_close = () => '</table></div>\n';
// A column's alignment as a class: the page's policy forbids style attributes.
for (const rule of ['th_open', 'td_open'] as const)
  md.renderer.rules[rule] = (tokens, index) => {
    const side = /text-align:(\w+)/.exec(tokens[index].attrGet('style')?.toString() ?? '')?.[1];
    return `<${tokens[index].tag}${side ? ` class="${side}"` : ''}>`;
  };
// The page's own heading is the first level: an answer's begin at the second and go down one at a time, whatever the model
// wrote; their looks are the model's.
md.core.ruler.push('headings', state => {
  const above: string[] = [];
  for (const token of state.tokens) {
    if (token.type === 'heading_open') {
      while (above.length && above[above.length - 1] >= token.tag) above.pop();
      above.push(token.tag);
      token.attrJoin('class', token.tag);
    }
    if (token.type === 'heading_open' || token.type === 'heading_close')
      token.tag = `h${Math.min(above.length + 1, 6)}`;
  }
});
// "- [x] done"
md.core.ruler.push('tasks', state => {
  state.tokens.forEach((token, index) => {
    if (token.type !== 'inline' || state.tokens[index - 2]?.type !== 'list_item_open') return;
    const first = token.children?.[0];
    const box = first?.type === 'text' && /^\[([ xX])\] /.exec(first.content);
    if (!box) return;
    first.content = (box[1] === ' ' ? '☐ ' : '☑ ') + first.content.slice(4);
    state.tokens[index - 2].attrJoin('class', 'task');
  });
});

const purify = createDOMPurify(window);
purify.addHook('afterSanitizeAttributes', node => {
  if (node.tagName !== 'A') return;
  node.setAttribute('target', '_blank');
  node.setAttribute('rel', 'noopener noreferrer nofollow');
});

/** What a block of Markdown is known by: equal blocks look equal. */
export interface Block {
  source: string;
  html: string;
}

/**
 * The blocks of a text, one for each paragraph, list, code block and so on. `known` are those of an earlier call on a
 * beginning of the text: what has not changed is not rendered again.
 */
export function blocks(text: string, known: Block[] = []): Block[] {
  const env = {};
  const tokens = md.parse(text, env);
  const lines = text.split('\n');
  const made: Block[] = [];
  for (let begin = 0; begin < tokens.length;) {
    let end = begin;
    let depth = 0;
    do depth += tokens[end++].nesting;
    while (depth > 0 && end < tokens.length);
    const [from, to] = tokens[begin].map ?? [0, 0];
    // The kind tells "---" under a paragraph from one alone.
    const source = `${tokens[begin].type}\n${lines.slice(from, to).join('\n')}`;
    const same = known[made.length];
    made.push(
      same?.source === source ? same : { source, html: md.renderer.render(tokens.slice(begin, end), md.options, env) },
    );
    begin = end;
  }
  return made;
}

/** Fills an element with a block. */
export function fill(element: HTMLElement, { html }: Block): void {
  const fragment = purify.sanitize(html, {
    RETURN_DOM_FRAGMENT: true,
    FORBID_TAGS: ['style', 'form', 'img'],
    FORBID_ATTR: ['style', 'id', 'name'],
  });
  for (const place of fragment.querySelectorAll<HTMLElement>('.math')) typeset(place);
  element.replaceChildren(fragment);
}

function typeset(place: HTMLElement): void {
  const tex = place.textContent ?? '';
  try {
    // Into an element, not into HTML: KaTeX then sets styles by script, which the policy of the page allows.
    katex.render(tex, place, {
      displayMode: place.classList.contains('display'),
      throwOnError: true,
      strict: 'ignore',
      maxExpand: 500,
      maxSize: 20,
    });
    if (place.classList.contains('display')) place.tabIndex = 0;
  } catch {
    place.className = 'math broken';
    place.textContent = tex;
  }
}
