import { onTestFinished } from "vitest";
import type { ConvertEvent } from "../../src/core/events.ts";
import { HubServer, type HubServerOptions } from "../../src/hub-server/hub-server.ts";
import { type HubContent, type HubRepository, makeCommit } from "../../src/hub-server/repository.ts";
import type { SourceDeps } from "../../src/source/deps.ts";
import { openHttp } from "../../src/source/http.ts";
import { DEFAULT_TIMING, type Timing } from "../../src/source/retry.ts";

/** Waits short enough for tests. */
export const QUICK: Timing = {
  ...DEFAULT_TIMING,
  backoffMs: 5,
  backoffCapMs: 20,
  stallMs: 5000,
};

/** For tests in which something stalls on purpose. */
export const IMPATIENT: Timing = { ...QUICK, stallMs: 300, attempts: 3 };

/** Repeatable bytes that compress and repeat badly. */
export function noise(nbytes: number, seed = 1): Buffer {
  const buffer = Buffer.allocUnsafe(nbytes);
  let state = seed * 2654435761;
  for (let i = 0; i < nbytes; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    buffer[i] = state >>> 24;
  }
  return buffer;
}

/** A safetensors file with one F32 tensor of `elements` elements per name. */
export function safetensors(names: readonly string[], elements: number, seed = 1): Buffer {
  const nbytes = elements * 4;
  const entries = names.map((name, i) => [
    name,
    { dtype: "F32", shape: [elements], data_offsets: [i * nbytes, (i + 1) * nbytes] },
  ]);
  const header = Buffer.from(JSON.stringify(Object.fromEntries(entries)));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.byteLength));
  return Buffer.concat([length, header, noise(nbytes * names.length, seed)]);
}

/** A small checkpoint of two shards with index, configuration and tokenizer. */
export function checkpointFiles(elements = 50_000): Map<string, Buffer> {
  const [a, b] = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
  const index = { metadata: { total_size: elements * 8 }, weight_map: { "a.weight": a, "b.weight": b } };
  return new Map([
    ["config.json", Buffer.from(JSON.stringify({ model_type: "llama", hidden_size: 8 }))],
    ["generation_config.json", Buffer.from("{}")],
    ["tokenizer.json", Buffer.from('{"version":"1.0"}')],
    ["tokenizer_config.json", Buffer.from("{}")],
    ["model.safetensors.index.json", Buffer.from(JSON.stringify(index))],
    [a, safetensors(["a.weight"], elements, 1)],
    [b, safetensors(["b.weight"], elements, 2)],
    ["pytorch_model.bin", noise(2048)],
    ["README.md", Buffer.from("# model")],
    ["original/consolidated.00.pth", noise(100)],
  ]);
}

/** A repository with one commit on `main`. */
export async function repository(
  contents: ReadonlyMap<string, HubContent>,
  access: HubRepository["access"] = "public",
  id = "org/model",
): Promise<HubRepository> {
  return { id, access, refs: new Map([["main", await makeCommit(contents)]]) };
}

/** A started hub that closes with the test. */
export async function startHub(
  contents: ReadonlyMap<string, HubContent> | readonly HubRepository[],
  options: Partial<HubServerOptions> = {},
): Promise<HubServer> {
  const repositories = contents instanceof Map ? [await repository(contents)] : (contents as HubRepository[]);
  const hub = await HubServer.start({ repositories, ...options });
  onTestFinished(() => hub.close());
  return hub;
}

export interface TestDeps extends SourceDeps {
  readonly events: ConvertEvent[];
}

/** The outside world of a test: a home of its own, and the hub as endpoint. */
export function testDeps(
  home: string,
  env: Record<string, string> = {},
  more: Partial<SourceDeps> = {},
): TestDeps {
  const { http, close } = openHttp({ env: {}, userAgent: "mlc-convert-test", timeoutMs: 2000 });
  onTestFinished(close);
  const events: ConvertEvent[] = [];
  const onEvent = (event: ConvertEvent) => {
    events.push(event);
  };
  return { http, env, home, platform: process.platform, onEvent, now: Date.now, ...more, events };
}
