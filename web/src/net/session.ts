/** The access token, where a service wants one: asked for once, kept as long as the tab lives, never in a URL. */

const KEY = "stemwright.token";

let asking: Promise<string | null> | null = null;
let ask: (refused: boolean) => Promise<string | null> = async () => null;

/** Say how a person is asked. */
export function askWith(dialog: (refused: boolean) => Promise<string | null>): void {
  ask = dialog;
}

export function token(): string | null {
  return sessionStorage.getItem(KEY);
}

/** Ask for a token after a 401; however many requests need it, a person is asked once. False when none was given. */
export async function renew(used: string | null): Promise<boolean> {
  if (token() !== used) return true; // somebody else has asked meanwhile
  asking ??= ask(used !== null).finally(() => (asking = null));
  const given = await asking;
  if (given) sessionStorage.setItem(KEY, given);
  return given !== null;
}

/** Headers for a URL: the token goes to our own service and nowhere else. */
export function headersFor(url: string): Record<string, string> {
  const own = new URL(url, location.href).origin === location.origin;
  const held = token();
  return own && held ? { Authorization: `Bearer ${held}` } : {};
}
