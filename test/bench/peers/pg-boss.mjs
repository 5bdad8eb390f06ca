// pg-boss with its batch settings:
//   node pg-boss.mjs install DATABASE - JOBS - BODY_BYTES
//   node pg-boss.mjs run DATABASE URL JOBS CONNECTIONS
// install also inserts the jobs, as pg-boss wants it: with its bulk insert.
import PgBoss from "pg-boss";
import { counter, sender } from "./send.mjs";

const [command, connectionString, url, jobs, connections, bytes] = process.argv.slice(2);
const queue = "deliver";
const boss = new PgBoss({ connectionString, max: 10, supervise: false, schedule: false });
boss.on("error", (error) => console.error(error));
await boss.start();

if (command === "install") {
	await boss.createQueue(queue);
	const data = { filler: "x".repeat(Number(bytes) - 13) };
	for (let left = Number(jobs); left > 0; left -= 10_000)
		await boss.insert(Array.from({ length: Math.min(left, 10_000) }, () => ({ name: queue, data })));
	await boss.stop();
} else {
	const send = sender(url, Number(connections));
	const done = counter(Number(jobs));
	const batchSize = Number(process.env.BATCH ?? 4000);
	const handlers = Number(process.env.HANDLERS ?? 4);
	console.log("begin");
	for (let i = 0; i < handlers; i++)
		await boss.work(queue, { batchSize, pollingIntervalSeconds: 0.5, priority: false }, async (batch) => {
			await Promise.all(batch.map(async (job) => {
				await send(job.data);
				done();
			}));
		});
}
