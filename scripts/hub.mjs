// A hub on this machine for trials: every sub-folder <org>/<name> of a folder is served as a model.
//   npm run hub -- ./models [--port 8080] [--token hf_x] [--rate 10000000] [--fault JSON]...
// A fault is one of src/hub-server/faults.ts, e.g. '{"door":"store","times":3,"does":{"kind":"cut","afterBytes":1000}}'.
// Then: HF_ENDPOINT=http://127.0.0.1:8080 mlc-convert download org/name
import { readdir } from "node:fs/promises";
import path from "node:path";
import { parseArgs } from "node:util";
import { HubServer } from "../dist/hub-server/hub-server.js";
import { commitOfFolder } from "../dist/hub-server/repository.js";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    port: { type: "string" },
    token: { type: "string" },
    rate: { type: "string" },
    fault: { type: "string", multiple: true, default: [] },
  },
});
const [root] = positionals;
if (root === undefined) {
  console.error("usage: npm run hub -- <folder with org/name folders> [--port n] [--token t] [--rate bytes]");
  process.exit(2);
}

const repositories = [];
for (const org of await readdir(root, { withFileTypes: true })) {
  if (!org.isDirectory()) continue;
  for (const name of await readdir(path.join(root, org.name), { withFileTypes: true })) {
    if (!name.isDirectory()) continue;
    const commit = await commitOfFolder(path.join(root, org.name, name.name));
    repositories.push({
      id: `${org.name}/${name.name}`,
      access: "public",
      refs: new Map([["main", commit]]),
    });
  }
}

const hub = await HubServer.start({
  repositories,
  port: Number(values.port ?? 0),
  ...(values.token ? { token: values.token } : {}),
  ...(values.rate ? { bandwidth: { bytesPerSecond: Number(values.rate), penaltyPerConnection: 0 } } : {}),
});
hub.faults = values.fault.map((text) => JSON.parse(text));
for (const { id } of repositories) console.log(`serves ${id}`);
console.log(`HF_ENDPOINT=${hub.endpoint}`);
