// Draws by Quiver AI's own library: `node quiver.mjs ADDRESS KEY`. Prints what came, or what went wrong.
import { QuiverAI } from "@quiverai/sdk";

const [serverURL, bearerAuth] = process.argv.slice(2);
const retries = { strategy: "none" };
const quiver = new QuiverAI({ bearerAuth, serverURL, retryConfig: retries });
const told = {};
try {
  const drawn = await quiver.createSVGs.generateSVG({
    model: "arrow-1.1",
    prompt: "a red fox",
    n: 2,
    stream: false,
  });
  told.drawn = drawn.result ?? drawn;
  const traced = await quiver.vectorizeSVG.vectorizeSVG({
    model: "arrow-1.1",
    image: { url: "https://storage.example.com/in/0001.png" },
    stream: false,
  });
  told.traced = traced.result ?? traced;
} catch (error) {
  told.error = { name: error.name, status: error.statusCode, message: String(error.message) };
}
console.log(JSON.stringify(told));
