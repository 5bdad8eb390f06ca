// The request that the peers send: as postrider's, without a signature.
import { Pool } from "undici";

const headers = {
	"content-type": "application/json",
	"user-agent": "postrider/0.2.0",
	"webhook-id": "019aafe2-7f5c-7d3c-8a35-6f8f1e0b4c11",
	"webhook-timestamp": "1763886468",
};

export function sender(url, connections) {
	const { origin, pathname } = new URL(url);
	const pool = new Pool(origin, { connections, pipelining: 1 });
	return async (payload) => {
		const response = await pool.request({
			path: pathname,
			method: "POST",
			headers,
			body: JSON.stringify(payload),
		});
		await response.body.dump();
		if (response.statusCode !== 200) throw new Error(`status ${response.statusCode}`);
	};
}

// Says once when all jobs have been sent; the driver then watches the database.
export function counter(count) {
	let sent = 0;
	return () => {
		if (++sent === count) console.log("sent");
	};
}
