// What a conversation asks of the model beside its turns. null leaves a value to the server.
export interface Settings {
  system: string;
  temperature: number | null;
  top_p: number | null;
  top_k: number | null;
  min_p: number | null;
  repetition_penalty: number | null;
  presence_penalty: number | null;
  frequency_penalty: number | null;
  max_tokens: number | null;
  seed: number | null;
  stop: string; // one sequence a line, with \n and \t
  thinking: number | null; // tokens; 0 for none
  keepThinking: boolean; // earlier thinking stays in the prompt
  tools: string; // a JSON array of OpenAI tool definitions, or empty
  schema: string; // a JSON schema that the answer must follow, or empty
}

export const plainSettings: Settings = {
  system: '',
  temperature: null,
  top_p: null,
  top_k: null,
  min_p: null,
  repetition_penalty: null,
  presence_penalty: null,
  frequency_penalty: null,
  max_tokens: null,
  seed: null,
  stop: '',
  thinking: null,
  keepThinking: false,
  tools: '',
  schema: '',
};

export interface NumberSetting {
  key:
    | 'temperature'
    | 'top_p'
    | 'top_k'
    | 'min_p'
    | 'repetition_penalty'
    | 'presence_penalty'
    | 'frequency_penalty'
    | 'max_tokens'
    | 'seed';
  label: string;
  hint: string;
  min: number;
  max: number;
  step: number;
  start: number; // where the slider stands when it is first touched
  slider: boolean;
}

export const numberSettings: NumberSetting[] = [
  {
    key: 'temperature',
    label: 'Temperature',
    hint: 'Higher is more varied. MiniMax-M1 is meant for 1.',
    min: 0,
    max: 2,
    step: 0.05,
    start: 1,
    slider: true,
  },
  {
    key: 'top_p',
    label: 'Top-p',
    hint: 'Keeps the likeliest tokens up to this share. MiniMax-M1 is meant for 0.95.',
    min: 0,
    max: 1,
    step: 0.01,
    start: 0.95,
    slider: true,
  },
  {
    key: 'top_k',
    label: 'Top-k',
    hint: 'Keeps this many of the likeliest tokens. 0 keeps all.',
    min: 0,
    max: 200,
    step: 1,
    start: 40,
    slider: true,
  },
  {
    key: 'min_p',
    label: 'Min-p',
    hint: 'Drops tokens less likely than this share of the likeliest.',
    min: 0,
    max: 1,
    step: 0.01,
    start: 0.05,
    slider: true,
  },
  {
    key: 'repetition_penalty',
    label: 'Repetition penalty',
    hint: 'Above 1 makes tokens that were already used less likely.',
    min: 0.5,
    max: 2,
    step: 0.01,
    start: 1,
    slider: true,
  },
  {
    key: 'presence_penalty',
    label: 'Presence penalty',
    hint: 'Subtracted once from every token already used.',
    min: -2,
    max: 2,
    step: 0.05,
    start: 0,
    slider: true,
  },
  {
    key: 'frequency_penalty',
    label: 'Frequency penalty',
    hint: 'Subtracted for each time a token was used.',
    min: -2,
    max: 2,
    step: 0.05,
    start: 0,
    slider: true,
  },
  {
    key: 'max_tokens',
    label: 'Longest answer',
    hint: 'Tokens, thinking included.',
    min: 1,
    max: 1_000_000,
    step: 1,
    start: 4096,
    slider: false,
  },
  {
    key: 'seed',
    label: 'Seed',
    hint: 'The same seed gives the same answer again.',
    min: 0,
    max: 2 ** 31 - 1,
    step: 1,
    start: 1,
    slider: false,
  },
];

/** What is wrong with the text of the tools or the schema; '' when nothing is. */
export function toolsProblem(text: string): string {
  if (!text.trim()) return '';
  try {
    const tools: unknown = JSON.parse(text);
    if (!Array.isArray(tools)) return 'Expected a list: [{"type": "function", ...}]';
    const nameless = tools.findIndex(tool => typeof (tool?.function?.name ?? tool?.name) !== 'string');
    return nameless < 0 ? '' : `Tool ${nameless + 1} has no name.`;
  } catch (error) {
    return (error as Error).message;
  }
}

export function schemaProblem(text: string): string {
  if (!text.trim()) return '';
  try {
    const schema: unknown = JSON.parse(text);
    return schema && typeof schema === 'object' && !Array.isArray(schema) ? '' : 'Expected a JSON object.';
  } catch (error) {
    return (error as Error).message;
  }
}

/** How many settings differ from the server's own. */
export function changedSettings(settings: Settings): number {
  return (Object.keys(plainSettings) as (keyof Settings)[]).filter(
    key => key !== 'thinking' && settings[key] !== plainSettings[key],
  ).length;
}
