// What browsers offer in several ways, or not at all.

export function newId(): string {
  // randomUUID exists in secure contexts only, and a server at home is often plain http.
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return Array.from(bytes, byte => byte.toString(36).padStart(2, '0'))
    .join('')
    .slice(0, 20);
}

/** True when it worked. */
export async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Over plain http there is no clipboard object: the old way.
  }
  const field = document.createElement('textarea');
  field.value = text;
  field.className = 'visually-hidden';
  // A modal dialog makes the rest of the page inert, so the field must be inside it.
  const parent = document.querySelector('dialog[open]') ?? document.body;
  parent.append(field);
  const before = document.activeElement as HTMLElement | null;
  field.select();
  const done = document.execCommand('copy');
  field.remove();
  before?.focus();
  return done;
}

export function download(name: string, type: string, text: string): void {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

export function pickFiles(accept: string, multiple: boolean): Promise<File[]> {
  return new Promise(resolve => {
    const field = document.createElement('input');
    field.type = 'file';
    field.accept = accept;
    field.multiple = multiple;
    field.addEventListener('change', () => resolve([...(field.files ?? [])]));
    field.addEventListener('cancel', () => resolve([]));
    field.click();
  });
}

/** Settings that are lost when the browser allows no storage. */
export const local = {
  get(key: string): string | null {
    try {
      return localStorage.getItem(key);
    } catch {
      return null;
    }
  },
  set(key: string, value: string | null): void {
    try {
      if (value === null) localStorage.removeItem(key);
      else localStorage.setItem(key, value);
    } catch {
      // Full or forbidden.
    }
  },
};

export const touch = (): boolean => matchMedia('(pointer: coarse)').matches;
export const onApple = /Mac|iPhone|iPad/.test(navigator.platform);

/** A file name made of a title. */
export function fileName(title: string): string {
  return (
    title
      .replace(/[^\p{L}\p{N}]+/gu, '-')
      .replace(/^-+|-+$/g, '')
      .slice(0, 60)
      .toLowerCase() || 'conversation'
  );
}
