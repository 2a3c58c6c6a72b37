import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { jsonLines, runCli } from "../support/cli.ts";
import { SEVERAL_SHARDS, writeModel } from "../support/small-model.ts";
import { tempFolder } from "../support/temp-folder.ts";

/** Writes down, before a staging folder is moved, what this process has open or mapped in it. */
const WATCHER = `
const fs = require("node:fs");
const promises = require("node:fs/promises");
const { rename } = promises;
const links = () => fs.readdirSync("/proc/self/fd").flatMap((fd) => {
  try { return [fs.readlinkSync("/proc/self/fd/" + fd)]; } catch { return []; }
});
promises.rename = (from, to) => {
  if (from.endsWith(".mlc-convert-partial")) {
    const held = [...links(), ...fs.readFileSync("/proc/self/maps", "utf8").split("\\n")];
    fs.writeFileSync(process.env.HELD, JSON.stringify(held.filter((line) => line.includes(from))));
  }
  return rename(from, to);
};
`;

// Linux moves a folder whose files are open; Windows refuses, and only a Windows machine would show it.
describe.runIf(process.platform === "linux")("when a result is moved into place", () => {
  it("none of its files is open or mapped, be it made at once or resumed", async () => {
    const folder = await tempFolder();
    const model = await writeModel(folder, SEVERAL_SHARDS);
    const [watcher, held] = [join(folder, "watcher.cjs"), join(folder, "held.json")];
    await writeFile(watcher, WATCHER);
    const env = { NODE_OPTIONS: `--require "${watcher}"`, HELD: held };
    const convert = (output: string, ...more: string[]) =>
      runCli([model, "-q", "q0f16", "-o", join(folder, output), "--no-fsync", "--json", ...more], { env });

    expect((await convert("whole")).code).toBe(0);
    expect(JSON.parse(await readFile(held, "utf8"))).toEqual([]);

    expect((await convert("resumed", "--only-shards", "0-1")).code).toBe(0);
    const { code, stdout } = await convert("resumed");
    expect([code, jsonLines(stdout).at(-1)]).toMatchObject([0, { resumedShards: 2 }]);
    expect(JSON.parse(await readFile(held, "utf8"))).toEqual([]);
  });
});
