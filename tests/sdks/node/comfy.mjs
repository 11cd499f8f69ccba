// Runs one workflow by Comfy's own library for its API v2: `node comfy.mjs ADDRESS KEY COLOUR`.
const [address, apiKey, color] = process.argv.slice(2);
process.env.COMFY_BASE_URL = address;
const { Comfy } = await import("@comfyorg/sdk");
const { picture } = await import("./picture.mjs");

const client = new Comfy({ apiKey });
const workflow = client.workflows.fromJson(picture(Number(color)));
const job = await client.run(workflow);
const [output] = job.getOutputs("9");
const bytes = await output.toBytes();
console.log(JSON.stringify({ id: job.id, status: job.status, name: output.name, size: bytes.length }));
