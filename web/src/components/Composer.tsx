// Where the user writes.
import { useEffect, useRef, useState } from 'preact/hooks';
import { app, changeSettings, currentContext, send, stop, toast } from '../chat/state';
import { shownTurns, type Attachment } from '../chat/conversation';
import { composerWish, editing } from '../chat/page';
import { pickFiles, touch } from '../lib/browser';
import { budget, count, shortCount } from '../lib/format';
import { useStore } from '../lib/store';
import { Icon } from '../ui/Icon';
import { GrowingText, IconButton } from '../ui/controls';

const budgets = [0, 512, 2048, 8192, 32768, 81920];
const LARGEST_FILE = 8 << 20;

function ThinkingChoice() {
  const thinking = useStore(app, state => state.current.settings.thinking);
  const options =
    thinking === null || budgets.includes(thinking) ? budgets : [...budgets, thinking].sort((a, b) => a - b);
  return (
    <label class={`chip ${thinking === null ? '' : 'set'}`} title="How long the model may think, in tokens">
      <Icon name="bulb" />
      <span class="visually-hidden">Thinking</span>
      <select
        value={thinking ?? ''}
        onChange={event =>
          changeSettings({ thinking: event.currentTarget.value === '' ? null : Number(event.currentTarget.value) })
        }
      >
        <option value="">Thinks freely</option>
        {options.map(tokens => (
          <option key={tokens} value={tokens}>
            {tokens === 0 ? 'No thinking' : `Thinks up to ${budget(tokens)}`}
          </option>
        ))}
      </select>
    </label>
  );
}

/** How much of the model's context the conversation fills. */
function ContextMeter() {
  const context = useStore(app, currentContext);
  const used = useStore(app, state => {
    for (const turn of shownTurns(state.current).reverse())
      if (turn.role === 'assistant' && turn.usage) return turn.usage.total_tokens;
    return 0;
  });
  if (!context || !used) return null;
  const share = Math.min(used / context, 1);
  const text = `${count(used)} of ${count(context)} tokens of context used`;
  return (
    <span class={`meter ${share > 0.9 ? 'full' : ''}`} title={text} role="img" aria-label={text}>
      <svg viewBox="0 0 20 20" aria-hidden="true">
        <circle cx="10" cy="10" r="7.5" />
        <circle cx="10" cy="10" r="7.5" pathLength={100} stroke-dasharray={`${Math.max(share * 100, 1)} 100`} />
      </svg>
      <span aria-hidden="true">{shortCount(used)}</span>
    </span>
  );
}

async function readFiles(files: File[]): Promise<Attachment[]> {
  const read: Attachment[] = [];
  for (const file of files) {
    if (file.size > LARGEST_FILE) {
      toast(`${file.name} is too large: at most 8 MB of text.`);
      continue;
    }
    const text = await file.text();
    if (text.includes('\0') || text.includes('\uFFFD')) toast(`${file.name} is not a text file.`);
    else read.push({ name: file.name, text });
  }
  return read;
}

export function Composer() {
  const id = useStore(app, state => state.current.id);
  const busy = useStore(app, state => state.current.id in state.runs);
  const hasTools = useStore(app, state => state.current.settings.tools.trim() !== '');
  const [drafts, setDrafts] = useState<Record<string, string>>({});
  const [files, setFiles] = useState<Attachment[]>([]);
  const [over, setOver] = useState(false);
  const field = useRef<HTMLTextAreaElement>(null);
  const text = drafts[id] ?? '';
  const setText = (value: string) => setDrafts({ ...drafts, [id]: value });

  const wish = useStore(composerWish, value => value);
  useEffect(() => {
    if (!wish) return;
    if (wish.text !== undefined) setText(wish.text);
    field.current?.focus();
    composerWish.value = null;
  }, [wish]);
  useEffect(() => {
    if (!touch()) field.current?.focus();
  }, [id]);
  // A file may be dropped anywhere.
  useEffect(() => {
    const holdsFiles = (event: DragEvent) => event.dataTransfer?.types.includes('Files');
    const onOver = (event: DragEvent) => {
      if (!holdsFiles(event)) return;
      event.preventDefault();
      setOver(true);
    };
    const onLeave = (event: DragEvent) => {
      if (!event.relatedTarget) setOver(false);
    };
    const onDrop = (event: DragEvent) => {
      if (!holdsFiles(event)) return;
      event.preventDefault();
      setOver(false);
      void readFiles([...(event.dataTransfer?.files ?? [])]).then(read => setFiles(before => [...before, ...read]));
    };
    window.addEventListener('dragover', onOver);
    window.addEventListener('dragleave', onLeave);
    window.addEventListener('drop', onDrop);
    return () => {
      window.removeEventListener('dragover', onOver);
      window.removeEventListener('dragleave', onLeave);
      window.removeEventListener('drop', onDrop);
    };
  }, []);

  const submit = () => {
    if (busy || (!text.trim() && !files.length)) return;
    send(text.trim(), files);
    setText('');
    setFiles([]);
  };
  const onKeyDown = (event: KeyboardEvent) => {
    // 229: the Enter that ends a word of an input method.
    if (event.key === 'Enter' && !event.shiftKey && !event.isComposing && event.keyCode !== 229 && !touch()) {
      event.preventDefault();
      submit();
    } else if (event.key === 'ArrowUp' && !text) {
      const question = shownTurns(app.value.current).findLast(turn => turn.role === 'user');
      if (!question || busy) return;
      event.preventDefault();
      editing.value = question.id;
    }
  };
  const onPaste = (event: ClipboardEvent) => {
    const pasted = [...(event.clipboardData?.files ?? [])].filter(file => !file.type.startsWith('image/'));
    if (!pasted.length) return;
    event.preventDefault();
    void readFiles(pasted).then(read => setFiles(before => [...before, ...read]));
  };

  return (
    <form
      class={`composer ${over ? 'over' : ''}`}
      aria-label="New message"
      onSubmit={event => (event.preventDefault(), submit())}
    >
      {files.length > 0 && (
        <ul class="files" aria-label="Files to send">
          {files.map((file, place) => (
            <li key={place}>
              <Icon name="file" /> {file.name} <small>{shortCount(file.text.length)} characters</small>
              <IconButton
                icon="close"
                label={`Remove ${file.name}`}
                onClick={() => setFiles(files.filter((_, at) => at !== place))}
              />
            </li>
          ))}
        </ul>
      )}
      <GrowingText
        field={field}
        id="composer"
        aria-label="Message"
        placeholder={over ? 'Drop files here' : 'Ask anything'}
        value={text}
        dir="auto"
        enterkeyhint={touch() ? 'enter' : 'send'}
        onInput={event => setText(event.currentTarget.value)}
        onKeyDown={onKeyDown}
        onPaste={onPaste}
      />
      <div class="row">
        <IconButton
          icon="clip"
          label="Add text files"
          onClick={() =>
            void pickFiles('', true)
              .then(readFiles)
              .then(read => setFiles([...files, ...read]))
          }
        />
        <ThinkingChoice />
        {hasTools && (
          <span class="chip set" title="The model may call your tools">
            <Icon name="tool" /> Tools
          </span>
        )}
        <span class="gap" />
        <ContextMeter />
        {/* It stands where Send stood: the second half of a double click does not stop. */}
        {busy ? (
          <button
            type="button"
            class="send"
            aria-label="Stop"
            title="Stop (Escape)"
            onClick={event => event.detail < 2 && stop()}
          >
            <Icon name="stop" />
          </button>
        ) : (
          <button
            type="submit"
            class="send"
            aria-label="Send"
            title="Send (Enter)"
            disabled={!text.trim() && !files.length}
          >
            <Icon name="send" />
          </button>
        )}
      </div>
    </form>
  );
}
