// JSON.parse and a validation by ajv's compiled function:
//   node validate.mjs DOCUMENT.json SCHEMA.json COUNT
// Prints the nanoseconds that one document takes.
import { readFileSync } from "node:fs";
import Ajv from "ajv";

const [documentFile, schemaFile, count] = process.argv.slice(2);
const text = readFileSync(documentFile, "utf8");
const validate = new Ajv({ allErrors: true }).compile(JSON.parse(readFileSync(schemaFile, "utf8")));

function run(times) {
	let valid = 0;
	for (let i = 0; i < times; i++) if (validate(JSON.parse(text))) valid++;
	if (valid !== times) throw new Error("the document is not valid");
}

run(100000);
const start = process.hrtime.bigint();
run(Number(count));
console.log(Number(process.hrtime.bigint() - start) / Number(count));
