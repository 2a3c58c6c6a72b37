import type { SourceFormat } from "../core/tensor-info.ts";
import { listArchitectures } from "./registry.ts";
import { SCHEMES } from "./scheme.ts";
import { schemesBeyondUpstream, schemesOf } from "./source-parameters.ts";

/** What one architecture can be read from and converted to. */
export interface SupportRow {
  readonly key: string;
  readonly configClass: string;
  /** Names of model classes as `architectures` of config.json lists them. */
  readonly classes: readonly string[];
  readonly task: "chat" | "embedding";
  readonly sourceFormats: readonly SourceFormat[];
  /** Names of quantizations. */
  readonly schemes: readonly string[];
  /** Those of them that upstream does not have for this architecture. */
  readonly beyondUpstream: readonly string[];
}

/** Every architecture with its source formats and quantizations, sorted by key. */
export async function supportMatrix(): Promise<readonly SupportRow[]> {
  const all = await listArchitectures();
  return all.map((one) => ({
    key: one.key,
    configClass: one.configClass,
    classes: one.classes,
    task: one.modelTask,
    sourceFormats: one.awqByRule ? [...one.sourceFormats, "awq"] : one.sourceFormats,
    schemes: schemesOf(one),
    beyondUpstream: schemesBeyondUpstream(one),
  }));
}

/** Quantizations that belong together in a table of what is supported. */
const COLUMNS: readonly (readonly [title: string, schemes: readonly string[]])[] = [
  ["q0", SCHEMES.filter(({ kind }) => kind === "no-quant").map(({ name }) => name)],
  ["q3, q4", SCHEMES.filter(({ kind }) => kind === "group-quant").map(({ name }) => name)],
  ...["ft-quant", "awq", "per-tensor-quant", "block-scale-quant"].map(
    (kind) => [kind, SCHEMES.filter((scheme) => scheme.kind === kind).map(({ name }) => name)] as const,
  ),
];

const TITLES: Readonly<Record<string, string>> = {
  "ft-quant": "ft",
  awq: "awq",
  "per-tensor-quant": "fp8",
  "block-scale-quant": "fp8 blocks",
};

const FORMATS: readonly (readonly [SourceFormat, string])[] = [
  ["huggingface-safetensor", "safetensors"],
  ["huggingface-torch", "torch"],
  ["awq", "awq"],
  ["gguf", "gguf"],
];

/** docs/models.md: the matrix as a page. */
export function modelsPage(rows: readonly SupportRow[]): string {
  const titles = COLUMNS.map(([title]) => TITLES[title] ?? title);
  const header = ["`--model-type`", "class in config.json", "task", "sources", ...titles];
  const lines = rows.map((row) => {
    const sources = FORMATS.filter(([format]) => row.sourceFormats.includes(format)).map(([, name]) => name);
    const cells = COLUMNS.map(([, schemes]) => share(schemes, row));
    const classes = row.classes.map((name) => `\`${name}\``).join(", ");
    return [`\`${row.key}\``, classes || "none", row.task, sources.join(", "), ...cells];
  });
  return `${INTRODUCTION}\n${aligned([header, ...lines])}\n\n${legend(titles)}`;
}

/** A Markdown table whose columns are padded to one width, as the formatter of this repository wants it. */
function aligned(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, k) => Math.max(3, ...rows.map((cells) => cells[k]?.length ?? 0)));
  const rule = widths.map((width) => "-".repeat(width));
  const [header = [], ...body] = rows;
  return [header, rule, ...body]
    .map((cells) => `| ${cells.map((cell, k) => cell.padEnd(widths[k] ?? 0)).join(" | ")} |`)
    .join("\n");
}

/** How many of a column's quantizations a row has. */
function share(column: readonly string[], { schemes, beyondUpstream }: SupportRow): string {
  const count = column.filter((name) => schemes.includes(name)).length;
  if (count === 0) return "";
  if (column.every((name) => beyondUpstream.includes(name))) return "by rule";
  return count === column.length ? "yes" : `${count} of ${column.length}`;
}

const INTRODUCTION = `# Models

What can be converted, from what, to what. The same as \`mlc-convert models\`; this page is made by
\`npm run docs:models\` from the tables in src/plan/architectures, one file an architecture.

The architecture is read from \`model_type\` of config.json. Keys with a dash (and \`eagle\`, \`medusa\`) are announced
by no checkpoint of their own, so name them with \`--model-type\` where detection does not find them.
`;

function legend(titles: readonly string[]): string {
  const lines = COLUMNS.map(
    ([, schemes], k) => `- **${titles[k]}**: ${schemes.map((name) => `\`${name}\``).join(", ")}`,
  );
  return `## Columns

${lines.join("\n")}

Models with experts cannot be converted to \`q3f16_0\`, \`q4f16_0\` and \`q4bf16_0\`: use the scheme that ends in \`_1\`.
\`awq\` and \`fp8 blocks\` take the weights of a checkpoint that is quantized already. *by rule*: upstream has no
AWQ for this architecture; the layers are named and joined as upstream does for llama, which works wherever every
layer is one tensor or several joined along their outputs. Models with stacked experts or permuted rows are refused.
`;
}
