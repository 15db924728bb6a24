/*
 * SQLite and sync of one tab: all tabs of this browser open the same file, and one of them syncs it. The page asks by {id, name, args} and is
 * answered {id, result} or {id, error}; what happens by itself comes as {event, …}.
 */
import sqlite3InitModule from "./sqlite/index.mjs";
import { SyncClient, ofWasm, randomId } from "./sync/index.js";

let db, client, token, starting;

const tell = (event, more = {}) => postMessage({ event, ...more });

async function open() {
	const sqlite3 = await sqlite3InitModule();
	// Tabs wait in line for the file by Web Locks; needs Cross-Origin-Opener-Policy and Cross-Origin-Embedder-Policy.
	const wasm = new sqlite3.oo1.OpfsWlDb("/tunes.db");
	wasm.exec("PRAGMA busy_timeout = 10000");
	return ofWasm(wasm);
}

async function start() {
	db ??= await open();
	client ??= new SyncClient({
		url: location.origin,
		app: "tunes",
		db,
		token: async () => token,
		debounceMs: 500,
		// Errors lose what they are on their way to the page, but for their sentence.
		onStatus: ({ error, ...status }) => tell("status", { status, error: error && { message: error.message, status: error.status } }),
		onChanged: (tables) => tell("changed", { tables }),
		onRejected: (rows) => tell("rejected", { rows }),
		onMerged: (rows) => tell("merged", { rows }),
	});
	await client.start();
}

function edit(sql, values) {
	db.run(sql, values);
	client.changed("tune");
}

const methods = {
	/** A start that failed, for want of a network, say, can be asked for again. */
	async start({ as }) {
		token = as;
		starting ??= start().catch((error) => {
			starting = undefined;
			throw error;
		});
		await starting;
		client.wake();
	},
	tunes: () =>
		db.all("SELECT id, title, mode, EXISTS (SELECT 1 FROM sync_outbox WHERE table_name = 'tune' AND row_id = tune.id) FROM tune ORDER BY title COLLATE NOCASE, id")
			.map(([id, title, mode, pending]) => ({ id, title, mode: mode ?? "", pending: pending === 1 })),
	add: ({ title, mode }) => edit("INSERT INTO tune (id, title, mode) VALUES (?, ?, ?)", [randomId(), title, mode || null]),
	rename: ({ id, title }) => edit("UPDATE tune SET title = ? WHERE id = ?", [title, id]),
	setMode: ({ id, mode }) => edit("UPDATE tune SET mode = ? WHERE id = ?", [mode || null, id]),
	remove: ({ id }) => edit("DELETE FROM tune WHERE id = ?", [id]),
	device: () => db.all("SELECT device_id FROM sync_control")[0][0],
	wake: () => client?.wake(),
	sync: () => client.sync(),
	check: () => client.check(),
};

addEventListener("message", async ({ data: { id, name, args } }) => {
	try {
		postMessage({ id, result: await methods[name](args) });
	} catch (error) {
		postMessage({ id, error: { message: error.message, status: error.status } });
	}
});
