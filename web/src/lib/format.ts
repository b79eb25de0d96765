// Numbers and times as people read them.

const grouped = new Intl.NumberFormat('en');

export function count(n: number): string {
  return grouped.format(n);
}

/** 950, 1.2k, 40k, 1.05M */
export function shortCount(n: number): string {
  if (n < 1000) return String(n);
  if (n < 1e6) return trim((n / 1000).toFixed(n < 10_000 ? 1 : 0)) + 'k';
  return trim((n / 1e6).toFixed(2)) + 'M';
}

/** A number of tokens that people count in powers of two: 4096 is 4k. */
export function budget(n: number): string {
  return n >= 1024 && n % 1024 === 0 ? `${n / 1024}k` : shortCount(n);
}

function trim(text: string): string {
  return text.includes('.') ? text.replace(/\.?0+$/, '') : text;
}

/** 0.4 s, 12 s, 2 min 5 s, 1 h 3 min */
export function duration(ms: number): string {
  const seconds = ms / 1000;
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min${whole % 60 ? ` ${whole % 60} s` : ''}`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

export function rate(perSecond: number): string {
  return `${perSecond < 10 ? perSecond.toFixed(1) : count(Math.round(perSecond))} tokens/s`;
}

export function plural(n: number, word: string): string {
  return `${count(n)} ${word}${n === 1 ? '' : 's'}`;
}

/** The heading under which a conversation is listed. */
export function dayGroup(time: number, now = Date.now()): string {
  const midnight = new Date(now).setHours(0, 0, 0, 0);
  const day = 86_400_000;
  if (time >= midnight) return 'Today';
  if (time >= midnight - day) return 'Yesterday';
  if (time >= midnight - 6 * day) return 'This week';
  if (time >= midnight - 29 * day) return 'This month';
  return new Intl.DateTimeFormat('en', { month: 'long', year: 'numeric' }).format(time);
}
