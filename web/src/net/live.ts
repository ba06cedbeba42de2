/** Progress as it happens: Socket.IO, with polling beside it, so that neither a proxy nor a lost event leaves a bar standing. */

import type { Socket } from "socket.io-client";
import { token } from "./session";
import type { State } from "./types";

const POLL = 1500; // ms, while there is no socket
const RETRY = 10_000; // ms
const POLL_BESIDE_SOCKET = 4000; // ms: for the time left, which events do not carry

export interface Event {
  readonly job_id: string;
  readonly status: State;
  readonly progress: number;
  readonly message?: string;
}

export class Live {
  private socket: Socket | null = null;
  private readonly followed = new Set<string>();
  private timer: ReturnType<typeof setTimeout> | null = null;

  /** `onEvent` takes what the socket says; `refresh` fetches a job whole and says whether it is still to be followed. */
  constructor(
    private readonly onEvent: (event: Event) => void,
    private readonly refresh: (id: string) => Promise<boolean>,
  ) {
    document.addEventListener("visibilitychange", () => !document.hidden && void this.poll());
  }

  follow(id: string): void {
    if (this.followed.has(id)) return;
    this.followed.add(id);
    if (this.socket) this.socket.emit("subscribe", { job_id: id });
    else void this.connect();
    this.schedule();
  }

  forget(id: string): void {
    this.followed.delete(id);
  }

  private async connect(): Promise<void> {
    const library = await import("socket.io-client").catch(() => null);
    if (library === null) {
      setTimeout(() => void this.connect(), RETRY); // the network is away: asking again and again works without a socket
      return;
    }
    if (this.socket) return;
    const { io } = library;
    const socket = io("/progress", { auth: (give) => give({ token: token() }), reconnectionDelayMax: 10_000 });
    this.socket = socket;
    socket.on("connect", () => this.followed.forEach((id) => socket.emit("subscribe", { job_id: id })));
    socket.on("progress", (event: Event) => this.onEvent(event));
    for (const end of ["completed", "error"]) {
      socket.on(end, (event: { job_id?: string }) => event?.job_id && void this.look(event.job_id));
    }
  }

  private schedule(): void {
    if (this.timer !== null || this.followed.size === 0) return;
    const wait = this.socket?.connected ? POLL_BESIDE_SOCKET : POLL;
    this.timer = setTimeout(() => void this.poll(), wait);
  }

  private async poll(): Promise<void> {
    if (this.timer !== null) clearTimeout(this.timer);
    this.timer = null;
    if (!document.hidden) await Promise.all([...this.followed].map((id) => this.look(id)));
    this.schedule();
  }

  private async look(id: string): Promise<void> {
    if (!(await this.refresh(id))) this.followed.delete(id);
  }
}
