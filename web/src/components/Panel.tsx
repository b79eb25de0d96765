// The settings of one conversation.
import { useId, useState } from 'preact/hooks';
import { app, changeSettings, keepAsDefaults, toast } from '../chat/state';
import { titleOf } from '../chat/conversation';
import { page, togglePanel } from '../chat/page';
import { numberSettings, plainSettings, schemaProblem, toolsProblem, type NumberSetting } from '../chat/settings';
import { toJson, toMarkdown } from '../chat/transfer';
import { download, fileName } from '../lib/browser';
import { useStore } from '../lib/store';
import { GrowingText, IconButton } from '../ui/controls';

function NumberField({ setting }: { setting: NumberSetting }) {
  const { key, label, hint, min, max, step, start, slider } = setting;
  const value = useStore(app, state => state.current.settings[key]);
  const id = useId();
  const set = (text: string) => {
    const number = Number(text);
    changeSettings({
      [key]: text.trim() === '' || !Number.isFinite(number) ? null : Math.min(Math.max(number, min), max),
    });
  };
  return (
    <div class={`field ${value === null ? 'unset' : ''}`}>
      <div class="field-line">
        <label for={id}>{label}</label>
        <input
          id={id}
          type="number"
          inputMode="decimal"
          min={min}
          max={max}
          step={step}
          placeholder="server’s"
          value={value ?? ''}
          aria-describedby={`${id}-hint`}
          onChange={event => set(event.currentTarget.value)}
        />
        {value !== null && (
          <IconButton
            icon="close"
            label={`${label}: leave to the server`}
            title="Leave to the server"
            onClick={() => set('')}
          />
        )}
      </div>
      {slider && (
        <input
          type="range"
          aria-label={`${label}, slider`}
          min={min}
          max={max}
          step={step}
          value={value ?? start}
          onInput={event => set(event.currentTarget.value)}
        />
      )}
      <p class="hint" id={`${id}-hint`}>
        {hint}
      </p>
    </div>
  );
}

function TextField({
  label,
  hint,
  problem = '',
  code = false,
  ...field
}: {
  label: string;
  hint: string;
  problem?: string;
  code?: boolean;
  value: string;
  placeholder?: string;
  onValue: (text: string) => void;
}) {
  const id = useId();
  return (
    <div class="field">
      <label for={id}>{label}</label>
      <GrowingText
        id={id}
        class={code ? 'code' : ''}
        value={field.value}
        placeholder={field.placeholder}
        spellcheck={!code}
        dir={code ? 'ltr' : 'auto'}
        aria-describedby={`${id}-hint`}
        aria-invalid={problem !== ''}
        onInput={event => field.onValue(event.currentTarget.value)}
      />
      <p class={problem ? 'hint bad' : 'hint'} id={`${id}-hint`}>
        {problem || hint}
      </p>
    </div>
  );
}

const exampleTool = JSON.stringify(
  [
    {
      type: 'function',
      function: {
        name: 'weather',
        description: 'The weather of a place.',
        parameters: { type: 'object', properties: { place: { type: 'string' } }, required: ['place'] },
      },
    },
  ],
  null,
  2,
);

export function Panel() {
  const open = useStore(page, state => state.panel);
  const conversation = useStore(app, state => state.current);
  const kept = useStore(app, state => state.current.id in state.conversations);
  const [advanced, setAdvanced] = useState(false);
  if (!open) return null;
  const { settings } = conversation;
  const [basic, more] = [numberSettings.slice(0, 2), numberSettings.slice(2)];
  return (
    <aside class="panel" id="panel" aria-label="Conversation settings">
      <header>
        <h2>This conversation</h2>
        <IconButton icon="close" label="Close settings" onClick={() => togglePanel(false)} />
      </header>
      <div class="panel-body">
        <TextField
          label="System prompt"
          hint="What the model is told before the conversation."
          value={settings.system}
          onValue={system => changeSettings({ system })}
        />
        <div class="field">
          <div class="field-line">
            <label for="thinking-limit">Thinking limit</label>
            <input
              id="thinking-limit"
              type="number"
              min={0}
              step={1}
              placeholder="none"
              value={settings.thinking ?? ''}
              aria-describedby="thinking-hint"
              onChange={event =>
                changeSettings({
                  thinking:
                    event.currentTarget.value === ''
                      ? null
                      : Math.max(0, Math.floor(Number(event.currentTarget.value))),
                })
              }
            />
          </div>
          <p class="hint" id="thinking-hint">
            Tokens. At the limit the thinking is closed and the answer follows; 0 is no thinking.
          </p>
        </div>
        {basic.map(setting => (
          <NumberField key={setting.key} setting={setting} />
        ))}
        <button type="button" class="more" aria-expanded={advanced} onClick={() => setAdvanced(!advanced)}>
          {advanced ? 'Fewer settings' : 'More settings'}
        </button>
        {advanced && (
          <>
            {more.map(setting => (
              <NumberField key={setting.key} setting={setting} />
            ))}
            <TextField
              label="Stop at"
              hint="One text a line; \n is a line end. The answer ends before it."
              code
              value={settings.stop}
              onValue={stop => changeSettings({ stop })}
            />
            <TextField
              label="Tools"
              code
              value={settings.tools}
              problem={toolsProblem(settings.tools)}
              placeholder={exampleTool}
              hint="OpenAI’s form, a JSON list. You are asked for the result of each call."
              onValue={tools => changeSettings({ tools })}
            />
            <TextField
              label="Answer’s JSON schema"
              hint="The answer follows it exactly; thinking stays free."
              code
              value={settings.schema}
              problem={schemaProblem(settings.schema)}
              onValue={schema => changeSettings({ schema })}
            />
            <label class="check">
              <input
                type="checkbox"
                checked={settings.keepThinking}
                onChange={event => changeSettings({ keepThinking: event.currentTarget.checked })}
              />
              <span>
                The model sees what it thought before
                <small>Longer prompts: else the thinking of earlier turns is left out of them.</small>
              </span>
            </label>
          </>
        )}
        <div class="actions">
          <button
            type="button"
            onClick={() => (keepAsDefaults(settings), toast('New conversations begin with these settings.'))}
          >
            Keep for new chats
          </button>
          <button type="button" onClick={() => changeSettings(plainSettings)}>
            Reset
          </button>
        </div>
        {kept && (
          <div class="actions">
            <button
              type="button"
              onClick={() =>
                download(`${fileName(titleOf(conversation))}.md`, 'text/markdown', toMarkdown(conversation))
              }
            >
              Save as Markdown
            </button>
            <button
              type="button"
              onClick={() =>
                download(`${fileName(titleOf(conversation))}.json`, 'application/json', toJson([conversation]))
              }
            >
              Export
            </button>
          </div>
        )}
      </div>
    </aside>
  );
}
