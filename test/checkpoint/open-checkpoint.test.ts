import { copyFile, mkdir, readdir, rename, rm, symlink, truncate, writeFile } from "node:fs/promises";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { openLocalFile } from "../../src/checkpoint/local-file.ts";
import { openCheckpoint, openRemoteCheckpoint } from "../../src/checkpoint/open-checkpoint.ts";
import type { NamedFile } from "../../src/core/byte-source.ts";
import { failureOf } from "../support/failure-of.ts";
import { buildGoldenCase, type GoldenCase, readGoldenCase } from "../support/golden-case.ts";
import { safetensorsFile } from "../support/safetensors.ts";
import { tempFolder } from "../support/temp-folder.ts";

async function goldenFolder(id: string): Promise<{ folder: string; golden: GoldenCase }> {
  const folder = await tempFolder();
  const golden = await readGoldenCase(new URL(`../golden/cases/${id}.json`, import.meta.url));
  await buildGoldenCase(golden, folder);
  return { folder, golden };
}

const oneTensor = (name: string): Uint8Array =>
  safetensorsFile({ [name]: { dtype: "F32", shape: [2], data_offsets: [0, 8] } }, 8);

async function writeIndex(folder: string, weightMap: Record<string, string> | string): Promise<void> {
  const text = typeof weightMap === "string" ? weightMap : JSON.stringify({ weight_map: weightMap });
  await writeFile(path.join(folder, "model.safetensors.index.json"), text);
}

describe("a folder with an index", () => {
  it("gives the tensors in the index's order, each in the file that the index names", async () => {
    const { folder, golden } = await goldenFolder("mixed-dtypes");
    const checkpoint = await openCheckpoint(folder);
    expect(checkpoint.format).toBe("huggingface-safetensor");
    expect(checkpoint.singleFile).toBe(false);
    const found = [...checkpoint.tensors.values()].map((t) => [t.name, checkpoint.files[t.file]?.name]);
    expect(found).toEqual(golden.weightMap.map(([name, file]) => [name, golden.files[file]?.name]));
  });

  it("tells dtype, shape and place of every tensor", async () => {
    const { folder, golden } = await goldenFolder("mixed-dtypes");
    const checkpoint = await openCheckpoint(folder);
    const names: Record<string, string> = { F32: "float32", F16: "float16", BF16: "bfloat16" };
    let end = 0;
    let file = -1;
    for (const [name, dtype, shape] of golden.files.flatMap((each) => each.tensors)) {
      const tensor = checkpoint.tensors.get(name);
      expect(tensor).toMatchObject({ dtype: names[dtype], shape });
      if (tensor?.file === file) expect(tensor.byteOffset).toBe(end);
      file = tensor?.file ?? -1;
      end = (tensor?.byteOffset ?? 0) + (tensor?.nbytes ?? 0);
    }
    expect(end).toBe(checkpoint.files[file]?.size);
  });

  it("counts tensors that the index does not list among what is stored", async () => {
    const folder = await tempFolder();
    const header = {
      used: { dtype: "F32", shape: [2], data_offsets: [0, 8] },
      extra: { dtype: "F16", shape: [3, 2], data_offsets: [8, 20] },
    };
    await writeFile(path.join(folder, "a.safetensors"), safetensorsFile(header, 20));
    await writeIndex(folder, { used: "a.safetensors" });
    const checkpoint = await openCheckpoint(folder);
    expect([...checkpoint.tensors.keys()]).toEqual(["used"]);
    expect(checkpoint.stored).toEqual([
      [
        { name: "used", elements: 2 },
        { name: "extra", elements: 6 },
      ],
    ]);
  });

  it("lets the index decide when two files hold the same name", async () => {
    const folder = await tempFolder();
    await writeFile(path.join(folder, "a.safetensors"), oneTensor("same"));
    await writeFile(
      path.join(folder, "b.safetensors"),
      safetensorsFile(
        {
          same: { dtype: "F32", shape: [2], data_offsets: [0, 8] },
          other: { dtype: "U8", shape: [1], data_offsets: [8, 9] },
        },
        9,
      ),
    );
    await writeIndex(folder, { other: "b.safetensors", same: "a.safetensors" });
    const checkpoint = await openCheckpoint(folder);
    expect(checkpoint.files[checkpoint.tensors.get("same")?.file ?? -1]?.name).toBe("a.safetensors");
  });

  it("follows links, as hub caches use them", async () => {
    const folder = await tempFolder();
    const blobs = path.join(folder, "blobs");
    await mkdir(blobs);
    await writeFile(path.join(blobs, "0f"), oneTensor("w"));
    await symlink(path.join("blobs", "0f"), path.join(folder, "model.safetensors"));
    expect([...(await openCheckpoint(folder)).tensors.keys()]).toEqual(["w"]);
  });

  it("lists every missing, empty and LFS pointer file at once", async () => {
    const folder = await tempFolder();
    await writeFile(path.join(folder, "b.safetensors"), "");
    await writeFile(
      path.join(folder, "c.safetensors"),
      "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n",
    );
    await writeFile(path.join(folder, "d.safetensors"), oneTensor("w"));
    await writeIndex(folder, {
      a: "a.safetensors",
      b: "b.safetensors",
      c: "c.safetensors",
      w: "d.safetensors",
    });
    const error = await failureOf(() => openCheckpoint(folder));
    expect(error.code).toBe("E_FILES_UNUSABLE");
    expect(error.message).toMatch(
      /a\.safetensors: missing\n.*b\.safetensors: empty\n.*c\.safetensors: a Git LFS pointer/,
    );
    expect(error.hint).toContain("git lfs pull");
  });

  it("lists every damaged file at once", async () => {
    const { folder } = await goldenFolder("mixed-dtypes");
    for (const name of await readdir(folder)) {
      if (name.endsWith(".safetensors")) await truncate(path.join(folder, name), 5000);
    }
    const error = await failureOf(() => openCheckpoint(folder));
    expect(error.code).toBe("E_SAFETENSORS_TRUNCATED");
    expect(error.message).toMatch(
      /^3 of 3 weight files cannot be read:\n.*model-00001.*\n.*model-00002.*\n.*model-00003/,
    );
  });

  it("names tensors that their file does not hold", async () => {
    const folder = await tempFolder();
    await writeFile(path.join(folder, "a.safetensors"), oneTensor("w"));
    await writeIndex(folder, { w: "a.safetensors", "model.norm.weight": "a.safetensors" });
    const error = await failureOf(() => openCheckpoint(folder));
    expect(error.code).toBe("E_INDEX_TENSOR_ABSENT");
    expect(error.message).toContain("model.norm.weight in a.safetensors");
  });
});

describe("a folder without an index", () => {
  it("gives the tensors of a lone file in the order of their bytes", async () => {
    const { folder, golden } = await goldenFolder("noindex");
    const before = await readdir(folder);
    const checkpoint = await openCheckpoint(folder);
    expect([...checkpoint.tensors.keys()]).toEqual(golden.files[0]?.tensors.map(([name]) => name));
    expect(checkpoint.singleFile).toBe(false);
    expect(await readdir(folder)).toEqual(before);
  });

  it("is refused when no weights are there, telling what is", async () => {
    const folder = await tempFolder();
    await writeFile(path.join(folder, "config.json"), "{}");
    await writeFile(path.join(folder, "model-q4.gguf"), "GGUF");
    const error = await failureOf(() => openCheckpoint(folder));
    expect(error.code).toBe("E_NO_WEIGHTS");
    expect(error.message).toContain("pytorch_model.bin.index.json");
    expect(error.message).toContain("found model-q4.gguf, config.json");
  });

  it("is refused when the format asked for is not there", async () => {
    const { folder } = await goldenFolder("noindex");
    const error = await failureOf(() => openCheckpoint(folder, { sourceFormat: "huggingface-torch" }));
    expect(error.code).toBe("E_FORMAT_NOT_FOUND");
    expect(error.message).toContain("model.safetensors");
  });

  it("is refused when the lone file has no tensors", async () => {
    const folder = await tempFolder();
    await writeFile(path.join(folder, "model.safetensors"), safetensorsFile({}, 0));
    expect((await failureOf(() => openCheckpoint(folder))).code).toBe("E_EMPTY_CHECKPOINT");
  });

  it("is refused when it does not exist", async () => {
    const error = await failureOf(() => openCheckpoint("/nowhere/at/all"));
    expect(error.name).toBe("SourceError");
    expect(error.code).toBe("E_SOURCE_MISSING");
  });
});

describe("both formats in one folder", () => {
  it("takes safetensors and says so (T14)", async () => {
    const { folder } = await goldenFolder("noindex");
    await writeFile(path.join(folder, "pytorch_model.bin"), "anything");
    const checkpoint = await openCheckpoint(folder);
    expect(checkpoint.format).toBe("huggingface-safetensor");
    expect(checkpoint.notices).toEqual([
      "Both model.safetensors and pytorch_model.bin are present; model.safetensors is used. Choose with --source-format.",
    ]);
  });
});

describe("PyTorch files", () => {
  const torch = new URL("../golden/torch/llama-zip-sharded", import.meta.url).pathname;

  it("are found beside safetensors when asked for", async () => {
    const { folder } = await goldenFolder("noindex");
    for (const name of await readdir(torch)) await copyFile(path.join(torch, name), path.join(folder, name));
    const checkpoint = await openCheckpoint(folder, { sourceFormat: "huggingface-torch" });
    expect(checkpoint.format).toBe("huggingface-torch");
    expect(checkpoint.files.map(({ name }) => name)).toEqual([
      "pytorch_model-00001-of-00002.bin",
      "pytorch_model-00002-of-00002.bin",
    ]);
  });

  it("that an index names for a value of None count as there", async () => {
    const folder = await tempFolder();
    const views = new URL("../golden/torch/qwen2-zip-views/pytorch_model.bin", import.meta.url).pathname;
    await copyFile(views, path.join(folder, "a.bin"));
    const weightMap = { "model.norm.weight": "a.bin", "model.unused_none": "a.bin" };
    await writeFile(
      path.join(folder, "pytorch_model.bin.index.json"),
      JSON.stringify({ weight_map: weightMap }),
    );
    const checkpoint = await openCheckpoint(folder);
    expect([...checkpoint.tensors.keys()]).toEqual(["model.norm.weight"]);
    expect(checkpoint.notices).toEqual(["a.bin: skipped 1 names that hold None: model.unused_none"]);
  });
});

describe("AWQ checkpoints", () => {
  it("sort the names of a single file given directly", async () => {
    const { folder, golden } = await goldenFolder("awq-llama-0");
    const file = path.join(folder, "model.safetensors");
    const checkpoint = await openCheckpoint(file, { sourceFormat: "awq" });
    const names = golden.files.flatMap((each) => each.tensors.map(([name]) => name));
    expect([...checkpoint.tensors.keys()]).toEqual([...names].sort());
    expect(checkpoint).toMatchObject({ format: "awq", singleFile: true });
  });

  it("sort names by code points, not by UTF-16 units", async () => {
    const folder = await tempFolder();
    const header = Object.fromEntries(
      ["\u{1f600}", "\uffee", "a"].map((name) => [name, { dtype: "U8", shape: [0], data_offsets: [0, 0] }]),
    );
    await writeFile(path.join(folder, "x.safetensors"), safetensorsFile(header, 0));
    const checkpoint = await openCheckpoint(folder, { sourceFormat: "awq" });
    expect([...checkpoint.tensors.keys()]).toEqual(["a", "\uffee", "\u{1f600}"]);
  });

  it("take a folder with one weight file, whatever its name", async () => {
    const { folder } = await goldenFolder("awq-llama-0");
    await rename(path.join(folder, "model.safetensors"), path.join(folder, "awq-w4-g128.safetensors"));
    const checkpoint = await openCheckpoint(folder, { sourceFormat: "awq" });
    expect(checkpoint.files[0]?.name).toBe("awq-w4-g128.safetensors");
  });

  it("are refused when a folder has several candidates", async () => {
    const { folder } = await goldenFolder("awq-llama-0");
    await writeFile(path.join(folder, "other.safetensors"), oneTensor("w"));
    const error = await failureOf(() => openCheckpoint(folder, { sourceFormat: "awq" }));
    expect(error.code).toBe("E_FORMAT_AMBIGUOUS");
    expect(error.message).toContain("model.safetensors, other.safetensors");
  });

  it("take an index, in its order", async () => {
    const { folder, golden } = await goldenFolder("awq-llama-0");
    const weightMap = Object.fromEntries(golden.weightMap.map(([name]) => [name, "model.safetensors"]));
    await writeIndex(folder, weightMap);
    const checkpoint = await openCheckpoint(path.join(folder, "model.safetensors.index.json"), {
      sourceFormat: "awq",
    });
    expect([...checkpoint.tensors.keys()]).toEqual(Object.keys(weightMap));
    expect(checkpoint.singleFile).toBe(false);
  });
});

describe("a file given directly", () => {
  it("is read by its ending", async () => {
    const { folder } = await goldenFolder("noindex");
    const checkpoint = await openCheckpoint(path.join(folder, "model.safetensors"));
    expect(checkpoint).toMatchObject({ format: "huggingface-safetensor", singleFile: true });
  });

  it("is refused when its ending says nothing", async () => {
    const folder = await tempFolder();
    await writeFile(path.join(folder, "weights.dat"), "x");
    expect((await failureOf(() => openCheckpoint(path.join(folder, "weights.dat")))).code).toBe(
      "E_FILE_TYPE",
    );
  });
});

describe("remote files", () => {
  it("give the same checkpoint from ranged reads of the headers alone", async () => {
    const { folder } = await goldenFolder("mixed-dtypes");
    let bytes = 0;
    const files: NamedFile[] = [];
    for (const name of (await readdir(folder)).sort()) {
      const file = await openLocalFile(folder, name);
      if (file === undefined) continue;
      const read = (start: number, end: number): Promise<Uint8Array> => {
        bytes += end - start;
        return file.read(start, end);
      };
      files.push({ name, path: `https://hub.example/${name}`, size: file.size, read });
    }
    const remote = await openRemoteCheckpoint("example/model", files);
    const local = await openCheckpoint(folder);
    expect(remote.tensors).toEqual(local.tensors);
    expect(remote.stored).toEqual(local.stored);
    expect(remote.files[0]?.path).toBe(`https://hub.example/${remote.files[0]?.name}`);
    expect(bytes).toBeLessThan(4 * 100_000);
  });

  it("may be absent, which is told like a missing local file", async () => {
    const { folder } = await goldenFolder("mixed-dtypes");
    const index = await openLocalFile(folder, "model.safetensors.index.json");
    if (index === undefined) throw new Error("the case has no index");
    await rm(folder, { recursive: true });
    await mkdir(folder);
    const text = Buffer.from('{"weight_map": {"w": "a.safetensors"}}');
    const read = async (start: number, end: number): Promise<Uint8Array> => text.subarray(start, end);
    const error = await failureOf(() =>
      openRemoteCheckpoint("example/model", [{ ...index, size: text.length, read }]),
    );
    expect(error.message).toContain("a.safetensors: missing");
  });
});
