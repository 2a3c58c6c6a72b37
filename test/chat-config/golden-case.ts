import { readdirSync, readFileSync } from "node:fs";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { tempFolder } from "../support/temp-folder.ts";

/** What the reference converter wrote for one set of input files. */
export interface GoldenCase {
  readonly id: string;
  readonly inputs: Readonly<Record<string, string>>;
  readonly inputs_base64?: Readonly<Record<string, string>>;
  readonly model_type: string | null;
  readonly model_type_argument: string;
  readonly quantization: string;
  readonly conv_template: string;
  readonly overrides: Readonly<Record<string, number | boolean>>;
  readonly expected: string | null;
  readonly copied?: readonly string[];
  readonly written?: Readonly<Record<string, { readonly text?: string; readonly base64?: string }>>;
  readonly error?: { readonly message: string };
}

const FOLDER = new URL("../golden/chat-config/", import.meta.url);

/** All cases, sorted by name. */
export function goldenCases(): readonly GoldenCase[] {
  const names = readdirSync(FOLDER).filter((name) => name.endsWith(".json"));
  return names.sort().map((name) => JSON.parse(readFileSync(new URL(name, FOLDER), "utf8")) as GoldenCase);
}

/** Lays a case's input files out in a new folder that goes with the test. */
export async function layOut(golden: GoldenCase): Promise<string> {
  const folder = join(await tempFolder(), "source");
  await mkdir(folder);
  for (const [name, text] of Object.entries(golden.inputs)) await writeFile(join(folder, name), text);
  for (const [name, text] of Object.entries(golden.inputs_base64 ?? {}))
    await writeFile(join(folder, name), Buffer.from(text, "base64"));
  return folder;
}

/** Name → content of every file of a folder but mlc-chat-config.json. */
export async function otherFiles(folder: string): Promise<Record<string, Buffer>> {
  const names = (await readdir(folder)).filter((name) => name !== "mlc-chat-config.json").sort();
  const contents = await Promise.all(names.map((name) => readFile(join(folder, name))));
  return Object.fromEntries(names.map((name, index) => [name, contents[index] ?? Buffer.alloc(0)]));
}

/** The files that the reference left beside mlc-chat-config.json. */
export function expectedFiles(golden: GoldenCase): Record<string, Buffer> {
  const input = (name: string): Buffer => {
    const binary = golden.inputs_base64?.[name];
    return binary === undefined
      ? Buffer.from(golden.inputs[name] ?? "", "utf8")
      : Buffer.from(binary, "base64");
  };
  const copied = (golden.copied ?? []).map((name): [string, Buffer] => [name, input(name)]);
  const written = Object.entries(golden.written ?? {}).map(([name, { text, base64 }]): [string, Buffer] => [
    name,
    text === undefined ? Buffer.from(base64 ?? "", "base64") : Buffer.from(text, "utf8"),
  ]);
  return Object.fromEntries([...copied, ...written].sort(([a], [b]) => (a < b ? -1 : 1)));
}
