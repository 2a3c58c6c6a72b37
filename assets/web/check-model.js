import { md5Hex } from "./md5.js";

/**
 * @typedef {{ name: string, nbytes: number, problem: string | undefined }} CheckedFile
 * @typedef {{ name: string, dtype: string, shape: number[], nbytes: number }} Tensor
 * @typedef {{ title: string, tensors: Tensor[], notices: string[] }} Model
 */

const INDEX_NAMES = ["tensor-cache.json", "ndarray-cache.json"];
const MANIFEST_NAME = "mlc-convert.json";
const DIGEST = /"digest": "([^"]*)"/;

/**
 * Fetches every file of a model and compares its hash with the one that is listed for it: SHA-256 in
 * mlc-convert.json, MD5 in tensor-cache.json.
 * @param {{ onModel: (model: Model) => void, onFile: (file: CheckedFile, done: number) => void }} events
 */
export async function checkModel({ onModel, onFile }) {
  const { name: indexName, bytes: indexBytes } = await fetchIndex();
  const index = parseIndex(indexName, indexBytes);
  const manifest = await fetchManifest(onFile);
  onModel({
    title: manifest?.source?.id ?? "Converted model",
    tensors: index.records.flatMap((shard) => shard.records),
    notices: manifest ? [] : [`There is no ${MANIFEST_NAME}: config and tokenizer were not checked.`],
  });
  const listed = Object.entries(manifest?.files ?? {});
  const total = listed.length + index.records.length;
  let done = 0;
  for (const [name, expected] of listed) onFile(await checkListed(name, expected), ++done / total);
  if (manifest && !manifest.files?.[indexName])
    onFile(
      { name: indexName, nbytes: indexBytes.length, problem: `not listed in ${MANIFEST_NAME}` },
      done / total,
    );
  for (const shard of index.records) onFile(await checkShard(shard), ++done / total);
}

async function fetchIndex() {
  for (const name of INDEX_NAMES) {
    const bytes = await fetchBytes(name);
    if (bytes) return { name, bytes };
  }
  throw new Error(`${INDEX_NAMES[0]} is missing`);
}

function parseIndex(name, bytes) {
  try {
    return JSON.parse(text(bytes));
  } catch (error) {
    throw new Error(`${name}: ${error.message}`);
  }
}

async function fetchManifest(onFile) {
  const bytes = await fetchBytes(MANIFEST_NAME);
  if (!bytes) return undefined;
  const content = text(bytes);
  const at = Math.max(content.lastIndexOf('"digest": "'), 0);
  const digest = DIGEST.exec(content.slice(at))?.[1];
  const unsigned = content.slice(0, at) + content.slice(at).replace(DIGEST, '"digest": ""');
  const found = await sha256(new TextEncoder().encode(unsigned));
  const problem = digest === found ? undefined : `expected ${digest ?? "a digest"}, found ${found}`;
  onFile({ name: MANIFEST_NAME, nbytes: bytes.length, problem }, 0);
  try {
    return JSON.parse(content);
  } catch {
    return undefined;
  }
}

async function checkListed(name, expected) {
  const bytes = await fetchBytes(name);
  if (!bytes) return { name, nbytes: 0, problem: "missing" };
  const found = await sha256(bytes);
  const problem = found === expected.integrity ? undefined : `expected ${expected.integrity}, found ${found}`;
  return { name, nbytes: bytes.length, problem };
}

async function checkShard({ dataPath: name, nbytes, md5sum, records }) {
  const bytes = await fetchBytes(name);
  if (!bytes) return { name, nbytes: 0, problem: "missing" };
  const covered = records.reduce((sum, record) => sum + record.nbytes, 0);
  const found = md5Hex(bytes);
  const problems = [
    bytes.length === nbytes ? "" : `expected ${nbytes} bytes, found ${bytes.length}`,
    covered === nbytes ? "" : `its tensors have ${covered} bytes, the file should have ${nbytes}`,
    found === md5sum ? "" : `expected MD5 ${md5sum}, found ${found}`,
  ].filter((problem) => problem !== "");
  return { name, nbytes: bytes.length, problem: problems.join("; ") || undefined };
}

/** `undefined` when there is no such file. */
async function fetchBytes(name) {
  const response = await fetch(`/${name}`, { cache: "no-store" });
  if (response.status === 404) return undefined;
  if (!response.ok) throw new Error(`${name}: the server answered ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
}

async function sha256(bytes) {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return `sha256-${btoa(String.fromCharCode(...digest))}`;
}

/** A byte that is no UTF-8 must not pass as the replacement character it is shown as. */
function text(bytes) {
  return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
}
