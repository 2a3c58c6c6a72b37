// Loads each model that is named and prints as JSON what llama.cpp generates greedily, one list of tokens a model.
import { getLlama, LlamaLogLevel } from "node-llama-cpp";

const PROMPT = "hello world";
const COUNT = 5;

const llama = await getLlama({
  gpu: false,
  build: "never",
  skipDownload: true,
  progressLogs: false,
  logLevel: LlamaLogLevel.error,
  maxThreads: 2,
});

async function generate(modelPath) {
  const model = await llama.loadModel({ modelPath });
  const context = await model.createContext({ contextSize: 64 });
  const tokens = [];
  for await (const token of context
    .getSequence()
    .evaluate(model.tokenize(PROMPT), { temperature: 0, yieldEogToken: true })) {
    tokens.push(token);
    if (tokens.length === COUNT) break;
  }
  await model.dispose();
  return tokens;
}

const generated = [];
for (const path of process.argv.slice(2)) generated.push(await generate(path));
process.stdout.write(JSON.stringify(generated), () => process.exit(0));
