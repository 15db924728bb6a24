/**
 * One of the tabs that have the database open syncs it; the others tell it of their edits. The browser gives the lock to the next one when
 * the tab that has it closes or crashes. Where there are no locks, every tab is its own leader.
 */
export class Leader {
  leads = false;
  private readonly channel = typeof BroadcastChannel === "undefined" ? undefined : new BroadcastChannel(this.name);
  private release?: () => void;
  private readonly stop = typeof AbortController === "undefined" ? undefined : new AbortController();

  constructor(private readonly name: string, private readonly onLead: () => void, private readonly onAsked: () => void) {}

  start(): void {
    if (this.channel) this.channel.onmessage = () => this.leads && this.onAsked();
    const locks = (globalThis.navigator as Navigator | undefined)?.locks;
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

  /** This tab has edited something: whoever leads is to sync. */
  ask(): void {
    this.channel?.postMessage("changed");
  }

  close(): void {
    this.leads = false;
    this.stop?.abort();
    this.release?.();
    this.channel?.close();
  }

  private begin(): void {
    this.leads = true;
    this.onLead();
  }
}
