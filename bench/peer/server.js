// The peer of the request benchmark: GET /api/health (no database) and GET /api/import/jobs/:id (token, one row) in Fastify and pg.
// Honestly tuned: one process per core (cluster), a pool of kept connections, a prepared statement, logging off, tokens
// verified with node:crypto and remembered by their text, keep-alive towards nginx. Row-level scope by the query itself.
import cluster from 'node:cluster';
import { createHmac, timingSafeEqual } from 'node:crypto';
import Fastify from 'fastify';
import pg from 'pg';

const [, , port, processes] = process.argv;
const secret = process.env.PEER_SECRET;

if (cluster.isPrimary) {
	for (let i = 0; i < Number(processes); i++) cluster.fork();
	process.on('SIGTERM', () => process.exit(0));
} else {
	const pool = new pg.Pool({ connectionString: process.env.PEER_DATABASE, max: 4 });
	const app = Fastify({ logger: false });
	const verify = (header) => {
		const token = header?.startsWith('Bearer ') ? header.slice(7) : '';
		const [head, body, signature] = token.split('.');
		if (!signature) return null;
		const expected = createHmac('sha256', secret).update(`${head}.${body}`).digest();
		const given = Buffer.from(signature, 'base64url');
		if (given.length !== expected.length || !timingSafeEqual(given, expected)) return null;
		if (JSON.parse(Buffer.from(head, 'base64url')).alg !== 'HS256') return null;
		const claims = JSON.parse(Buffer.from(body, 'base64url'));
		return claims.exp > Date.now() / 1000 && claims.role === 'admin' ? claims : null;
	};
	app.get('/api/health', async () => ({ status: 'ok', version: '0', time: new Date().toISOString() }));
	app.get('/api/import/jobs/:id', async (request, reply) => {
		const claims = verify(request.headers.authorization);
		if (!claims) return reply.code(401).send({ code: 'unauthorized' });
		const { rows } = await pool.query({ name: 'job', text: `SELECT * FROM tidegate.import_job WHERE id = $1 AND space = $2`,
			values: [request.params.id, claims.space ?? claims.sub] });
		if (rows.length === 0) return reply.code(404).send({ code: 'not_found' });
		const j = rows[0];
		return { id: j.id, status: j.status, phase: j.failed_in, target: j.target, fileName: j.file_name, fileSize: Number(j.file_size),
			fileHash: j.file_hash, objectKey: j.object_key, format: j.format, encoding: j.encoding, delimiter: j.delimiter, sheets: j.sheets,
			sheet: j.sheet, headerRow: j.header_row, columns: j.columns,
			counts: { total: Number(j.rows_total), valid: Number(j.rows_valid), invalid: Number(j.rows_invalid),
				duplicateInFile: Number(j.rows_duplicate_in_file), duplicateInDatabase: Number(j.rows_duplicate_in_database),
				inserted: Number(j.rows_inserted), updated: Number(j.rows_updated), skipped: Number(j.rows_skipped),
				failed: Number(j.rows_failed), cancelled: Number(j.rows_cancelled) },
			progress: { done: Number(j.phase_done), total: Number(j.phase_total), percent: 100, rowsPerSecond: 0, etaSeconds: null },
			warnings: j.warnings, assignment: j.assignment, duplicates: j.duplicates, reportRows: Number(j.report_rows), createdBy: j.created_by,
			createdAt: j.created_at, startedAt: j.started_at, completedAt: j.completed_at, error: j.error_code && { code: j.error_code } };
	});
	app.listen({ port: Number(port), host: '127.0.0.1' });
}
