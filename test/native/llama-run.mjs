// Arguments: the folder that llama.cpp is installed in, then models. Lets llama.cpp load each model and prints as
// JSON, one object a model: the tokens that it generates greedily, and the logits after each token of a fixed text.
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const PROMPT = "hello world";
const COUNT = 5;
const LENGTH = 24;

const [folder, ...models] = process.argv.slice(2);
const { getLlama, LlamaLogLevel } = await import(
  pathToFileURL(join(folder, "node_modules/node-llama-cpp/dist/index.js")).href
);

const llama = await getLlama({
  gpu: false,
  build: "never",
  skipDownload: true,
  progressLogs: false,
  logLevel: LlamaLogLevel.error,
  maxThreads: 2,
});

async function generate(model) {
  const context = await model.createContext({ contextSize: 64 });
  const tokens = [];
  const evaluated = context
    .getSequence()
    .evaluate(model.tokenize(PROMPT), { temperature: 0, yieldEogToken: true });
  for await (const token of evaluated) {
    tokens.push(token);
    if (tokens.length === COUNT) break;
  }
  await context.dispose();
  return tokens;
}

/** Rows of logits by token id, after each of a fixed list of tokens. */
async function logits(model) {
  const context = await model.createContext({ contextSize: 64 });
  const input = Array.from({ length: LENGTH }, (_, i) => [
    (i * 37 + 11) % 300,
    { generateNext: { logits: true, options: { temperature: 0 } } },
  ]);
  const output = await context.getSequence().controlledEvaluate(input);
  await context.dispose();
  return output.map(({ next }) => {
    const row = [];
    for (const [token, logit] of next.logits) row[token] = logit;
    return row;
  });
}

const results = [];
for (const modelPath of models) {
  const model = await llama.loadModel({ modelPath });
  results.push({ tokens: await generate(model), logits: await logits(model) });
  await model.dispose();
}
process.stdout.write(JSON.stringify(results), () => process.exit(0));
