// Runs one workflow by @stable-canvas/comfyui-client, at an address that stands for a key:
// `node stable-canvas.mjs ADDRESS - COLOUR`.
import { Client } from "@stable-canvas/comfyui-client";
import WebSocket from "ws";
import { picture } from "./picture.mjs";

const [address, , color] = process.argv.slice(2);
const { host, pathname } = new URL(address);
const client = new Client({ api_host: host, api_base: pathname, WebSocket, fetch });
await client.connect();
const made = await client.enqueue(picture(Number(color)));
client.close();
const [image] = made.images;
const content = await fetch(image.data);
console.log(JSON.stringify({ size: (await content.arrayBuffer()).byteLength }));
process.exit(0);
