// graphile-worker with its batch settings:
//   node graphile-worker.mjs install DATABASE
//   node graphile-worker.mjs run DATABASE URL JOBS CONNECTIONS
import { run, runMigrations, Logger } from "graphile-worker";
import { counter, sender } from "./send.mjs";

const [command, connectionString, url, jobs, connections] = process.argv.slice(2);
const logger = new Logger(() => () => {});

if (command === "install") {
	await runMigrations({ connectionString, logger });
} else {
	const send = sender(url, Number(connections));
	const done = counter(Number(jobs));
	console.log("begin");
	const runner = await run({
		taskList: {
			deliver: async (payload) => {
				await send(payload);
				done();
			},
		},
		noHandleSignals: false,
		preset: {
			worker: {
				connectionString,
				maxPoolSize: 10,
				concurrentJobs: Number(connections),
				localQueue: { size: Number(process.env.LOCAL_QUEUE ?? 500) },
				completeJobBatchDelay: Number(process.env.BATCH_DELAY ?? 50),
				failJobBatchDelay: Number(process.env.BATCH_DELAY ?? 50),
				logger,
			},
		},
	});
	await runner.promise;
}
