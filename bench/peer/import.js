// The peer of the import benchmark: FILE (CSV, semicolons) into crm.lead, as a good engineer would write it in Node.
// Honestly tuned: PapaParse as a stream with back pressure; prepared statements over arrays (unnest), several in flight on a
// pool; no wait for the disk between batches; staging unlogged and analysed before it is joined; duplicates found in sets;
// one process per two cores (PEER_PROCESSES for another number). Contract of the original importer: staged by 500 rows, inserted by 100.
// It does less than the gate: no upload, no hash, no sandbox, no history of leads, no error report, no row-level security, no
// resume after a crash. Prints one line of JSON.
import { fork } from 'node:child_process';
import { createReadStream } from 'node:fs';
import { availableParallelism } from 'node:os';
import Papa from 'papaparse';
import pg from 'pg';
import { FIELDS, mapHeadings, readRow } from './lead.js';

const STAGE_ROWS = 500, INSERT_ROWS = 100, CONNECTIONS = 4, SPACE = 'demo';
const columns = FIELDS.join(', ');
const pool = new pg.Pool({ connectionString: process.env.PEER_DATABASE, max: CONNECTIONS, options: '-c synchronous_commit=off' });

// Runs tasks with at most CONNECTIONS under way. push() waits for room, end() for all of them.
class Lanes {
	busy = new Set();
	async push(task) {
		while (this.busy.size >= CONNECTIONS) await Promise.race(this.busy);
		const running = task().finally(() => this.busy.delete(running));
		this.busy.add(running);
	}
	end() {
		return Promise.all(this.busy);
	}
}

async function stage(file) {
	const lanes = new Lanes();
	const text = `INSERT INTO bench_staging (row_no, raw, reasons, ${columns})
		SELECT * FROM unnest($1::int[], $2::jsonb[], $3::text[], ${FIELDS.map((_, i) => `$${i + 4}::text[]`).join(', ')})`;
	let places = null, rows = 0, batch = [];
	const send = (lines) => lanes.push(() => {
		const values = [[], [], [], ...FIELDS.map(() => [])];
		for (const { number, cells, row } of lines) {
			values[0].push(number);
			values[1].push(JSON.stringify(cells));
			values[2].push(row.reasons);
			for (let f = 0; f < FIELDS.length; f++) values[f + 3].push(row.values[f]);
		}
		return pool.query({ name: 'stage', text, values });
	});
	const take = async (lines) => {
		for (const cells of lines) {
			if (!places) {
				places = mapHeadings(cells);
				continue;
			}
			batch.push({ number: ++rows, cells, row: readRow(cells, places) });
			if (batch.length === STAGE_ROWS) {
				await send(batch);
				batch = [];
			}
		}
	};
	await new Promise((resolve, reject) => {
		let last = Promise.resolve();
		Papa.parse(createReadStream(file, { highWaterMark: 1 << 18 }), {
			delimiter: ';',
			skipEmptyLines: true,
			chunk(results, parser) {
				parser.pause();
				last = take(results.data).then(() => parser.resume(), reject);
			},
			complete: () => last.then(resolve),
			error: reject,
		});
	});
	if (batch.length) await send(batch);
	await lanes.end();
	return rows;
}

// The first row of a contact stays; what the table has already stays away.
const DUPLICATES = `UPDATE bench_staging SET duplicate = true WHERE row_no IN (
	${['email', 'phone', 'external_id'].map((key) => `
	SELECT row_no FROM (SELECT row_no, row_number() OVER (PARTITION BY ${key} ORDER BY row_no) AS turn FROM bench_staging
		WHERE reasons IS NULL AND ${key} IS NOT NULL) AS turns WHERE turn > 1
	UNION ALL
	SELECT s.row_no FROM bench_staging s JOIN crm.lead l ON l.${key === 'email' ? 'email_key' : key} = s.${key}
		WHERE s.reasons IS NULL AND l.deleted_at IS NULL AND l.space = '${SPACE}'`).join(' UNION ALL ')})`;

async function insert(from, to) {
	const lanes = new Lanes();
	const text = `INSERT INTO crm.lead (space, ${columns}) SELECT '${SPACE}', ${columns} FROM bench_staging
		WHERE row_no > $1 AND row_no <= $2 AND reasons IS NULL AND NOT duplicate ON CONFLICT DO NOTHING`;
	let inserted = 0;
	for (let at = from; at < to; at += INSERT_ROWS)
		await lanes.push(async () => {
			const { rowCount } = await pool.query({ name: 'insert', text, values: [at, Math.min(at + INSERT_ROWS, to)] });
			inserted += rowCount;
		});
	await lanes.end();
	return inserted;
}

// A share of the rows in a process of its own.
function insertElsewhere(from, to) {
	return new Promise((resolve, reject) => {
		const child = fork(new URL(import.meta.url), ['--rows', from, to]);
		child.once('message', resolve);
		child.once('exit', (status) => status && reject(new Error(`a process ended with ${status}`)));
	});
}

async function insertAll(rows) {
	const processes = Number(process.env.PEER_PROCESSES) || Math.max(1, Math.floor(availableParallelism() / 2));
	const share = Math.ceil(rows / processes), shares = [insert(0, Math.min(share, rows))];
	for (let from = share; from < rows; from += share) shares.push(insertElsewhere(from, Math.min(from + share, rows)));
	return (await Promise.all(shares)).reduce((sum, inserted) => sum + inserted, 0);
}

async function main(file) {
	const begin = performance.now(), seconds = () => Number(((performance.now() - begin) / 1000).toFixed(2));
	await pool.query(`DROP TABLE IF EXISTS bench_staging;
		CREATE UNLOGGED TABLE bench_staging (row_no int, raw jsonb, reasons text, duplicate boolean NOT NULL DEFAULT false, ${FIELDS.map((f) => `${f} text COLLATE "C"`).join(', ')})`);
	const rows = await stage(file), staged = seconds();
	await pool.query('CREATE INDEX ON bench_staging (row_no)');
	await pool.query('ANALYZE bench_staging');
	const duplicates = (await pool.query(DUPLICATES)).rowCount, compared = seconds();
	const inserted = await insertAll(rows), total = seconds();
	const { rows: [{ invalid }] } = await pool.query('SELECT count(*)::int AS invalid FROM bench_staging WHERE reasons IS NOT NULL');
	await pool.query('DROP TABLE bench_staging');
	console.log(JSON.stringify({ seconds: total, staged, compared, rows, inserted, duplicates, invalid, megabytes: Math.round(process.resourceUsage().maxRSS / 1024) }));
}

if (process.argv[2] === '--rows') process.send(await insert(Number(process.argv[3]), Number(process.argv[4])));
else await main(process.argv[2]);
await pool.end();
if (process.connected) process.disconnect();
