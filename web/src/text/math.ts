// TeX in Markdown: $a$, $$a$$, \(a\) and \[a\], as models write it. Becomes <span class="math">, which typeset() fills.
import type { MarkdownIt } from 'markdown-it';

const escape = (text: string) =>
  text.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;').replace(/"/g, '&quot;');

/** TeX to be typeset; shown as it is until then. */
export function placeholder(tex: string, display: boolean): string {
  return `<span class="math${display ? ' display' : ''}">${escape(tex.trim())}</span>`;
}

/** The end of the TeX that begins at `from` and is closed by `close`, -1 where it is not. A backslash hides what follows. */
function closing(text: string, from: number, close: string): number {
  for (let at = from; at < text.length; ++at) {
    if (text.startsWith(close, at)) return at;
    if (text[at] === '\\') ++at;
  }
  return -1;
}

export function math(md: MarkdownIt): void {
  md.inline.ruler.before('escape', 'math', (state, silent) => {
    const { src, pos, posMax } = state;
    let open = '';
    let close = '';
    if (src.startsWith('$$', pos)) open = close = '$$';
    else if (src[pos] === '$') open = close = '$';
    else if (src.startsWith('\\(', pos)) [open, close] = ['\\(', '\\)'];
    else if (src.startsWith('\\[', pos)) [open, close] = ['\\[', '\\]'];
    else return false;
    const begin = pos + open.length;
    const end = closing(src.slice(0, posMax), begin, close);
    if (end <= begin) return false;
    const tex = src.slice(begin, end);
    // Prices are not mathematics: "$5 and $6" (the rules of pandoc).
    if (open === '$' && (/^\s|\s$/.test(tex) || /^\d/.test(src.slice(end + 1)) || tex.includes('\n\n'))) return false;
    if (!tex.trim()) return false;
    if (!silent) {
      const token = state.push('math', '', 0);
      token.content = tex;
      token.meta = { display: open === '$$' || open === '\\[' };
    }
    state.pos = end + close.length;
    return true;
  });

  // A display on lines of its own may hold empty lines, and what Markdown would take for lists or headings.
  md.block.ruler.before(
    'fence',
    'math',
    (state, first, endLine, silent) => {
      const begin = state.bMarks[first] + state.tShift[first];
      const close = state.src.startsWith('$$', begin) ? '$$' : state.src.startsWith('\\[', begin) ? '\\]' : '';
      if (!close || state.sCount[first] - state.blkIndent >= 4) return false;
      const lines: string[] = [];
      for (let line = first; line < endLine; ++line) {
        if (line > first && state.sCount[line] < state.blkIndent && !state.isEmpty(line)) return false;
        const from = line === first ? begin + 2 : state.bMarks[line] + Math.min(state.tShift[line], state.blkIndent);
        const text = state.src.slice(from, state.eMarks[line]);
        const end = closing(text, 0, close);
        if (end >= 0) {
          if (text.slice(end + 2).trim()) return false; // text goes on behind it: the inline rule's
          lines.push(text.slice(0, end));
          if (!lines.join('').trim()) return false;
          if (silent) return true;
          const token = state.push('math_block', '', 0);
          token.content = lines.join('\n');
          token.map = [first, line + 1];
          token.block = true;
          state.line = line + 1;
          return true;
        }
        lines.push(text);
      }
      return false;
    },
    { alt: ['paragraph', 'reference', 'blockquote', 'list'] },
  );

  md.renderer.rules.math = (tokens, index) => placeholder(tokens[index].content, tokens[index].meta?.display === true);
  md.renderer.rules.math_block = (tokens, index) => `<p>${placeholder(tokens[index].content, true)}</p>\n`;
}
