import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { convert } from "../src/convert.ts";
import { formatJson, isObject, type JsonObject, parseJson } from "../src/core/json.ts";
import { writeDemoModel } from "../src/demo/demo-model.ts";
import { genConfig } from "../src/gen-config.ts";
import { commitOfFolder } from "../src/hub-server/repository.ts";
import { presetNames } from "../src/presets.ts";
import { readGolden } from "./plan/reference-tables.ts";
import { startHub } from "./source/hub-fixture.ts";
import { jsonLines, runCli } from "./support/cli.ts";
import { failureOf } from "./support/failure-of.ts";
import { tempFolder } from "./support/temp-folder.ts";

const PRESETS = [...(await presetNames())];

async function demoModel(): Promise<string> {
  const model = join(await tempFolder(), "model");
  await writeDemoModel(model);
  return model;
}

describe("what may be set in mlc-chat-config.json", () => {
  it("takes every override of the command line, in upstream's fields", async () => {
    const [model, output] = [await demoModel(), join(await tempFolder(), "out")];
    const overrides = {
      context_window_size: 96,
      prefill_chunk_size: 32,
      tensor_parallel_shards: 2,
      pipeline_parallel_stages: 2,
      max_batch_size: 4,
      disaggregation: true,
    };
    const flags = Object.entries(overrides).flatMap(([name, value]) => [
      `--${name.replaceAll("_", "-")}`,
      String(value),
    ]);
    const { code, stderr } = await runCli(["gen_config", model, "-q", "q4f16_1", "-o", output, ...flags]);
    expect(code, stderr).toBe(0);
    const config = JSON.parse(await readFile(join(output, "mlc-chat-config.json"), "utf8"));
    expect(config.model_config).toMatchObject(overrides);
    expect(config).toMatchObject({ context_window_size: 96, tensor_parallel_shards: 2 });
  });

  it("takes a no for a no, which upstream does not", async () => {
    const [model, output] = [await demoModel(), join(await tempFolder(), "out")];
    const args = ["gen-config", model, "-q", "q4f16_1", "-o", output, "--disaggregation"];
    expect((await runCli([...args, "false"])).code).toBe(0);
    const config = JSON.parse(await readFile(join(output, "mlc-chat-config.json"), "utf8"));
    expect(config.model_config.disaggregation).toBe(false);
    expect(await runCli([...args, "perhaps"])).toMatchObject({ code: 2 });
  });

  it("says which template was probably meant", async () => {
    const args = [await demoModel(), "-q", "q4f16_1", "-o", "out", "--conv-template", "lama-3", "--json"];
    const { code, stdout } = await runCli(["gen-config", ...args]);
    expect(code).toBe(2);
    const hint = expect.stringContaining("did you mean llama-3?");
    expect(jsonLines(stdout).at(-1)).toMatchObject({ error: { code: "E_CONV_TEMPLATE", hint } });
  });
});

describe("a built-in configuration", () => {
  it("gives upstream's chat config, with neither tokenizer nor ids of its own", async () => {
    const output = join(await tempFolder(), "out");
    const { notices, files } = await genConfig({ model: "llama3_2_1b", quantization: "q4f16_1", output });
    expect(files).toEqual(["mlc-chat-config.json"]);
    const config = JSON.parse(await readFile(join(output, files[0] ?? ""), "utf8"));
    const sizes = { hidden_size: 2048, num_hidden_layers: 16, num_key_value_heads: 8, max_batch_size: 128 };
    expect(config.model_config).toMatchObject(sizes);
    expect(config).toMatchObject({ model_type: "llama", context_window_size: 131072, eos_token_id: 2 });
    expect(notices.join()).toContain("No tokenizer was found");
  });

  it("cannot be converted, because it has no weights", async () => {
    const request = {
      model: "llama3_2_1b",
      quantization: "q4f16_1",
      output: join(await tempFolder(), "out"),
    };
    expect(await failureOf(() => convert(request))).toMatchObject({ code: "E_NO_WEIGHTS" });
  });

  it.each(PRESETS)("%s gives upstream's model_config", async (name) => {
    const output = join(await tempFolder(), "out");
    await genConfig({ model: name, quantization: "q0f16", output });
    const written = parseJson(await readFile(join(output, "mlc-chat-config.json"), "utf8"));
    const expected = readGolden("presets.json").get(name);
    if (!isObject(written) || !isObject(expected)) throw new Error("expected objects");
    const text = (object: JsonObject) => formatJson(object.get("model_config") ?? null, 1);
    expect(text(written)).toBe(text(expected));
  });
});

describe("a model of the hub", () => {
  it("gets its config without its weights, the same as from a folder", async () => {
    const model = await demoModel();
    const commit = await commitOfFolder(model);
    const hub = await startHub([{ id: "org/demo", access: "public", refs: new Map([["main", commit]]) }]);
    const folder = await tempFolder();
    const flags = ["-q", "q4f16_1", "--endpoint", hub.endpoint, "--cache-dir", join(folder, "cache"), "-o"];
    const { code, stderr } = await runCli(["gen-config", "org/demo", ...flags, join(folder, "a")]);
    expect(code, stderr).toBe(0);
    expect(hub.storeBytes).toBeLessThan(1000);
    await genConfig({
      model: join(model, "config.json"),
      quantization: "q4f16_1",
      output: join(folder, "b"),
    });
    for (const name of await readdir(join(folder, "b"))) {
      expect(await readFile(join(folder, "a", name), "utf8")).toBe(
        await readFile(join(folder, "b", name), "utf8"),
      );
    }
  });

  it.each([
    ["a template that nobody knows", { chat: { convTemplate: "lama-3" } }, "E_CONV_TEMPLATE"],
    ["an output that cannot be written", { output: "/sys/out" }, "E_OUTPUT_READ_ONLY"],
  ])("is not fetched for %s", async (_name, more, code) => {
    const commit = await commitOfFolder(await demoModel());
    const hub = await startHub([{ id: "org/demo", access: "public", refs: new Map([["main", commit]]) }]);
    const folder = await tempFolder();
    const acquire = { endpoint: hub.endpoint, cacheDir: join(folder, "cache"), token: false } as const;
    const request = { model: "org/demo", quantization: "q4f16_1", output: join(folder, "out"), acquire };
    expect(await failureOf(() => convert({ ...request, ...more }))).toMatchObject({ code });
    const sizes = [...commit.files.values()].map(({ size }) => size);
    expect(hub.storeBytes).toBeLessThan(Math.max(...sizes));
  });

  it("leaves no token in what is printed or written (T29)", async () => {
    const commit = await commitOfFolder(await demoModel());
    const hidden = { id: "org/demo", access: "private" as const, refs: new Map([["main", commit]]) };
    const hub = await startHub([hidden], { token: "hf_topsecret" });
    const folder = await tempFolder();
    const at = (name: string) => join(folder, name);
    const places = ["--cache-dir", at("cache"), "-o", at("out"), "--report", at("report.json")];
    const flags = ["--endpoint", hub.endpoint, "--token", "hf_topsecret", "--json", ...places];
    const { code, stdout, stderr } = await runCli(["org/demo", "-q", "q4f16_1", "--threads", "2", ...flags]);
    expect(code, stderr).toBe(0);
    const provenance = JSON.parse(await readFile(at("out/mlc-convert.json"), "utf8"));
    expect(provenance.source).toMatchObject({ id: "org/demo", commit: commit.sha });
    expect(provenance.conversion.options).toMatchObject({ threads: 2 });
    expect(stdout + stderr).not.toMatch(/hf_topsecret|X-Signature/);
    for (const name of await readdir(folder, { recursive: true })) {
      const bytes = await readFile(at(name)).catch(() => Buffer.of());
      expect(bytes.includes("hf_topsecret"), name).toBe(false);
      expect(bytes.includes("X-Signature"), name).toBe(false);
    }
  });
});
