export interface HintsOptions {
  url: string;
  app: string;
  /** A one-time ticket: EventSource can send no header. */
  ticket: () => Promise<string>;
  deviceId: () => string;
  onHint: () => void;
  source?: (url: string) => EventSource;
}

const FIRST_RETRY_MS = 1000;
const LAST_RETRY_MS = 60000;

/**
 * The stream of hints that something has changed. Hints say nothing more, and may get lost: whoever hears one, or has just connected, syncs.
 * Every connection takes a new ticket, so the browser's own reconnecting, which would send the old one, is never left to itself.
 */
export class Hints {
  private source?: EventSource;
  private timer?: ReturnType<typeof setTimeout>;
  private failures = 0;
  private closed = false;

  constructor(private readonly options: HintsOptions) {
    void this.connect();
  }

  close(): void {
    this.closed = true;
    clearTimeout(this.timer);
    this.source?.close();
  }

  private async connect(): Promise<void> {
    try {
      const ticket = await this.options.ticket();
      if (this.closed) return;
      const address = `${this.options.url}/api/events?app=${encodeURIComponent(this.options.app)}&ticket=${encodeURIComponent(ticket)}`;
      const source = (this.source = this.options.source ? this.options.source(address) : new EventSource(address));
      source.onopen = () => {
        this.failures = 0;
        this.options.onHint(); // what happened while nobody listened
      };
      source.onmessage = (event) => this.hear(String(event.data));
      source.addEventListener("sync", (event) => this.hear(String((event as MessageEvent).data)));
      source.onerror = () => this.lost();
    } catch {
      this.lost();
    }
  }

  private lost(): void {
    this.source?.close();
    this.source = undefined;
    if (this.closed) return;
    const wait = Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** this.failures++) * (0.5 + Math.random());
    clearTimeout(this.timer);
    this.timer = setTimeout(() => void this.connect(), wait);
  }

  /** Our own writes are no news. */
  private hear(data: string): void {
    let hint: { app?: string; device?: string; deviceId?: string } = {};
    try {
      hint = JSON.parse(data);
    } catch {
      /* a hint without content is a hint */
    }
    if (hint.app !== undefined && hint.app !== this.options.app) return;
    if ((hint.device ?? hint.deviceId) === this.options.deviceId()) return;
    this.options.onHint();
  }
}
