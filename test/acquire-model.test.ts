import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { openHubModel } from "../src/acquire-model.ts";
import { openLocalModel } from "../src/open-model.ts";
import { planConversion } from "../src/plan-conversion.ts";
import { startHub } from "./source/hub-fixture.ts";
import { dict, pickle, storage, tensor } from "./support/pickle-writer.ts";
import { tempFolder } from "./support/temp-folder.ts";
import { type WrittenEntry, zipFile } from "./support/zip-writer.ts";

const TORCH = fileURLToPath(new URL("./golden/torch/", import.meta.url));
const CASES = ["llama-zip-sharded", "gemma-zip-single", "qwen2-zip-views", "gpt2-legacy-single"];
const QUIET = { onEvent: () => {} };

/** Serves files as `org/model` and says how to acquire them from there. */
async function served(files: ReadonlyMap<string, Buffer>) {
  const hub = await startHub(files);
  return {
    hub,
    acquire: { endpoint: hub.endpoint, cacheDir: await tempFolder(), token: false as const },
  };
}

async function filesOf(folder: string): Promise<Map<string, Buffer>> {
  const names = (await readdir(folder)).filter((name) => !/^(case|expected)/.test(name));
  return new Map(await Promise.all(names.map(async (n) => [n, await readFile(join(folder, n))] as const)));
}

describe("PyTorch files on the hub", () => {
  it.each(CASES)("%s is planned from its headers as it is from its files", async (id) => {
    const { acquire } = await served(await filesOf(join(TORCH, id)));
    const { architecture } = JSON.parse(await readFile(join(TORCH, id, "case.json"), "utf8"));
    const how = { quantization: "q4f16_1", modelType: architecture } as const;
    const local = await planConversion({ ...how, model: join(TORCH, id) });
    const remote = await planConversion({ ...how, model: "org/model", acquire });
    const placed = local.plan.files.map((file) => ({ ...file, path: expect.stringMatching(/^org\/model@/) }));
    expect(withoutPlaces(remote.plan)).toEqual({ ...withoutPlaces(local.plan), files: placed });
    expect(remote.layout).toEqual(local.layout);
    expect(remote.model.fetch).toBeDefined();
  });

  it("take a request or three each, however many tensors they hold", async () => {
    const { hub, acquire } = await served(manyTensors(400, 20_000));
    const { checkpoint } = await openHubModel({ model: "org/model", acquire }, QUIET, openLocalModel);
    expect(checkpoint.tensors.size).toBe(400);
    expect(hub.requests.filter(({ door }) => door === "store").length).toBeLessThanOrEqual(3);
    expect(hub.storeBytes).toBeLessThan(400_000);
  });

  it("are refused before weights are fetched when they are cut off", async () => {
    const files = manyTensors(400, 20_000);
    const whole = files.get("pytorch_model.bin") ?? Buffer.of();
    files.set("pytorch_model.bin", whole.subarray(0, 3_000_000));
    const { hub, acquire } = await served(files);
    const opening = openHubModel({ model: "org/model", acquire }, QUIET, openLocalModel);
    await expect(opening).rejects.toMatchObject({ code: "E_ZIP_TRUNCATED" });
    expect(hub.storeBytes).toBeLessThan(400_000);
  });

  it("are chosen where safetensors lie beside them, if they are asked for", async () => {
    const files = await filesOf(join(TORCH, "gemma-zip-single"));
    files.set("model.safetensors", Buffer.from("not looked at"));
    const { acquire } = await served(files);
    const sourceFormat = "huggingface-torch";
    const request = { model: "org/model", acquire, sourceFormat } as const;
    const { checkpoint } = await openHubModel(request, QUIET, openLocalModel);
    expect(checkpoint.format).toBe("huggingface-torch");
  });
});

/** A plan but for the places of bytes in files: those of a remote zip are known after its download. */
function withoutPlaces(plan: object): object {
  return JSON.parse(JSON.stringify(plan, (key, value) => (key === "byteOffset" ? undefined : value)));
}

/** A checkpoint of one file of torch.save with so many tensors of so many bytes. */
function manyTensors(count: number, nbytes: number): Map<string, Buffer> {
  const numbers = Array.from({ length: count }, (_, index) => index);
  const members = numbers.map((index) => {
    const own = storage({ key: String(index), count: nbytes / 4 });
    return [`layer.${index}.weight`, tensor({ storage: own, size: [nbytes / 4], stride: [1] })] as const;
  });
  const entries = numbers.map(
    (index): WrittenEntry => ({ name: `m/data/${index}`, content: Buffer.alloc(nbytes) }),
  );
  const head = { name: "m/data.pkl", content: pickle(dict(Object.fromEntries(members))) };
  return new Map([
    ["config.json", Buffer.from('{"model_type":"llama"}')],
    ["pytorch_model.bin", zipFile([head, ...entries])],
  ]);
}
