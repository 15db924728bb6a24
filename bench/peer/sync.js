// The peer of the sync benchmark: POST /api/sync in Hono and pg as such workers are commonly written: one upsert per row in a transaction, then the rows
// changed since. Tuned honestly: one process per core, kept connections, prepared statements, tokens verified with node:crypto.
import cluster from 'node:cluster';
import { createHmac, timingSafeEqual } from 'node:crypto';
import { serve } from '@hono/node-server';
import { Hono } from 'hono';
import pg from 'pg';

const [, , port, processes] = process.argv;
const secret = process.env.PEER_SECRET;

if (cluster.isPrimary) {
	for (let i = 0; i < Number(processes); i++) cluster.fork();
	process.on('SIGTERM', () => process.exit(0));
} else {
	const pool = new pg.Pool({ connectionString: process.env.PEER_DATABASE, max: 4 });
	const app = new Hono();
	const verify = (header) => {
		const [head, body, signature] = (header?.startsWith('Bearer ') ? header.slice(7) : '').split('.');
		if (!signature) return null;
		const expected = createHmac('sha256', secret).update(`${head}.${body}`).digest();
		const given = Buffer.from(signature, 'base64url');
		if (given.length !== expected.length || !timingSafeEqual(given, expected)) return null;
		const claims = JSON.parse(Buffer.from(body, 'base64url'));
		return claims.exp > Date.now() / 1000 ? claims : null;
	};
	app.post('/api/sync', async (c) => {
		const claims = verify(c.req.header('authorization'));
		if (!claims) return c.json({ code: 'unauthorized' }, 401);
		const body = await c.req.json();
		const client = await pool.connect();
		try {
			await client.query('BEGIN');
			const now = new Date().toISOString();
			for (const { data, deleted, lastModifiedAt } of body.changes)
				await client.query({
					name: 'upsert',
					text: `INSERT INTO bench_sync.tune AS t (user_id, id, title, id_foreign, primary_origin, type, structure, mode, incipit, genre, composer, artist, release_year,
							deleted, last_modified_at, updated_at)
						VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16) ON CONFLICT (user_id, id) DO UPDATE SET title = excluded.title,
						id_foreign = excluded.id_foreign, primary_origin = excluded.primary_origin, type = excluded.type, structure = excluded.structure, mode = excluded.mode,
						incipit = excluded.incipit, genre = excluded.genre, composer = excluded.composer, artist = excluded.artist, release_year = excluded.release_year,
						deleted = excluded.deleted, last_modified_at = excluded.last_modified_at, updated_at = excluded.updated_at
						WHERE t.last_modified_at < excluded.last_modified_at`,
					values: [claims.sub, data.id, data.title, data.id_foreign, data.primary_origin, data.type, data.structure, data.mode, data.incipit, data.genre, data.composer,
						data.artist, data.release_year, deleted, lastModifiedAt, now],
				});
			const { rows } = await client.query({
				name: 'pull',
				text: 'SELECT * FROM bench_sync.tune WHERE user_id = $1 AND updated_at > $2 AND updated_at < $3 ORDER BY updated_at LIMIT 500',
				values: [claims.sub, body.lastSyncAt ?? '1970-01-01', now],
			});
			await client.query('COMMIT');
			return c.json({ changes: rows, timestamp: now });
		} catch (error) {
			await client.query('ROLLBACK');
			return c.json({ code: 'internal', message: String(error) }, 500);
		} finally {
			client.release();
		}
	});
	serve({ fetch: app.fetch, port: Number(port), hostname: '127.0.0.1' });
}
