import type { Value } from "./protocol.js";

/** What this module needs of an SQLite connection. Calls are synchronous: in a browser, SQLite lives in the worker where this runs. */
export interface Database {
  run(sql: string, parameters?: Value[]): void;
  all(sql: string, parameters?: Value[]): Value[][];
}

/** The object-oriented API of @sqlite.org/sqlite-wasm, as far as it is used. */
export interface WasmDatabase {
  exec(options: { sql: string; bind?: Value[]; rowMode?: "array"; returnValue?: "resultRows" }): unknown;
}

export function ofWasm(db: WasmDatabase): Database {
  return {
    run: (sql, parameters) => void db.exec(parameters?.length ? { sql, bind: parameters } : { sql }),
    all: (sql, parameters) =>
      db.exec({ sql, rowMode: "array", returnValue: "resultRows", ...(parameters?.length ? { bind: parameters } : {}) }) as Value[][],
  };
}

/** All of the work or nothing of it. */
export function transaction<T>(db: Database, work: () => T): T {
  db.run("BEGIN IMMEDIATE");
  try {
    const result = work();
    db.run("COMMIT");
    return result;
  } catch (error) {
    db.run("ROLLBACK");
    throw error;
  }
}
