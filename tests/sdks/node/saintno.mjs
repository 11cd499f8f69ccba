// Runs one workflow by @saintno/comfyui-sdk, with the key as a bearer: `node saintno.mjs ADDRESS KEY COLOUR`.
import { CallWrapper, ComfyApi, PromptBuilder } from "@saintno/comfyui-sdk";
import { picture } from "./picture.mjs";

const [address, token, color] = process.argv.slice(2);
const credentials = { type: "bearer_token", token };
const api = new ComfyApi(address, undefined, { credentials });
await api.init().waitForReady();
const prompt = new PromptBuilder(picture(Number(color)), [], ["images"]).setOutputNode("images", "9");
let progress = 0;
const told = await new Promise((resolve, reject) => {
  new CallWrapper(api, prompt)
    .onProgress(() => { progress += 1; })
    .onFinished((data) => resolve(data.images.images[0]))
    .onFailed(reject)
    .run();
});
const content = await api.getImage(told);
console.log(JSON.stringify({ name: told.filename, size: content.size }));
process.exit(0);
