import { accepted, answered } from "./connection.js";
import { errorOf, StemwrightError } from "./errors.js";

export interface Put {
  readonly url: string;
  readonly data: Blob;
  readonly signal?: AbortSignal | undefined;
  readonly send: typeof fetch;
  /** Called with bytes sent so far. */
  readonly onProgress?: ((sent: number) => void) | undefined;
}

/** Send bytes to a signed URL. No token goes there: it may be a store of somebody else. */
export async function put(request: Put): Promise<void> {
  if (request.onProgress !== undefined && typeof XMLHttpRequest !== "undefined") return putInBrowser(request);
  const { url, data, signal, send, onProgress } = request;
  const init: RequestInit & { duplex?: "half" } = { method: "PUT", body: data };
  if (signal !== undefined) init.signal = signal;
  if (onProgress !== undefined) {
    let sent = 0;
    const counted = new TransformStream<Uint8Array, Uint8Array>({
      transform(chunk, controller) {
        controller.enqueue(chunk);
        onProgress((sent += chunk.length));
      },
    });
    init.body = data.stream().pipeThrough(counted);
    init.headers = { "Content-Length": String(data.size) }; // a store takes no upload of unknown length
    init.duplex = "half";
  }
  await accepted(await answered(() => send(url, init), signal));
}

/** The same where only XMLHttpRequest tells how much was sent. */
function putInBrowser({ url, data, signal, onProgress }: Put): Promise<void> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("PUT", url);
    request.upload.onprogress = ({ loaded }) => onProgress?.(loaded);
    request.onload = () => {
      if (request.status >= 200 && request.status < 300) return resolve();
      reject(errorOf(request.status, request.responseText, { get: (name) => request.getResponseHeader(name) }));
    };
    request.onerror = () => reject(new StemwrightError("There was no answer.", 0, "no_answer"));
    request.onabort = () => reject(signal?.reason as Error);
    signal?.addEventListener("abort", () => request.abort(), { once: true });
    if (signal?.aborted) return reject(signal.reason as Error);
    request.send(data);
  });
}
