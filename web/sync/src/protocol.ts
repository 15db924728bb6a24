/** What travels between a client and POST /api/sync; docs/sync.md explains every member. */

export type Value = string | number | null;
export type Row = Record<string, Value>;

export interface Change {
  table: string;
  /** The key as text; a key of several columns is a JSON object of them, in their order. */
  rowId: string;
  data: Row;
  deleted: boolean;
  lastModifiedAt: string;
  serverSeq?: number;
}

export interface Request {
  changes: Change[];
  lastSyncAt: string | null;
  schemaVersion: number;
  deviceId: string;
  requestId?: string;
  pageSize?: number;
  pullCursor?: string;
  migration?: { from: number };
}

export interface Rejection {
  table: string;
  rowId: string;
  code: string;
  message: string;
}

export interface Merge {
  table: string;
  rowId: string;
  mergedInto: string;
}

export interface Answer {
  changes: Change[];
  timestamp: string;
  hasMore: boolean;
  nextCursor?: string | null;
  rejected: Rejection[];
  merged: Merge[];
  resync: boolean;
}

export interface Column {
  name: string;
  type: string;
}

export interface Reference {
  table: string;
  columns: string[];
}

export interface Table {
  name: string;
  key: string[];
  columns: Column[];
  references: Reference[];
  readOnly: boolean;
}

/** Answer of GET /api/sync/schema. */
export interface Schema {
  app: string;
  version: number;
  tables: Table[];
  sqlite: { statements: string[]; check: string };
  limits?: { maxChanges?: number; maxBytes?: number };
}
