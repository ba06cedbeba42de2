/** A stem's file on the service, as far as it is wanted. */

import { ApiError, call } from "../net/api";
import type { Stem } from "../net/types";

/** Where a stem is now: its URL does not hold for ever. */
export type Fresh = () => Promise<Stem>;

export class StemFile {
  constructor(
    public stem: Stem,
    private readonly fresh: Fresh,
  ) {}

  /** Bytes from one place up to another, or all of them. Sizes tell what came: stores differ in the status that they give a part. */
  async bytes(from: number, to: number | null): Promise<{ data: ArrayBuffer; whole: boolean }> {
    const response = await this.get(to === null ? {} : { headers: { Range: `bytes=${from}-${to - 1}` } });
    const data = await response.arrayBuffer();
    return { data, whole: from === 0 && data.byteLength >= this.stem.size };
  }

  /** All of it, as it comes. */
  async stream(signal: AbortSignal): Promise<ReadableStreamDefaultReader<Uint8Array<ArrayBuffer>>> {
    const { body } = await this.get({ signal });
    if (!body) throw new ApiError("The service sent nothing.", 0);
    return body.getReader();
  }

  private async get(asked: RequestInit): Promise<Response> {
    // rclone's store gives a part the status of a whole, and a browser that keeps it would take it for the file.
    const init: RequestInit = { ...asked, cache: "no-store" };
    try {
      return await call(this.stem.url, init);
    } catch (error) {
      if (!(error instanceof ApiError) || ![401, 403].includes(error.status)) throw error;
      this.stem = await this.fresh(); // its URL has expired
      return call(this.stem.url, init);
    }
  }
}
