import { Database } from "./database.js";
import { Hints, HintsOptions } from "./hints.js";
import { Leader } from "./leader.js";
import type { Answer, Merge, Rejection, Request, Schema } from "./protocol.js";
import { Pending, Replica } from "./replica.js";
import { SyncError, Transport, TransportOptions } from "./transport.js";

export type State = "waiting" | "syncing" | "synced" | "offline" | "unauthorized" | "outdated" | "failed" | "stopped";

export interface Status {
  state: State;
  /** Changes that are not on the server yet. */
  pending: number;
  /** Rows that this sync has received so far. */
  received: number;
  lastSyncAt: string | null;
  error?: SyncError;
  /** Is it this tab that syncs? The others hear from it. */
  leads: boolean;
}

/** What one tab tells the others. Errors lose what they are on the way, so their parts are sent. */
type Note =
  | { kind: "hello" | "wake" }
  | { kind: "edited" | "applied"; tables: string[] }
  | { kind: "rejected"; rows: Rejection[] }
  | { kind: "merged"; rows: Merge[] }
  | { kind: "status"; status: Omit<Status, "error" | "leads">; error?: [string, number, string, number] };

export interface ClientOptions extends TransportOptions {
  app: string;
  db: Database;
  /** How long after a local edit the push begins, so that several edits go together. */
  debounceMs?: number;
  /** Sync at least so often, whatever happens; hints may get lost. */
  intervalMs?: number;
  /** Rows of one push and of one page. */
  batch?: number;
  pageSize?: number;
  /** Listens to GET /api/events; false does without hints. */
  hints?: false | Partial<HintsOptions>;
  /** One of several tabs syncs, and all of them are told by the functions below; false when this is the only one that has the database. */
  elect?: boolean;
  onStatus?: (status: Status) => void;
  /** Rows that the server has not taken, and rows that went into others with the same natural key. */
  onRejected?: (rejected: Rejection[]) => void;
  onMerged?: (merged: Merge[]) => void;
  /** Rows of these tables have changed: through a sync, or in another tab. */
  onChanged?: (tables: string[]) => void;
}

const FIRST_RETRY_MS = 1000;
const LAST_RETRY_MS = 300000;

/**
 * Keeps a database and the server together: after edits, on hints, when the device comes online or the page comes into view, and now and then.
 * Any moment is a good one to be interrupted: what was not acknowledged is still in the outbox.
 */
export class SyncClient {
  private replica!: Replica;
  private readonly transport: Transport;
  private hints?: Hints;
  private leader?: Leader<Note>;
  private last?: { state: State; error?: SyncError };
  private timer?: ReturnType<typeof setTimeout>;
  private due = Infinity;
  private running?: Promise<void>;
  /** Somebody asked while a sync was under way: it may have been too late for it. */
  private again = false;
  private failures = 0;
  private stopped = false;
  private received = 0;
  private batch: number;
  /** A push whose answer did not come: it is sent again as it was, so that the server can tell that it knows it. */
  private unanswered?: { body: Request; pushed: Pending[] };

  constructor(private readonly options: ClientOptions) {
    this.transport = new Transport(options);
    this.batch = options.batch ?? 500;
  }

  /** Opens the database, then syncs until stop(). Without a network it needs to have been started before with one. */
  async start(): Promise<void> {
    this.stopped = false;
    this.replica = new Replica(this.options.db, await this.loadSchema());
    this.replica.open(randomId());
    this.finishMigration();
    if (this.options.elect !== false) {
      this.leader = new Leader<Note>(`tidegate-sync:${this.options.app}`, () => this.lead(), (note) => this.hear(note));
      this.leader.start();
      this.leader.say({ kind: "hello" });
    } else {
      this.lead();
    }
    this.listen("addEventListener");
  }

  stop(): void {
    this.stopped = true;
    clearTimeout(this.timer);
    this.hints?.close();
    this.hints = undefined;
    this.leader?.close();
    this.listen("removeEventListener");
    this.tell("stopped");
  }

  /** The app has written to the database, to these tables if it says so. Cheap; call it after every edit. */
  changed(...tables: string[]): void {
    this.leader?.say({ kind: "edited", tables });
    this.edited();
  }

  /** Somebody looks at the app again, or the network is back: sync soon. A worker hears neither of its window's focus; its page passes it on. */
  wake(): void {
    if (this.leader && !this.leader.leads) this.leader.say({ kind: "wake" });
    else this.schedule(0);
  }

  /** Syncs now; resolves when everything is pushed and pulled, rejects with what went wrong. */
  async sync(): Promise<void> {
    while (this.running) await this.running.catch(() => undefined);
    await this.run();
  }

  /** Do this database and the server agree? Undefined while there is something that one of them cannot know yet. */
  async check(): Promise<boolean | undefined> {
    const at = this.replica.lastSyncAt;
    if (!at || this.replica.pendingCount()) return undefined;
    const said = await this.transport.call<{ upToDate: boolean; tables: Record<string, { rows: number; checksum: number | string }> }>(
      "GET", `/api/sync/check?app=${encodeURIComponent(this.options.app)}&at=${encodeURIComponent(at)}`);
    if (!said.upToDate) return undefined;
    const own = this.replica.checksums();
    return Object.entries(said.tables).every(([name, of]) => own[name]?.rows === of.rows && String(own[name].checksum) === String(of.checksum));
  }

  // ------------------------------------------------------------------------------------------------------------ when

  private lead(): void {
    if (this.stopped) return;
    if (this.options.hints !== false && !this.hints)
      this.hints = new Hints({
        ...this.options.hints,
        url: this.options.url,
        app: this.options.app,
        ticket: this.options.hints?.ticket ?? (() => this.ticket()),
        deviceId: () => this.replica.deviceId,
        onHint: () => this.schedule(0),
      });
    this.schedule(0);
  }

  private async ticket(): Promise<string> {
    return (await this.transport.call<{ ticket: string }>("POST", "/api/events/tickets", { app: this.options.app })).ticket;
  }

  private readonly woken = (): void => {
    if (typeof document === "undefined" || document.visibilityState !== "hidden") this.wake();
  };

  /** Something that another tab has said. */
  private hear(note: Note): void {
    const { options } = this;
    if (note.kind === "wake") this.schedule(0);
    else if (note.kind === "hello" && this.leader?.leads && this.last) this.tell(this.last.state, this.last.error);
    else if (note.kind === "rejected") options.onRejected?.(note.rows);
    else if (note.kind === "merged") options.onMerged?.(note.rows);
    else if (note.kind === "status" && !this.leader?.leads) options.onStatus?.({ ...note.status, leads: false, error: note.error && new SyncError(...note.error) });
    else if (note.kind === "edited" || note.kind === "applied") {
      if (note.tables.length) options.onChanged?.(note.tables);
      if (note.kind === "edited") this.edited();
    }
  }

  private edited(): void {
    if (this.leader && !this.leader.leads) return;
    this.schedule(this.options.debounceMs ?? 2000);
    if (this.last && !this.stopped) this.tell(this.last.state === "synced" ? "waiting" : this.last.state, this.last.error);
  }

  private listen(how: "addEventListener" | "removeEventListener"): void {
    const target = globalThis as unknown as Partial<EventTarget>;
    for (const event of ["online", "focus"]) target[how]?.(event, this.woken);
    if (typeof document !== "undefined") document[how]("visibilitychange", this.woken);
  }

  /** The earlier of what is planned and what is asked for. */
  private schedule(delayMs: number): void {
    if (this.stopped || (this.leader && !this.leader.leads)) return;
    if (this.running) {
      this.again = true;
      return;
    }
    const at = Date.now() + delayMs;
    if (at >= this.due) return;
    clearTimeout(this.timer);
    this.due = at;
    this.timer = setTimeout(() => void this.run().catch(() => undefined), delayMs);
  }

  private run(): Promise<void> {
    clearTimeout(this.timer);
    this.due = Infinity;
    this.again = false;
    const work = (): Promise<void> => this.syncAll();
    this.running = (this.leader ? this.leader.alone(work) : work())
      .then(() => this.succeeded())
      .catch((error: unknown) => this.failed(error instanceof SyncError ? error : new SyncError(String(error), -1, "client")))
      .finally(() => (this.running = undefined))
      .then(() => this.plan());
    return this.running;
  }

  private succeeded(): void {
    this.failures = 0;
    this.tell("synced");
  }

  private failed(error: SyncError): never {
    this.failures++;
    const state: State = error.status === 0 ? "offline" : error.status === 401 ? "unauthorized" : error.status === 409 ? "outdated" : "failed";
    this.tell(state, error);
    // What asking again cannot help waits for the interval, or for somebody to do something about it.
    const wait = error.transient ? Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** (this.failures - 1)) * (0.5 + Math.random()) : this.interval;
    this.again = false;
    setTimeout(() => this.schedule(Math.max(wait, error.retryAfterMs)), 0);
    throw error;
  }

  private get interval(): number {
    return this.options.intervalMs ?? 300000;
  }

  private plan(): void {
    this.schedule(this.again ? 0 : this.interval);
  }

  private tell(state: State, error?: SyncError): void {
    const known = this.replica !== undefined;
    const status = { state, received: this.received, pending: known ? this.replica.pendingCount() : 0, lastSyncAt: known ? this.replica.lastSyncAt : null };
    const leads = this.leader ? this.leader.leads : !this.stopped;
    this.last = { state, error };
    if (leads) this.leader?.say({ kind: "status", status, error: error && [error.message, error.status, error.code, error.retryAfterMs] });
    this.options.onStatus?.({ ...status, error, leads });
  }

  // ------------------------------------------------------------------------------------------------------------ what

  private get path(): string {
    return `/api/sync?app=${encodeURIComponent(this.options.app)}`;
  }

  private async syncAll(): Promise<void> {
    this.received = 0;
    this.tell("syncing");
    for (;;) {
      const { body, pushed } = (this.unanswered ??= this.nextPush());
      const answer = await this.push(body);
      if (!answer) continue;
      this.unanswered = undefined;
      if (answer.resync) {
        this.replica.startAnew();
        continue;
      }
      this.replica.settle(await this.pull(answer, pushed, body.lastSyncAt));
      this.forget("migration_from");
      if (this.stopped || !this.replica.pending(1).length) return;
    }
  }

  /** Undefined: it was too much at once, and a smaller push is to follow. */
  private async push(body: Request): Promise<Answer | undefined> {
    try {
      return await this.transport.call<Answer>("POST", this.path, body);
    } catch (error) {
      if (error instanceof SyncError && !error.transient) this.unanswered = undefined;
      if (!(error instanceof SyncError) || error.status !== 413 || body.changes.length < 2) throw error;
      this.batch = Math.ceil(body.changes.length / 2);
      return undefined;
    }
  }

  /** All pages of an answer; the timestamp of the last one. */
  private async pull(first: Answer, pushed: Pending[], lastSyncAt: string | null): Promise<string> {
    this.take(first, pushed);
    let answer = first;
    while (answer.hasMore) {
      answer = await this.transport.call<Answer>("POST", this.path, this.request([], lastSyncAt, answer.nextCursor ?? undefined));
      this.take(answer, []);
    }
    return answer.timestamp;
  }

  private nextPush(): { body: Request; pushed: Pending[] } {
    const pushed = this.replica.pending(this.batch);
    const body = this.request(pushed.map((p) => this.replica.changeOf(p)), this.replica.lastSyncAt);
    if (pushed.length) body.requestId = randomId();
    return { body, pushed };
  }

  private request(changes: Request["changes"], lastSyncAt: string | null, pullCursor?: string): Request {
    const from = this.remembered("migration_from");
    return {
      changes, lastSyncAt, schemaVersion: this.replica.schema.version, deviceId: this.replica.deviceId,
      ...(pullCursor ? { pullCursor } : {}), ...(this.options.pageSize ? { pageSize: this.options.pageSize } : {}),
      ...(from ? { migration: { from: Number(from) } } : {}),
    };
  }

  private take(answer: Answer, pushed: Pending[]): void {
    this.replica.apply(answer, pushed);
    this.received += answer.changes.length;
    const { rejected, merged } = answer;
    const tables = [...new Set([...answer.changes, ...rejected].map((c) => c.table))];
    if (rejected.length) {
      this.options.onRejected?.(rejected);
      this.leader?.say({ kind: "rejected", rows: rejected });
    }
    if (merged.length) {
      this.options.onMerged?.(merged);
      this.leader?.say({ kind: "merged", rows: merged });
    }
    if (tables.length) {
      this.options.onChanged?.(tables);
      this.leader?.say({ kind: "applied", tables });
    }
    this.tell("syncing");
  }

  // ---------------------------------------------------------------------------------------------------------- schema

  private remembered(name: string): string | undefined {
    const [row] = this.options.db.all("SELECT value FROM sync_client WHERE name = ?", [name]);
    return row ? String(row[0]) : undefined;
  }

  private remember(name: string, value: string): void {
    this.options.db.run("INSERT OR REPLACE INTO sync_client (name, value) VALUES (?, ?)", [name, value]);
  }

  private forget(name: string): void {
    this.options.db.run("DELETE FROM sync_client WHERE name = ?", [name]);
  }

  /** The declaration, from the server or, offline, as it was last time. One that has grown brings the statements that make the tables grow. */
  private async loadSchema(): Promise<Schema> {
    this.options.db.run("CREATE TABLE IF NOT EXISTS sync_client (name TEXT PRIMARY KEY, value TEXT NOT NULL)");
    const stored = this.remembered("schema");
    const known = stored ? (JSON.parse(stored) as Schema) : undefined;
    const address = `/api/sync/schema?app=${encodeURIComponent(this.options.app)}`;
    try {
      let schema = await this.transport.call<Schema>("GET", address);
      if (known && known.version < schema.version) {
        const from = this.remembered("migration_from") ?? String(known.version);
        schema = await this.transport.call<Schema>("GET", `${address}&from=${from}`);
        this.remember("migration_from", from);
        this.remember("migration_todo", "1");
      }
      this.remember("schema", JSON.stringify(schema));
      return schema;
    } catch (error) {
      if (known && error instanceof SyncError && error.transient) return known;
      throw error;
    }
  }

  private finishMigration(): void {
    if (!this.remembered("migration_todo")) return;
    this.options.db.run("UPDATE sync_control SET schema_version = ?", [this.replica.schema.version]);
    this.forget("migration_todo");
  }
}

export function randomId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 15) | 64;
  bytes[8] = (bytes[8] & 63) | 128;
  const hex = [...bytes].map((b) => b.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
