import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { mkdir, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { CLI, jsonLines, runCli } from "../support/cli.ts";
import { SEVERAL_SHARDS, writeModel } from "../support/small-model.ts";
import { tempFolder } from "../support/temp-folder.ts";

const VERSION = (
  JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as { version: string }
).version;

describe("the command line", () => {
  it("shows its version and its help", async () => {
    expect(await runCli(["--version"])).toMatchObject({ code: 0, stdout: `${VERSION}\n` });
    const { code, stdout } = await runCli(["--help"]);
    expect(code).toBe(0);
    for (const command of ["convert", "plan", "verify", "doctor", "demo"])
      expect(stdout).toContain(`  ${command} `);
    expect((await runCli(["plan", "--help"])).stdout).toContain("--quantization");
  });

  it("knows every command by its name alone", async () => {
    const { stdout } = await runCli(["--help"]);
    const names = [...stdout.slice(stdout.indexOf("Commands:")).matchAll(/^ {2}([a-z]\S*)/gm)].map(
      ([, name]) => (name as string).split("|")[0] as string,
    );
    expect(names.length).toBeGreaterThan(10);
    for (const name of names.filter((name) => name !== "help")) {
      const { code, stdout: help } = await runCli([name, "--help"]);
      expect([name, code, help.split(/[\s|]+/).slice(0, 3)]).toEqual([
        name,
        0,
        ["Usage:", "mlc-convert", name],
      ]);
    }
  });

  it.each<[string, number, (folder: string, model: string) => Promise<string[]>, string]>([
    ["an unknown option", 2, async () => ["verify", "--frobnicate", "out"], "unknown option"],
    ["a missing option", 2, async (_, model) => [model, "-q", "q0f16"], "--output"],
    [
      "an unknown quantization",
      2,
      async (folder, model) => [model, "-q", "q9", "-o", join(folder, "o")],
      "E_UNKNOWN_QUANTIZATION",
    ],
    [
      "shards that the result does not have",
      2,
      async (folder, model) => [model, "-q", "q0f16", "-o", join(folder, "o"), "--only-shards", "0-7"],
      "--only-shards 0-7: the result has the shards 0 to 0",
    ],
    [
      "a range of shards that ends before it begins",
      2,
      async (folder, model) => [model, "-q", "q0f16", "-o", join(folder, "o"), "--only-shards", "3-1"],
      "such as 0-3 or 5",
    ],
    [
      "a model that is not there",
      3,
      async (folder) => [folder, "-q", "q0f16", "-o", join(folder, "o")],
      "E_CONFIG_MISSING",
    ],
    [
      "a model that is converted already",
      3,
      async (folder) => {
        await writeFile(join(folder, "mlc-chat-config.json"), "{}");
        return [folder, "-q", "q0f16", "-o", join(folder, "o")];
      },
      "name the checkpoint that it was made from",
    ],
    [
      "a weight file in the place of the model",
      3,
      async (folder, model) => [join(model, "model.safetensors"), "-q", "q0f16", "-o", join(folder, "o")],
      "found weights",
    ],
    [
      "a damaged weight file",
      4,
      async (folder, model) => {
        await writeFile(join(model, "model.safetensors"), "no header");
        return [model, "-q", "q0f16", "-o", join(folder, "o")];
      },
      "E_SAFETENSORS",
    ],
    [
      "an architecture that nobody knows",
      5,
      async (folder, model) => [model, "-q", "q0f16", "-o", join(folder, "o"), "--model-type", "lama"],
      "llama",
    ],
    [
      "a backend that is not there",
      6,
      async (folder, model) => [model, "-q", "q0f16", "-o", join(folder, "o"), "--backend", "sse9"],
      "E_BACKEND",
    ],
    [
      "an output that holds something",
      7,
      async (folder, model) => {
        await mkdir(join(folder, "o"));
        await writeFile(join(folder, "o", "x"), "");
        return [model, "-q", "q0f16", "-o", join(folder, "o")];
      },
      "E_OUTPUT_NOT_EMPTY",
    ],
  ])("ends for %s with exit code %i", async (_, expected, args, said) => {
    const folder = await tempFolder();
    const { code, stderr } = await runCli(await args(folder, await writeModel(folder)));
    expect(stderr).toContain(said);
    expect(code).toBe(expected);
    expect((await readdir(folder)).filter((name) => name.includes("partial"))).toEqual([]);
  });

  it.each([["plan"], ["convert"], ["gen-config"], ["recommend"]])(
    "%s tells that a folder wins over the hub's model of that name",
    async (command) => {
      const cwd = await tempFolder();
      await writeModel(join(cwd, "org"));
      const options = command === "recommend" ? [] : ["-q", "q4f16_1"];
      const output = ["convert", "gen-config"].includes(command) ? ["-o", "out"] : [];
      const { code, stdout, stderr } = await runCli([command, "org/model", ...options, ...output], { cwd });
      expect([code, stderr]).toEqual([0, stderr]);
      expect(stdout + stderr).toContain(
        "org/model is a local path; write HF://org/model for the hub's model.",
      );
    },
  );

  it("answers --version and --help without loading the addon", async () => {
    const tell = 'process.on("exit",()=>console.error(process.report.getReport().sharedObjects.join("\\n")))';
    const env = { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(tell)}` };
    for (const args of [["--version"], ["--help"], ["convert", "--help"]]) {
      expect((await runCli(args, { env })).stderr).not.toContain("mlc_convert");
    }
    expect((await runCli(["doctor"], { env })).stderr).toContain("mlc_convert");
  });

  it("prints one JSON object a line with --json, the result last", async () => {
    const folder = await tempFolder();
    const model = await writeModel(folder);
    const output = join(folder, "out");
    const { code, stdout, stderr } = await runCli([
      model,
      "-q",
      "q4f16_1",
      "-o",
      output,
      "--weights-only",
      "--json",
    ]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    const lines = jsonLines(stdout);
    expect(lines.map(({ type }) => type)).toEqual(expect.arrayContaining(["phase", "shard"]));
    expect(lines.at(-1)).toMatchObject({
      type: "result",
      architecture: "llama",
      quantization: "q4f16_1",
      output,
    });
    const failed = await runCli([model, "-q", "q9", "-o", output, "--json"]);
    expect(jsonLines(failed.stdout).at(-1)).toMatchObject({
      type: "error",
      error: { class: "UsageError", code: "E_UNKNOWN_QUANTIZATION" },
    });
    expect(jsonLines((await runCli(["plan", model, "-q", "q0f16", "--json"])).stdout).at(-1)).toMatchObject({
      totals: { shards: 1 },
    });
    expect(jsonLines((await runCli(["doctor", "--json"])).stdout).at(-1)).toMatchObject({ version: VERSION });
  });

  it("draws no bar and no colour where there is no terminal, and nothing at all with --quiet", async () => {
    const folder = await tempFolder();
    const model = await writeModel(folder);
    const env = { NO_COLOR: "", CI: "true" };
    const loud = await runCli([model, "-q", "q0f16", "-o", join(folder, "a"), "--no-fsync"], { env });
    expect(loud.code).toBe(0);
    const escapeCharacter = String.fromCharCode(27);
    expect(loud.stdout + loud.stderr).not.toContain(escapeCharacter);
    expect(loud.stdout + loud.stderr).not.toContain("\r");
    const quiet = await runCli([model, "-q", "q0f16", "-o", join(folder, "b"), "--no-fsync", "--quiet"]);
    expect(quiet).toMatchObject({ code: 0, stdout: "", stderr: "" });
  });

  it.skipIf(spawnSync("script", ["--version"]).status !== 0)(
    "draws a bar on a terminal",
    { timeout: 120_000 },
    async () => {
      const folder = await tempFolder();
      const model = await writeModel(folder, SEVERAL_SHARDS);
      const command = `"${process.execPath}" "${CLI}" "${model}" -q q0f16 -o "${join(folder, "out")}" --threads 1 --weights-only`;
      const { stdout, status } = spawnSync("script", ["-qec", command, "/dev/null"], { encoding: "utf8" });
      expect(status).toBe(0);
      expect(stdout).toMatch(/\d+%/);
      expect(stdout).toContain("Saved to");
    },
  );

  it.skipIf(spawnSync("script", ["--version"]).status !== 0).each([
    ["a terminal", {}, "", true],
    ["a terminal, but NO_COLOR is set", { NO_COLOR: "1" }, "", false],
    ["a file, and stdout a terminal", {}, "2> errors; cat errors", false],
    ["a file, and FORCE_COLOR is set", { FORCE_COLOR: "1" }, "2> errors; cat errors", true],
  ] as const)("colours what it says where stderr is %s: %o", async (_, wishes, redirected, coloured) => {
    const cwd = await tempFolder();
    const { NO_COLOR: _none, FORCE_COLOR: _forced, CI: _ci, ...inherited } = process.env;
    const env = { ...inherited, TERM: "xterm", ...wishes };
    const command = `"${process.execPath}" "${CLI}" verify nothing ${redirected}`;
    const { stdout } = spawnSync("script", ["-qec", command, "/dev/null"], { encoding: "utf8", cwd, env });
    expect(stdout).toContain("error");
    expect(stdout.includes("\u001b[31m")).toBe(coloured);
  });

  it("stops on Ctrl-C with exit code 130, leaves no finished-looking folder, and goes on from there", {
    timeout: 120_000,
  }, async () => {
    const folder = await tempFolder();
    const model = await writeModel(folder, SEVERAL_SHARDS);
    const output = join(folder, "out");
    const args = [model, "-q", "q0f16", "-o", output, "--threads", "1", "--weights-only", "--json"];
    const stopped = await runCli(args, {
      onStart: (child) => {
        child.stdout?.on("data", (text: string) => {
          if (text.includes('"phase":"convert"')) child.kill("SIGINT");
        });
      },
    });
    expect(stopped.code).toBe(130);
    const { error } = jsonLines(stopped.stdout).at(-1) as { error: { message: string } };
    expect(error.message).toBe(
      "interrupted; the same command continues a conversion or a download where it stopped",
    );
    expect(existsSync(output)).toBe(false);
    expect(existsSync(`${output}.mlc-convert-partial.lock`)).toBe(false);
    expect(await runCli(args)).toMatchObject({ code: 0 });
    expect(existsSync(join(output, "tensor-cache.json"))).toBe(true);
    expect(existsSync(`${output}.mlc-convert-partial`)).toBe(false);
    expect(await runCli(["verify", output])).toMatchObject({ code: 0 });
  });

  it("makes only the shards that are named, counts them alone, and says where they lie", {
    timeout: 120_000,
  }, async () => {
    const folder = await tempFolder();
    const output = join(folder, "out");
    const args = [await writeModel(folder, SEVERAL_SHARDS), "-q", "q0f16", "-o", output, "--weights-only"];
    const one = await runCli([...args, "--only-shards", "1"]);
    expect(one.stdout).toMatch(/ in 1 of \d+ shards, /);
    expect(one.stdout).toContain(`Left in ${output}.mlc-convert-partial`);
    expect(existsSync(output)).toBe(false);
    const two = await runCli([...args, "--only-shards", "0-1", "--json"]);
    const report = { complete: false, resumedShards: 1, shards: 2, output: `${output}.mlc-convert-partial` };
    expect(jsonLines(two.stdout).at(-1)).toMatchObject(report);
    const whole = await runCli([...args, "--json"]);
    const { shards, shardsInAll } = jsonLines(whole.stdout).at(-1) as Record<string, number>;
    expect(jsonLines(whole.stdout).at(-1)).toMatchObject({ complete: true, resumedShards: 2, output });
    expect(shards).toBe(shardsInAll);
    expect(one.stdout).toContain(` in 1 of ${shardsInAll} shards`);
  });

  it("ends verify with exit code 1 where there are faults, naming them", async () => {
    const folder = await tempFolder();
    const output = join(folder, "out");
    await runCli([await writeModel(folder), "-q", "q4f16_1", "-o", output, "--weights-only"]);
    await rm(join(output, "params_shard_0.bin"));
    const { code, stdout } = await runCli(["verify", output]);
    expect(code).toBe(1);
    expect(stdout).toContain("params_shard_0.bin: the file is missing");
  });

  it("keeps nothing of a demo unless it is told where, and says so", { timeout: 120_000 }, async () => {
    const { code, stdout } = await runCli(["demo"]);
    expect(code).toBe(0);
    expect(stdout).toContain("Verified: every shard matches its hash");
    expect(stdout).not.toContain("Saved to");
  });
});
