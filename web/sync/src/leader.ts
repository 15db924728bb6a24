/**
 * One of the tabs that have the database open syncs it; what one tab has to say to the others goes through here too. The browser gives the lock
 * to the next one when the tab that has it closes or crashes. Where there are no locks, every tab is its own leader.
 */
export class Leader<Note> {
  leads = false;
  private channel = typeof BroadcastChannel === "undefined" ? undefined : new BroadcastChannel(this.name);
  private release?: () => void;
  private readonly stop = typeof AbortController === "undefined" ? undefined : new AbortController();

  constructor(private readonly name: string, private readonly onLead: () => void, private readonly onNote: (note: Note) => void) {}

  start(): void {
    if (this.channel) this.channel.onmessage = (event) => this.onNote(event.data as Note);
    const locks = locksOfBrowser();
    if (!locks) {
      this.begin();
      return;
    }
    locks
      .request(this.name, { signal: this.stop?.signal }, () => {
        this.begin();
        return new Promise<void>((resolve) => (this.release = resolve));
      })
      .catch(() => undefined); // closed before it was our turn
  }

  /** To all other tabs. */
  say(note: Note): void {
    this.channel?.postMessage(note);
  }

  /** Work that no two tabs may do at once: one that leads no longer may still be at it when the next one begins. */
  async alone(work: () => Promise<void>): Promise<void> {
    const locks = locksOfBrowser();
    if (!locks) return work();
    let failure: { error: unknown } | undefined;
    await locks.request(`${this.name}:run`, async () => {
      await work().catch((error: unknown) => (failure = { error }));
    });
    if (failure) throw failure.error;
  }

  close(): void {
    this.leads = false;
    this.stop?.abort();
    this.release?.();
    this.channel?.close();
    this.channel = undefined;
  }

  private begin(): void {
    this.leads = true;
    this.onLead();
  }
}

function locksOfBrowser(): LockManager | undefined {
  return (globalThis.navigator as Navigator | undefined)?.locks;
}
