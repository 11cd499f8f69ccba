// Runs one workflow by comfy-ui-client, which takes a server's address and nothing else:
// `node comfy-ui-client.mjs ADDRESS - COLOUR`.
import { randomUUID } from "node:crypto";
import { ComfyUIClient } from "comfy-ui-client";
import { picture } from "./picture.mjs";

const [address, , color] = process.argv.slice(2);
const client = new ComfyUIClient(address.replace("http://", ""), randomUUID());
await client.connect();
const images = await client.getImages(picture(Number(color)));
await client.disconnect();
const [{ blob, image }] = images["9"];
console.log(JSON.stringify({ name: image.filename, size: blob.size }));
process.exit(0);
