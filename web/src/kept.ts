/** What the browser remembers: the songs it sent, the options last chosen, how each song was mixed. */

const PREFIX = "stemwright.";
const MOST_SONGS = 200;

/** A song as it is remembered when the service has forgotten it. */
export interface Remembered {
  readonly job_id: string;
  readonly filename: string;
  readonly created_at: string;
  readonly sent_at?: string; // when it was sent, with all that were sent in one go
  readonly place?: number; // among those
}

function read<T>(key: string, otherwise: T): T {
  try {
    const text = localStorage.getItem(PREFIX + key);
    return text === null ? otherwise : (JSON.parse(text) as T);
  } catch {
    return otherwise; // storage may be forbidden, or hold what an older page wrote
  }
}

function write(key: string, value: unknown): void {
  try {
    localStorage.setItem(PREFIX + key, JSON.stringify(value));
  } catch {
    // Full or forbidden: the page works, it only remembers less.
  }
}

export const songs = (): Remembered[] => read<Remembered[]>("songs", []);

export function remember(song: Remembered): void {
  write("songs", [song, ...songs().filter((each) => each.job_id !== song.job_id)].slice(0, MOST_SONGS));
}

/** Names of songs that this tab began to send. A reload ends an upload; the tab remembers what it was. */
export function sending(names: readonly string[]): void {
  try {
    sessionStorage.setItem(`${PREFIX}sending`, JSON.stringify(names));
  } catch {
    // As below.
  }
}

/** What was being sent when the page was left, and is told of once. */
export function cutOff(): string[] {
  try {
    const names = JSON.parse(sessionStorage.getItem(`${PREFIX}sending`) ?? "[]") as string[];
    sessionStorage.removeItem(`${PREFIX}sending`);
    return names;
  } catch {
    return [];
  }
}

/** Hear when another tab sends or removes a song. */
export function watchSongs(changed: () => void): void {
  window.addEventListener("storage", (event) => event.key === `${PREFIX}songs` && changed());
}

export function forget(id: string): void {
  write("songs", songs().filter((each) => each.job_id !== id));
  try {
    localStorage.removeItem(`${PREFIX}mix.${id}`);
  } catch {
    // As above.
  }
}

// Under the key that earlier versions of the page used.
export const options = <T extends object>(defaults: T): T => ({ ...defaults, ...read<Partial<T>>("wish", {}) });
export const keepOptions = (value: object): void => write("wish", value);

export const mixOf = <T>(id: string): T | null => read<T | null>(`mix.${id}`, null);
export const keepMix = (id: string, mix: object): void => write(`mix.${id}`, mix);

/** Hear when another tab keeps a mix of this song. Returns what ends it. */
export function watchMix(id: string, changed: () => void): () => void {
  const heard = (event: StorageEvent) => event.key === `${PREFIX}mix.${id}` && event.newValue !== null && changed();
  window.addEventListener("storage", heard);
  return () => window.removeEventListener("storage", heard);
}
