/** One event of a stream of server-sent events (WHATWG HTML, 9.2). */
export interface ServerSentEvent {
  readonly event: string;
  readonly id: string;
  readonly data: string;
}

/** The events in a body, as they come. */
export async function* eventsIn(body: ReadableStream<Uint8Array>): AsyncGenerator<ServerSentEvent> {
  const decoder = new TextDecoder();
  const reader = body.getReader();
  let text = "";
  let found = { event: "message", id: "", data: [] as string[] };
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      text += decoder.decode(value, { stream: true });
      const lines = text.split(/\r\n|\n|\r(?!$)/);
      text = lines.pop() ?? "";
      for (const line of lines) {
        if (line === "") {
          if (found.data.length) yield { event: found.event, id: found.id, data: found.data.join("\n") };
          found = { event: "message", id: found.id, data: [] };
          continue;
        }
        const [, field, value = ""] = /^([^:]*)(?:: ?(.*))?$/s.exec(line) ?? [];
        if (field === "data") found.data.push(value);
        else if (field === "event") found.event = value;
        else if (field === "id") found.id = value;
      }
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}
