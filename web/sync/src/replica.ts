import { Database, transaction } from "./database.js";
import type { Answer, Change, Merge, Rejection, Row, Schema, Table, Value } from "./protocol.js";

/** An entry of the outbox: one change that the triggers have seen. */
export interface Pending {
  seq: number;
  table: string;
  rowId: string;
  operation: string;
  changedAt: number;
}

const quote = (name: string): string => `"${name.replace(/"/g, '""')}"`;

/** Microseconds since 1970 as ISO 8601, and back. Doubles hold them exactly until the year 2255. */
export function isoOf(us: number): string {
  const fraction = ((us % 1e6) + 1e6) % 1e6;
  return `${new Date((us - fraction) / 1000).toISOString().slice(0, 19)}.${String(fraction).padStart(6, "0")}Z`;
}

export function microsecondsOf(text: string): number {
  const [seconds, fraction = ""] = text.replace(/Z$/, "").split(".");
  return Date.parse(`${seconds}Z`) * 1000 + Number(fraction.slice(0, 6).padEnd(6, "0"));
}

/** The local side: tables, outbox and control row of one app, and how answers of the server are applied to them. Knows no network. */
export class Replica {
  private tables = new Map<string, Table>();

  constructor(readonly db: Database, readonly schema: Schema) {
    for (const table of schema.tables) this.tables.set(table.name, table);
  }

  /** Makes the tables and triggers, and the identity of this device, where they are missing. */
  open(deviceId: string): void {
    // Between two pages a child may be there before its parent.
    this.db.run("PRAGMA foreign_keys = OFF");
    transaction(this.db, () => {
      for (const statement of this.schema.sqlite.statements) this.db.run(statement);
      this.db.run("INSERT OR IGNORE INTO sync_control (id, app, schema_version, device_id) VALUES (1, ?, ?, ?)", [this.schema.app, this.schema.version, deviceId]);
    });
  }

  control(column: string): Value {
    return this.db.all(`SELECT ${column} FROM sync_control`)[0][0];
  }

  get deviceId(): string {
    return String(this.control("device_id"));
  }

  get lastSyncAt(): string | null {
    return this.control("last_sync_at") as string | null;
  }

  pendingCount(): number {
    return Number(this.db.all("SELECT count(*) FROM sync_outbox")[0][0]);
  }

  /** What is to be pushed next: parents before children, deletes after everything else and children first. */
  pending(limit: number): Pending[] {
    const order = new Map([...this.tables.keys()].map((name, n) => [name, n] as [string, number]));
    const place = (p: Pending): number => (p.operation === "DELETE" ? 1e6 - (order.get(p.table) ?? 0) : order.get(p.table) ?? 0);
    return this.db
      .all("SELECT seq, table_name, row_id, operation, changed_at FROM sync_outbox ORDER BY seq")
      .map(([seq, table, rowId, operation, changedAt]) => ({ seq, table, rowId, operation, changedAt } as Pending))
      .filter((p) => this.tables.has(p.table))
      .sort((a, b) => place(a) - place(b) || a.seq - b.seq)
      .slice(0, limit);
  }

  private keyOf(table: Table, rowId: string): Row {
    const values: Record<string, unknown> = table.key.length > 1 ? JSON.parse(rowId) : { [table.key[0]]: rowId };
    const whole = new Set(table.columns.filter((c) => c.type === "integer" || c.type === "bigint").map((c) => c.name));
    return Object.fromEntries(table.key.map((name) => [name, whole.has(name) ? Number(values[name]) : (values[name] as Value)]));
  }

  private static where(key: Row): [string, Value[]] {
    return [Object.keys(key).map((name) => `${quote(name)} = ?`).join(" AND "), Object.values(key)];
  }

  /** The row as it is now; one that is gone was deleted when the trigger saw it. */
  changeOf(pending: Pending): Change {
    const table = this.tables.get(pending.table)!;
    const key = this.keyOf(table, pending.rowId);
    const [where, values] = Replica.where(key);
    const names = table.columns.map((c) => c.name);
    const [row] = this.db.all(`SELECT ${names.map(quote).join(", ")}, last_modified_at FROM ${quote(table.name)} WHERE ${where}`, values);
    const at = row ? Number(row[names.length]) : pending.changedAt;
    return {
      table: pending.table,
      rowId: pending.rowId,
      data: row ? Object.fromEntries(names.map((name, i) => [name, row[i]])) : key,
      deleted: !row,
      lastModifiedAt: isoOf(at),
    };
  }

  /** One page of an answer, in one transaction: what was pushed leaves the outbox, rows change silently, and nothing that is not pushed yet is touched. */
  apply(answer: Answer, pushed: Pending[] = []): void {
    transaction(this.db, () => {
      this.db.run("UPDATE sync_control SET disabled = 1");
      for (const { seq } of pushed) this.db.run("DELETE FROM sync_outbox WHERE seq = ?", [seq]);
      for (const rejection of answer.rejected) this.giveUp(rejection);
      for (const change of answer.changes) this.applyOne(change);
      this.db.run("UPDATE sync_control SET disabled = 0");
      for (const merge of answer.merged) this.follow(merge);
    });
  }

  /** After the last page: everything up to there is here. */
  settle(timestamp: string): void {
    this.db.run("UPDATE sync_control SET last_sync_at = ?", [timestamp]);
  }

  isPending(table: string, rowId: string): boolean {
    return this.db.all("SELECT 1 FROM sync_outbox WHERE table_name = ? AND row_id = ? LIMIT 1", [table, rowId]).length > 0;
  }

  private applyOne(change: Change): void {
    const table = this.tables.get(change.table);
    const stamp = microsecondsOf(change.lastModifiedAt);
    this.db.run("UPDATE sync_control SET clock = max(clock, ?)", [stamp]);
    if (!table || this.isPending(change.table, change.rowId)) return;
    const [where, values] = Replica.where(this.keyOf(table, change.rowId));
    if (change.deleted) {
      this.db.run(`DELETE FROM ${quote(table.name)} WHERE ${where}`, values);
      return;
    }
    const names = table.columns.map((c) => c.name).filter((name) => Object.prototype.hasOwnProperty.call(change.data, name));
    const places = names.concat("last_modified_at");
    this.db.run(`INSERT OR REPLACE INTO ${quote(table.name)} (${places.map(quote).join(", ")}) VALUES (${places.map(() => "?").join(", ")})`, [
      ...names.map((name) => change.data[name]),
      stamp,
    ]);
  }

  /** The server will not take this change: it is undone, unless the row was changed again; what is stored, if anything, is in the answer. */
  private giveUp({ table: name, rowId }: Rejection): void {
    const table = this.tables.get(name);
    if (!table || this.isPending(name, rowId)) return;
    const [where, values] = Replica.where(this.keyOf(table, rowId));
    this.db.run(`DELETE FROM ${quote(name)} WHERE ${where}`, values);
  }

  /** Rows that refer to the one that went into another follow it, as edits of their own. */
  private follow({ table: name, rowId, mergedInto }: Merge): void {
    const merged = this.tables.get(name);
    if (!merged) return;
    const from = Object.values(this.keyOf(merged, rowId));
    const to = Object.values(this.keyOf(merged, mergedInto));
    for (const table of this.tables.values())
      for (const reference of table.references.filter((r) => r.table === name)) {
        const equal = reference.columns.map((column) => `${quote(column)} = ?`);
        this.db.run(`UPDATE OR IGNORE ${quote(table.name)} SET ${equal.join(", ")} WHERE ${equal.join(" AND ")}`, [...to, ...from]);
      }
  }

  /** Fresh tables. Rows that were made here and never pushed stay; changes of what the server has are dropped with it. */
  startAnew(): void {
    transaction(this.db, () => {
      this.db.run("UPDATE sync_control SET disabled = 1, last_sync_at = NULL");
      this.db.run("DELETE FROM sync_outbox WHERE operation <> 'INSERT'");
      for (const table of this.tables.values()) {
        const kept = new Set(this.db.all("SELECT row_id FROM sync_outbox WHERE table_name = ?", [table.name]).map(([id]) => String(id)));
        const keys = this.db.all(`SELECT ${table.key.map(quote).join(", ")} FROM ${quote(table.name)}`);
        for (const values of keys) {
          const key: Row = Object.fromEntries(table.key.map((name, i) => [name, values[i]]));
          if (kept.has(this.idOf(table, key))) continue;
          const [where, bound] = Replica.where(key);
          this.db.run(`DELETE FROM ${quote(table.name)} WHERE ${where}`, bound);
        }
      }
      this.db.run("UPDATE sync_control SET disabled = 0");
    });
  }

  private idOf(table: Table, key: Row): string {
    return table.key.length > 1 ? JSON.stringify(key) : String(key[table.key[0]]);
  }

  /** Rows and checksum of every table, to be compared with GET /api/sync/check. */
  checksums(): Record<string, { rows: number; checksum: Value }> {
    return Object.fromEntries(this.db.all(this.schema.sqlite.check).map(([name, rows, checksum]) => [String(name), { rows: Number(rows), checksum }]));
  }
}
