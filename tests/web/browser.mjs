/*
 * Chromium for the tests, driven by lines of JSON on standard input; answers come one per line. A device is a browser context: storage, cookies
 * and network of its own; its tabs are pages that share them.
 */
import { createInterface } from "node:readline";
import { createRequire } from "node:module";

const { chromium } = createRequire(`${process.argv[2]}/package.json`)("playwright-core");
const browser = await chromium.launch({
	executablePath: "/usr/bin/chromium",
	headless: true,
	args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});
const devices = new Map();
const tabs = new Map();
const complaints = [];

const commands = {
	async device({ name }) {
		devices.set(name, await browser.newContext({ ignoreHTTPSErrors: true, viewport: { width: 900, height: 700 } }));
	},
	async open({ device, tab, url }) {
		const page = await devices.get(device).newPage();
		page.setDefaultTimeout(30000);
		page.on("pageerror", (error) => complaints.push(`${tab}: ${error.message}`));
		page.on("console", (message) => message.type() === "error" && complaints.push(`${tab}: ${message.text()}`));
		tabs.set(tab, page);
		await page.goto(url);
	},
	evaluate: ({ tab, expression }) => tabs.get(tab).evaluate(expression),
	fill: ({ tab, selector, text }) => tabs.get(tab).fill(selector, text),
	press: ({ tab, selector, key }) => tabs.get(tab).press(selector, key),
	click: ({ tab, selector }) => tabs.get(tab).click(selector),
	reload: ({ tab }) => tabs.get(tab).reload().then(() => null),
	front: ({ tab }) => tabs.get(tab).bringToFront(),
	offline: ({ device, offline }) => devices.get(device).setOffline(offline),
	close: ({ tab }) => tabs.get(tab).close(),
	/* Its process ends at once, as when the kernel or the user kills it. */
	crash: ({ tab }) =>
		new Promise((resolve) => {
			tabs.get(tab).once("crash", () => resolve(null));
			tabs.get(tab).goto("chrome://crash").catch(() => undefined);
		}),
	picture: ({ tab, path }) => tabs.get(tab).screenshot({ path, fullPage: true }).then(() => null),
	forget: ({ device }) => devices.get(device).close(),
	complaints: () => complaints,
};

for await (const line of createInterface({ input: process.stdin })) {
	const { cmd, ...rest } = JSON.parse(line);
	try {
		console.log(JSON.stringify({ result: (await commands[cmd](rest)) ?? null }));
	} catch (error) {
		console.log(JSON.stringify({ error: String(error.message) }));
	}
}
await browser.close();
process.exit(0);
