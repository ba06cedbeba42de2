import { errorOf, StemwrightError } from "./errors.js";

/** A token, or what fetches one; `renew` is true when the last one was refused. */
export type TokenProvider = string | ((renew: boolean) => string | Promise<string>);

export interface ConnectionOptions {
  /** Where the service is, for example https://stems.example.com. */
  readonly baseUrl: string;
  readonly token?: TokenProvider;
  /** How often a call that may pass is tried in all. */
  readonly tries?: number;
  /** What is used in place of the platform's own fetch. */
  readonly fetch?: typeof fetch;
}

export interface Call {
  readonly method?: "GET" | "POST";
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal | undefined;
  /** Whether it may be sent again when nobody knows whether it arrived. */
  readonly repeatable?: boolean;
}

const LONGEST = 20_000; // ms between two tries

/** Sends calls with a token, and again where that may help. */
export class Connection {
  private readonly base: string;
  private readonly tries: number;
  private readonly send: typeof fetch;

  constructor(private readonly options: ConnectionOptions) {
    this.base = options.baseUrl.replace(/\/+$/, "");
    this.tries = options.tries ?? 4;
    this.send = options.fetch ?? ((input, init) => fetch(input, init)); // not taken off the window: it would not run
  }

  async json<T>(path: string, call: Call = {}): Promise<T> {
    return (await (await this.call(path, call)).json()) as T;
  }

  /** The answer of 2xx to a call. Raises StemwrightError, and what the signal says. */
  async call(path: string, call: Call = {}): Promise<Response> {
    const repeatable = call.repeatable ?? (call.method ?? "GET") === "GET";
    return again(this.tries, repeatable, call.signal, async () => {
      const answer = await this.once(path, call, false);
      return answer.status === 401 && typeof this.options.token === "function"
        ? accepted(await this.once(path, call, true))
        : accepted(answer);
    });
  }

  /** One request; a token goes to the service alone, whatever `path` is. */
  private async once(path: string, call: Call, renew: boolean): Promise<Response> {
    const { token } = this.options;
    const headers: Record<string, string> = { Accept: "application/json", ...call.headers };
    if (call.body !== undefined) headers["Content-Type"] = "application/json";
    if (token !== undefined) headers["Authorization"] = `Bearer ${typeof token === "string" ? token : await token(renew)}`;
    const init: RequestInit = { method: call.method ?? "GET", headers };
    if (call.body !== undefined) init.body = JSON.stringify(call.body);
    if (call.signal !== undefined) init.signal = call.signal;
    return answered(() => this.send(this.base + path, init), call.signal);
  }

  /** What is used to send; for URLs that carry their own signature. */
  get plain(): typeof fetch {
    return this.send;
  }
}

/** An answer, or the StemwrightError of there being none. An abort stays what it is. */
export async function answered(send: () => Promise<Response>, signal: AbortSignal | undefined): Promise<Response> {
  try {
    return await send();
  } catch (error) {
    signal?.throwIfAborted();
    const cause = error instanceof Error ? error.message : String(error);
    throw new StemwrightError(`There was no answer: ${cause}.`, 0, "no_answer");
  }
}

export async function accepted(answer: Response): Promise<Response> {
  if (answer.ok) return answer;
  throw errorOf(answer.status, await answer.text(), answer.headers);
}

/** Do something until it succeeds, fails for good, or was tried often enough. */
export async function again<T>(
  tries: number,
  repeatable: boolean,
  signal: AbortSignal | undefined,
  attempt: () => Promise<T>,
): Promise<T> {
  for (let tried = 1; ; tried++) {
    signal?.throwIfAborted();
    try {
      return await attempt();
    } catch (error) {
      const refused = error instanceof StemwrightError && [429, 503].includes(error.status); // it did nothing
      const may = error instanceof StemwrightError && error.passing && (repeatable || refused);
      if (!may || tried >= tries) throw error;
      const wait = (error.retryAfter ?? 0) * 1000 || 250 * 2 ** tried * (0.5 + Math.random());
      await pause(Math.min(wait, LONGEST), signal);
    }
  }
}

/** Wait, but no longer than the signal lets. */
export function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const end = () => {
      clearTimeout(timer);
      reject(signal?.reason as Error);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", end);
      resolve();
    }, ms);
    if (signal?.aborted) end();
    else signal?.addEventListener("abort", end, { once: true });
  });
}
