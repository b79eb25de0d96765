// The part of the server's OpenAI-compatible API that this page speaks.

export interface ToolCall {
  id: string;
  type: 'function';
  function: { name: string; arguments: string };
}

export type Message =
  | { role: 'system' | 'user'; content: string }
  | { role: 'assistant'; content: string; reasoning_content?: string; tool_calls?: ToolCall[] }
  | { role: 'tool'; content: string; tool_call_id: string; name?: string };

export interface ChatRequest {
  model?: string;
  messages: Message[];
  temperature?: number;
  top_p?: number;
  top_k?: number;
  min_p?: number;
  repetition_penalty?: number;
  presence_penalty?: number;
  frequency_penalty?: number;
  max_tokens?: number;
  max_thinking_tokens?: number;
  seed?: number;
  stop?: string[];
  tools?: unknown[];
  response_format?: unknown;
  /** The thinking of earlier turns, which the messages carry, stays in the prompt. */
  keep_reasoning?: boolean;
  /** Go on with the last message, an assistant's, instead of answering it. */
  continue_final_message?: boolean;
  add_generation_prompt?: boolean;
}

export interface Usage {
  prompt_tokens: number;
  completion_tokens: number;
  total_tokens: number;
  prompt_tokens_details?: { cached_tokens?: number };
  completion_tokens_details?: { reasoning_tokens?: number };
}

/** llama.cpp's field of the same name: what the server measured. */
export interface Timings {
  cache_n?: number;
  prompt_n?: number;
  prompt_ms?: number;
  predicted_n?: number;
  predicted_ms?: number;
  predicted_per_second?: number;
  queue_ms?: number;
  draft_n?: number; // speculated tokens
  draft_n_accepted?: number;
}

export interface ToolCallDelta {
  index: number;
  id?: string;
  function?: { name?: string; arguments?: string };
}

export interface Chunk {
  id?: string;
  model?: string;
  choices?: {
    index: number;
    delta?: {
      content?: string | null;
      reasoning_content?: string | null;
      reasoning?: string | null;
      tool_calls?: ToolCallDelta[];
    };
    finish_reason?: string | null;
  }[];
  usage?: Usage | null;
  timings?: Timings | null;
  error?: { message?: string; type?: string; code?: string | number | null };
}

export interface Model {
  id: string;
  max_model_len?: number;
  context_length?: number;
  meta?: { n_ctx?: number; n_ctx_train?: number } | null;
}
