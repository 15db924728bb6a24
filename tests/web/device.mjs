/* A browser's tab of the tests: web/sync on SQLite WASM, driven by lines of JSON on standard input; answers come one per line. */
import { createInterface } from "node:readline";
import { webcrypto } from "node:crypto";
import { pathToFileURL } from "node:url";

globalThis.crypto ??= webcrypto;
const [, , packages, module] = process.argv;
const sqlite3InitModule = (await import(pathToFileURL(`${packages}/node_modules/@sqlite.org/sqlite-wasm/dist/node.mjs`).href)).default;
const { SyncClient, ofWasm } = await import(pathToFileURL(`${module}/index.js`).href);
const sqlite3 = await sqlite3InitModule({ print() {}, printErr() {} });
const wasm = new sqlite3.oo1.DB(":memory:");
const db = ofWasm(wasm);

const seen = { statuses: [], rejected: [], merged: [], changed: [], requests: [], sources: [] };
const clients = [];
let token = "", renewed, faults = [], atAnswer;

/* Locks as browsers have them, as far as they are used: one holder for each name, the next in line after it. */
const queues = new Map();
const locks = {
  async request(name, options, work = options) {
    const { signal } = options;
    const before = queues.get(name) ?? Promise.resolve();
    let free;
    queues.set(name, new Promise((resolve) => (free = resolve)));
    try {
      await Promise.race([before, new Promise((_, reject) => signal?.addEventListener("abort", () => reject(new Error("AbortError"))))]);
      return await work();
    } finally {
      free();
    }
  },
};
Object.defineProperty(globalThis, "navigator", { value: { locks }, configurable: true });

/* The network: real, unless a fault is due. "down": no connection; "lost": the server did it, its answer does not come. */
async function network(url, options) {
  const fault = faults.shift();
  seen.requests.push({ method: options.method, url, body: options.body ? JSON.parse(options.body) : null });
  if (fault === "down") throw new TypeError("fetch failed");
  const answer = await fetch(url, options);
  if (fault === "lost") throw new TypeError("terminated");
  if (atAnswer && url.includes("/api/sync?")) {
    const sql = atAnswer;
    atAnswer = undefined;
    wasm.exec(sql);
  }
  return answer;
}

class FakeSource extends EventTarget {
  constructor(url) {
    super();
    this.url = url;
    this.closed = false;
    seen.sources.push(this);
  }
  close() {
    this.closed = true;
  }
}

/* EventSource as browsers have it, as far as it is used, except that it never reconnects by itself. */
class RealSource extends EventTarget {
  constructor(url) {
    super();
    this.url = url;
    this.opened = false;
    this.closed = false;
    this.abort = new AbortController();
    seen.sources.push(this);
    this.read().catch(() => this.closed || this.onerror?.());
  }
  async read() {
    const answer = await fetch(this.url, { headers: { Accept: "text/event-stream" }, signal: this.abort.signal });
    if (answer.status !== 200) throw new Error(`status ${answer.status}`);
    this.opened = true;
    this.onopen?.();
    let text = "";
    for await (const piece of answer.body.pipeThrough(new TextDecoderStream())) {
      const events = (text + piece).split("\n\n");
      text = events.pop();
      for (const event of events) {
        const lines = event.split("\n");
        const value = (name) => lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
        if (value("data") === undefined) continue;
        const message = Object.assign(new Event(value("event") ?? "message"), { data: value("data") });
        if (message.type === "message") this.onmessage?.(message);
        else this.dispatchEvent(message);
      }
    }
    throw new Error("the stream ended");
  }
  close() {
    this.closed = true;
    this.abort.abort();
  }
}

const commands = {
  async start({ url, app, options = {}, as = token, hints = false }) {
    token = as;
    const client = new SyncClient({
      app, url, db, debounceMs: 20, ...options, fetch: network,
      token: async (renew) => (renew && renewed ? (token = renewed) : token),
      hints: hints === "real" ? { source: (address) => new RealSource(address) } : hints ? { ticket: async () => `ticket-${seen.sources.length}`, source: (address) => new FakeSource(address) } : false,
      onStatus: (status) => seen.statuses.push({ ...status, error: status.error && { status: status.error.status, code: status.error.code } }),
      onRejected: (rejected) => seen.rejected.push(...rejected),
      onMerged: (merged) => seen.merged.push(...merged),
      onChanged: (tables) => seen.changed.push(...tables),
    });
    clients.push(client);
    await client.start();
  },
  sql: ({ sql, values = [] }) => db.all(sql, values),
  run: ({ sql }) => void wasm.exec(sql),
  changed: ({ client = 0 }) => clients[client].changed(),
  sync: ({ client = 0 }) => clients[client].sync(),
  check: () => clients[0].check(),
  stop: ({ client = 0 }) => clients[client].stop(),
  faults: ({ list }) => void (faults = list),
  atAnswer: ({ sql }) => void (atAnswer = sql),
  tokens: ({ now, renewedBy }) => void ((token = now ?? token), (renewed = renewedBy)),
  online: () => void globalThis.dispatchEvent(new Event("online")),
  hint: ({ data }) => void seen.sources.at(-1).onmessage?.({ data: JSON.stringify(data) }),
  opened: () => void seen.sources.at(-1).onopen?.(),
  broken: () => void seen.sources.at(-1).onerror?.(),
  seen: () => ({ ...seen, sources: seen.sources.map(({ url, closed, opened = false }) => ({ url, closed, opened })) }),
};
const events = new EventTarget();
globalThis.addEventListener = events.addEventListener.bind(events);
globalThis.removeEventListener = events.removeEventListener.bind(events);
globalThis.dispatchEvent = events.dispatchEvent.bind(events);

for await (const line of createInterface({ input: process.stdin })) {
  const { cmd, ...rest } = JSON.parse(line);
  try {
    console.log(JSON.stringify({ result: (await commands[cmd](rest)) ?? null }));
  } catch (error) {
    console.log(JSON.stringify({ error: { message: String(error.message), status: error.status ?? null, code: error.code ?? null } }));
  }
}
process.exit(0);
