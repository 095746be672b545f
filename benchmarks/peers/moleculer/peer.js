// Moleculer: `node peer.js serve|load|local PORTS [WORKS SECONDS SERVER_PID]`; it prints what benchmarks/load.py prints.
"use strict";

// Everything stays on the loopback interface: the name by which nodes find each other, and what they listen on.
require("os").hostname = () => "127.0.0.1";
const net = require("net");
const listen = net.Server.prototype.listen;
net.Server.prototype.listen = function (port, ...rest) {
	return typeof port === "number" ? listen.call(this, port, "127.0.0.1", ...rest) : listen.call(this, port, ...rest);
};

const fs = require("fs");
const { ServiceBroker } = require("moleculer");

const CITIES = ["Reykjavik", "Porto", "Ljubljana", "Tartu", "Kyoto"];
const QUOTE = { hotel_id: 1234567, city: "Reykjavik", nights: 3, price: 219.75 };
const QUERY = { city: "Porto", count: 100 };
const ROWS = Array.from({ length: 100 }, (_, i) => ({
	hotel_id: 1000 + i, city: CITIES[i % 5], nights: 1 + (i % 7), price: 100.25 + i * 1.5,
}));
const OFFERS = {
	name: "offers",
	actions: {
		echo: {
			params: { hotel_id: "number", city: "string", nights: "number", price: "number" },
			handler: ctx => ctx.params,
		},
		search: {
			params: { city: "string", count: "number" },
			handler: ctx => ({ items: ROWS.slice(0, ctx.params.count) }),
		},
	},
};

const [role, ports, works, seconds, server] = process.argv.slice(2);
const [serverPort, clientPort] = ports.split(",");

function broker(name) {
	const options = { nodeID: name, logger: false, requestTimeout: 5000, registry: { preferLocal: true } };
	if (role !== "local") {
		options.transporter = {
			type: "TCP",
			options: {
				udpDiscovery: false,
				port: Number(name === "server" ? serverPort : clientPort),
				urls: [`127.0.0.1:${serverPort}/server`, `127.0.0.1:${clientPort}/client`],
			},
		};
	}
	return new ServiceBroker(options);
}

function cpuSeconds(pid) {
	try {
		const fields = fs.readFileSync(`/proc/${pid}/stat`, "utf8").split(")").pop().trim().split(/\s+/);
		return (Number(fields[11]) + Number(fields[12])) / 100;
	} catch {
		return 0;
	}
}

async function keepInFlight(call, inFlight, duration) {
	const began = process.hrtime.bigint();
	const end = began + BigInt(Math.round(duration * 1e9));
	let count = 0;
	async function caller() {
		while (process.hrtime.bigint() < end) {
			await call();
			count += 1;
		}
	}
	await Promise.all(Array.from({ length: inFlight }, caller));
	return [count, Number(process.hrtime.bigint() - began) / 1e9];
}

async function load(client) {
	const calls = { echo: () => client.call("offers.echo", QUOTE), list: () => client.call("offers.search", QUERY) };
	const found = {};
	for (const [name, inFlight] of JSON.parse(works)) {
		await keepInFlight(calls[name], inFlight, Number(seconds) * 0.3);
		const own = process.cpuUsage();
		const theirs = cpuSeconds(server);
		const [count, took] = await keepInFlight(calls[name], inFlight, Number(seconds));
		const used = process.cpuUsage(own);
		found[`${name} ${inFlight}`] = {
			per_second: count / took,
			client_us: (used.user + used.system) / count,
			server_us: ((cpuSeconds(server) - theirs) / count) * 1e6,
		};
	}
	return found;
}

async function main() {
	const one = broker(role === "load" ? "client" : "server");
	if (role !== "load") one.createService(OFFERS);
	await one.start();
	if (role === "serve") {
		console.log("ready");
		process.on("SIGTERM", () => process.exit(0));
		return;
	}
	await one.waitForServices("offers");
	console.log(JSON.stringify(await load(one)));
	process.exit(0);
}

main();
