// Conversations in the browser's IndexedDB; in memory only where the browser allows none (private windows).
import type { Conversation } from './conversation';

const STORE = 'conversations';
let opened: Promise<IDBDatabase | null> | undefined;
let ready: IDBDatabase | undefined;
const memory = new Map<string, Conversation>();

function open(): Promise<IDBDatabase | null> {
  opened ??= new Promise(resolve => {
    try {
      const request = indexedDB.open('minimax-chat', 1);
      request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: 'id' });
      request.onsuccess = () => {
        request.result.onversionchange = () => request.result.close();
        ready = request.result;
        resolve(request.result);
      };
      request.onerror = () => resolve(null);
      request.onblocked = () => resolve(null);
    } catch {
      resolve(null);
    }
  });
  return opened;
}

async function work<T>(
  mode: IDBTransactionMode,
  use: (store: IDBObjectStore) => IDBRequest<T>,
): Promise<T | undefined> {
  const database = await open();
  if (!database) return undefined;
  return new Promise((resolve, reject) => {
    const transaction = database.transaction(STORE, mode);
    const request = use(transaction.objectStore(STORE));
    transaction.oncomplete = () => resolve(request.result);
    transaction.onerror = transaction.onabort = () => reject(transaction.error ?? new Error('storage failed'));
  });
}

/** False: nothing outlives this tab. */
export async function durable(): Promise<boolean> {
  return (await open()) !== null;
}

export async function loadAll(): Promise<Conversation[]> {
  return (await work('readonly', store => store.getAll() as IDBRequest<Conversation[]>)) ?? [...memory.values()];
}

export async function load(id: string): Promise<Conversation | undefined> {
  return (await work('readonly', store => store.get(id) as IDBRequest<Conversation>)) ?? memory.get(id);
}

export async function save(conversation: Conversation): Promise<void> {
  if (await durable()) await work('readwrite', store => store.put(conversation));
  else memory.set(conversation.id, conversation);
}

/** For a page that is about to go: begins at once, and nobody waits. */
export function saveInPassing(conversation: Conversation): void {
  if (!ready) return;
  const transaction = ready.transaction(STORE, 'readwrite');
  transaction.objectStore(STORE).put(conversation);
  transaction.commit();
}

export async function remove(id: string): Promise<void> {
  memory.delete(id);
  await work('readwrite', store => store.delete(id));
}

export async function removeAll(): Promise<void> {
  memory.clear();
  await work('readwrite', store => store.clear());
}
