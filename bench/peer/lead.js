// What the Node peer makes of a row of leads: a field per heading, values as the gate would have them, reasons against a row.
// The rules that a sheet of `tools/sample.c` meets, no more: it must not be slower for being cleverer.
export const FIELDS = ['external_id', 'first_name', 'last_name', 'email', 'phone', 'company', 'job_title', 'address', 'city', 'postal_code',
	'country', 'status', 'notes'];

const HEADINGS = { 'id externe': 'external_id', prenom: 'first_name', nom: 'last_name', email: 'email', telephone: 'phone', entreprise: 'company',
	fonction: 'job_title', adresse: 'address', ville: 'city', 'code postal': 'postal_code', pays: 'country', statut: 'status', notes: 'notes' };

const STATUSES = { nouveau: 'new', contacte: 'contacted', qualifie: 'qualified', proposition: 'proposal', 'en negociation': 'negotiation', gagne: 'won',
	perdu: 'lost', 'pas de reponse': 'no_answer', rdv: 'rdv', nrp1: 'no_answer_1', nrp2: 'no_answer_2', 'faux numero': 'wrong_number',
	'pas interesse': 'not_interested', depot: 'deposit', rappeler: 'callback', 'a rappeler': 'callback', relance: 'relance', mail: 'mail' };

const EMAIL = /^[^\s@]+@[^\s@]+\.[^\s@]+$/;
const plain = (text) => text.normalize('NFD').replace(/\p{M}/gu, '').toLowerCase().trim();
const statuses = new Map();

// Place of every field in a row, -1 where the file has none.
export function mapHeadings(headings) {
	const found = headings.map((heading) => HEADINGS[plain(heading)]);
	return FIELDS.map((field) => found.indexOf(field));
}

function status(text) {
	let value = statuses.get(text);
	if (value === undefined) statuses.set(text, (value = STATUSES[plain(text)] ?? 'new'));
	return value;
}

function phone(text) {
	const digits = text.replace(/^[pt]:/, '').replace(/\(0\)/, '').replace(/\D/g, '');
	if (text.includes('+')) return '+' + digits;
	if (digits.length === 10 && digits[0] === '0') return '+33' + digits.slice(1);
	if (digits.length === 9) return '+33' + digits;
	if (digits.startsWith('0033')) return '+' + digits.slice(2);
	if (digits.length === 11 && digits.startsWith('33')) return '+' + digits;
	return digits;
}

// Only names that were typed all small or all large.
function name(text) {
	const lower = text.toLowerCase();
	if (text !== lower && text !== text.toUpperCase()) return text;
	return lower.replace(/(^|[\s'-])\p{L}/gu, (letter) => letter.toUpperCase());
}

// Values in the order of FIELDS (null: empty) and the reasons against the row (null: it is valid).
export function readRow(cells, places) {
	const values = places.map((place) => (place >= 0 && cells[place]?.trim()) || null);
	let reasons = null;
	const refuse = (reason) => (reasons = reasons === null ? reason : `${reasons} ${reason}`);
	if (values[1]) values[1] = name(values[1]);
	if (values[2]) values[2] = name(values[2]);
	if (values[3]) {
		values[3] = values[3].toLowerCase();
		if (!EMAIL.test(values[3])) refuse('email_invalid');
	}
	if (values[4]) {
		values[4] = phone(values[4]);
		if (values[4].replace('+', '').length < 8) refuse('phone_too_short');
	}
	if (values[9]?.length === 4) values[9] = '0' + values[9];
	values[10] ??= 'France';
	values[11] = values[11] ? status(values[11]) : 'new';
	if (!values[0] && !values[3] && !values[4]) refuse('contact_missing');
	return { values, reasons };
}
