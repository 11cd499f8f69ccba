// Runs one workflow by @stable-canvas/comfyui-client, at an address that stands for a key:
// `node stable-canvas.mjs ADDRESS - COLOUR`. It asks again and again: its websocket forgets the path of an address.
import { Client } from "@stable-canvas/comfyui-client";
import { picture } from "./picture.mjs";

const [address, , color] = process.argv.slice(2);
const { host, pathname } = new URL(address);
const client = new Client({ api_host: host, api_base: pathname, fetch });
await client.connect({ polling: { enabled: true }, websocket: { enabled: false } });
const made = await client.enqueue_polling(picture(Number(color)));
client.close();
const [image] = made.images;
const content = await fetch(image.data);
console.log(JSON.stringify({ size: (await content.arrayBuffer()).byteLength }));
process.exit(0);
