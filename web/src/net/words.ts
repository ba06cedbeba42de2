/** Errors, in words. Pure. */

/** The sentence in an answer's body, whichever of the usual places it stands in. */
export function sentence(body: unknown): string | null {
  if (typeof body === "string") return body.trim() || null;
  if (typeof body !== "object" || body === null) return null;
  const fields = body as Record<string, unknown>;
  for (const name of ["detail", "error", "message", "error_message"]) {
    const found = sentence(fields[name]);
    if (found) return found;
  }
  return null;
}

/** What to say when an answer has no words of its own. */
export function forStatus(status: number): string {
  if (status === 0) return "The service does not answer. Check that it is still running, then try again.";
  if (status === 401 || status === 403) return "The service did not accept this access token.";
  if (status === 404) return "It is not on the service any more: files are removed after a while.";
  if (status === 413) return "The file is larger than this service takes.";
  if (status === 429) return "Too many requests at once. Wait a moment, then try again.";
  if (status === 507) return "The service's disk is full. Try again later.";
  if (status >= 500) return "The service failed on this. Its log says why.";
  return `The service refused this (${status}).`;
}

/** An error as a person may read it. */
export function inWords(error: unknown): string {
  if (error instanceof Error && error.message) return error.message;
  return "Something failed that should not have. Reload the page and try again.";
}
