/* The page: shows what is in the database of this browser, and sends edits to the worker that has it open. Knows nothing of the server. */
const worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
const $ = (id) => document.getElementById(id);
const STATES = {
	waiting: "not saved yet", syncing: "syncing", synced: "up to date", offline: "offline", unauthorized: "signed out", outdated: "please reload", failed: "trouble", stopped: "stopped",
};

// ------------------------------------------------------------------------------------------------------------ worker

const waiting = new Map();
let asked = 0;

function ask(name, args = {}) {
	return new Promise((resolve, reject) => {
		waiting.set(++asked, { resolve, reject });
		worker.postMessage({ id: asked, name, args });
	});
}

worker.addEventListener("message", ({ data }) => {
	if (data.event) return happened[data.event](data);
	const { resolve, reject } = waiting.get(data.id);
	waiting.delete(data.id);
	if (data.error) reject(Object.assign(new Error(data.error.message), data.error));
	else resolve(data.result);
});

const happened = {
	status({ status, error }) {
		show(status.state, status.pending);
		const when = status.lastSyncAt ? `last sync ${new Date(status.lastSyncAt).toLocaleTimeString()}` : "never synced";
		$("details").textContent = `Device ${device} · ${when} · ${status.leads ? "this tab syncs" : "another tab syncs"}`;
		$("status").dataset.leads = status.leads;
		$("sign-in").hidden = status.state !== "unauthorized";
		if (error && error.status !== 0) news(error.message);
		list();
	},
	changed: () => list(),
	rejected: ({ rows }) => rows.forEach((row) => news(`Not accepted: ${row.message}`)),
	merged: ({ rows }) => rows.forEach((row) => news(`Made twice, and now one: ${row.table}`)),
};

// -------------------------------------------------------------------------------------------------------------- page

let device = "";
let listing, again;

function show(state, pending = 0) {
	$("status").dataset.state = state;
	$("status").dataset.pending = pending;
	$("state").textContent = STATES[state] ?? state;
	$("pending").textContent = pending ? `${pending} to send` : "";
}

function news(text) {
	if ($("news").lastElementChild?.textContent === text) return;
	const item = document.createElement("li");
	item.textContent = text;
	$("news").append(item);
	while ($("news").childElementCount > 5) $("news").firstElementChild.remove();
}

function field(label, name, save) {
	const input = document.createElement("input");
	Object.assign(input, { className: name, ariaLabel: label, autocomplete: "off" });
	input.addEventListener("change", () => {
		input.defaultValue = input.value;
		save(input.value.trim()).catch(complain);
	});
	return input;
}

function item({ id, title }) {
	const made = document.createElement("li");
	const remove = document.createElement("button");
	made.dataset.id = id;
	Object.assign(remove, { type: "button", className: "remove", textContent: "Delete", ariaLabel: `Delete ${title}` });
	remove.addEventListener("click", () => ask("remove", { id }).then(list, complain));
	made.append(
		field("Title", "title", (text) => (text ? ask("rename", { id, title: text }) : Promise.resolve()).then(list)),
		field("Mode", "mode", (text) => ask("setMode", { id, mode: text }).then(list)),
		remove);
	return made;
}

/** defaultValue is what the database says, whatever is being typed. */
function fill(input, value) {
	if (input.value !== value) input.value = value;
	input.defaultValue = value;
}

/** The list as the database has it; a field in which somebody is typing keeps what was typed. */
async function draw() {
	const tunes = await ask("tunes");
	const typed = document.activeElement;
	const shown = new Map([...$("tunes").children].map((made) => [made.dataset.id, made]));
	$("none").hidden = tunes.length > 0;
	tunes.forEach((tune, place) => {
		const made = shown.get(tune.id) ?? item(tune);
		shown.delete(tune.id);
		made.toggleAttribute("data-pending", tune.pending);
		for (const input of made.querySelectorAll("input")) if (input !== typed || input.value === input.defaultValue) fill(input, tune[input.className]);
		if ($("tunes").children[place] !== made) $("tunes").insertBefore(made, $("tunes").children[place] ?? null);
	});
	for (const gone of shown.values()) gone.remove();
	if (typed?.isConnected && typed !== document.activeElement) typed.focus();
}

/** One drawing at a time; what changes meanwhile is drawn after it. */
function list() {
	again = true;
	listing ??= (async () => {
		while (again) {
			again = false;
			await draw().catch(complain);
		}
		listing = undefined;
	})();
	return listing;
}

function complain(error) {
	news(error.message);
}

async function start(as) {
	try {
		show("starting");
		await ask("start", { as });
		device = (await ask("device")).slice(0, 8);
		$("book").hidden = false;
		$("sign-in").hidden = true;
		await list();
	} catch (error) {
		show(error.status === 0 ? "offline" : error.status === 401 ? "unauthorized" : "failed");
		$("sign-in").hidden = error.status !== 401;
		if (error.status === 0) addEventListener("online", () => start(as), { once: true });
		complain(error);
	}
}

$("sign-in").addEventListener("submit", (event) => {
	event.preventDefault();
	localStorage.setItem("token", $("token").value.trim());
	$("token").value = "";
	$("news").replaceChildren();
	void start(localStorage.getItem("token"));
});
$("add").addEventListener("submit", (event) => {
	event.preventDefault();
	const title = $("title").value.trim();
	if (!title) return;
	ask("add", { title, mode: $("mode").value.trim() }).then(list, complain);
	event.target.reset();
	$("title").focus();
});
$("sync").addEventListener("click", () => ask("sync").catch(complain));
$("check").addEventListener("click", async () => {
	$("verdict").textContent = "…";
	const same = await ask("check").catch(complain);
	$("verdict").textContent = same === true ? "the same as on the server" : same === false ? "differs from the server" : "cannot be told now";
});
// A worker does not hear these of its window.
for (const event of ["focus", "online"]) addEventListener(event, () => ask("wake"));
document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && ask("wake"));

if (localStorage.getItem("token")) void start(localStorage.getItem("token"));
else {
	$("sign-in").hidden = false;
	show("unauthorized");
}
