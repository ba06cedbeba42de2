/** What the service refused, in its own words (RFC 9457), or what became of the way to it. */
export class StemwrightError extends Error {
  override readonly name = "StemwrightError";

  constructor(
    message: string,
    /** The HTTP status; 0: there was no answer. */
    readonly status: number,
    /** A stable word for programs, for example `song_exists`; `no_answer` if there was none. */
    readonly code: string,
    readonly requestId: string | null = null,
    /** Seconds after which it may go better; null: nothing was said. */
    readonly retryAfter: number | null = null,
    /** The whole answer, where it was JSON. */
    readonly body: Readonly<Record<string, unknown>> = {},
  ) {
    super(message);
  }

  /** Whether the same call may succeed later, with nothing changed. */
  get passing(): boolean {
    return [0, 429, 502, 503, 504, 507].includes(this.status);
  }
}

/** The error of an answer that is none of 2xx. */
export function errorOf(status: number, text: string, headers: { get(name: string): string | null }): StemwrightError {
  let body: Record<string, unknown> = {};
  try {
    const said: unknown = JSON.parse(text);
    if (typeof said === "object" && said !== null) body = said as Record<string, unknown>;
  } catch {
    // A proxy's page, or a store's XML.
  }
  const word = (name: string) => (typeof body[name] === "string" ? body[name] : null);
  const seconds = Number(headers.get("Retry-After") ?? NaN);
  return new StemwrightError(
    word("detail") ?? word("error") ?? `The service answered ${status}.`,
    status,
    word("code") ?? `http_${status}`,
    word("request_id") ?? headers.get("X-Request-ID"),
    Number.isFinite(seconds) ? seconds : null,
    body,
  );
}
