// Writes docs/errors.md from the source: every code, its class and exit code, what is said, and the hint.
// `--check` only compares, for the tests.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const PAGE = join(ROOT, "docs/errors.md");
/** Where the message alone does not say enough. */
const MEANINGS = JSON.parse(readFileSync(new URL("error-meanings.json", import.meta.url), "utf8"));
const CODE = /^E_[A-Z0-9_]+$/;

const CLASSES = [
  ["UsageError", 2, "the command or the call is wrong"],
  ["SourceError", 3, "what was named cannot be acquired"],
  ["CheckpointError", 4, "an input file is not what it should be"],
  ["PlanError", 5, "configuration, tensors and scheme do not fit together"],
  ["KernelError", 6, "the addon, a backend or a device cannot do the work"],
  ["OutputError", 7, "the result cannot be written, or is not sound"],
];
const ROOM_CLASS = {
  checkpoint: "CheckpointError",
  plan: "PlanError",
  source: "SourceError",
  gguf: "PlanError",
};

function filesBelow(folder, pattern) {
  return readdirSync(join(ROOT, folder), { recursive: true })
    .map((name) => join(folder, name))
    .filter((name) => pattern.test(name))
    .sort();
}

/** The text of an expression, with an ellipsis for what is only known at run time. */
function textOf(node) {
  if (!node) return "";
  if (ts.isStringLiteral(node) || ts.isNoSubstitutionTemplateLiteral(node)) return node.text;
  if (ts.isTemplateExpression(node)) {
    return node.head.text + node.templateSpans.map((span) => `…${span.literal.text}`).join("");
  }
  if (ts.isBinaryExpression(node) && node.operatorToken.kind === ts.SyntaxKind.PlusToken) {
    return textOf(node.left) + textOf(node.right);
  }
  if (ts.isConditionalExpression(node)) return `${textOf(node.whenTrue)} / ${textOf(node.whenFalse)}`;
  if (ts.isParenthesizedExpression(node)) return textOf(node.expression);
  return "…";
}

function hintIn(node) {
  let hint = "";
  const visit = (child) => {
    if (ts.isPropertyAssignment(child) && child.name.getText() === "hint") hint ||= textOf(child.initializer);
    else ts.forEachChild(child, visit);
  };
  for (const argument of node.arguments ?? []) visit(argument);
  return hint;
}

function classOf(call, path, source) {
  const name = call.expression.getText();
  if (CLASSES.some(([known]) => known === name)) return name;
  const made = [...source.text.matchAll(/new (\w+Error)\(/g)].map((match) => match[1]);
  const known = made.find((candidate) => CLASSES.some(([one]) => one === candidate));
  return known ?? ROOM_CLASS[path.split("/")[1]] ?? "KernelError";
}

const found = new Map();
function note(code, facts) {
  const known = found.get(code);
  const says = (known?.says ?? [])
    .concat(facts.says)
    .filter((text, at, all) => text && all.indexOf(text) === at);
  found.set(code, { class: known?.class ?? facts.class, says, hint: known?.hint || facts.hint });
}

function readTypeScript(path) {
  const source = ts.createSourceFile(
    path,
    readFileSync(join(ROOT, path), "utf8"),
    ts.ScriptTarget.Latest,
    true,
  );
  const visit = (node) => {
    if (ts.isStringLiteral(node) && CODE.test(node.text)) {
      const call = node.parent;
      const isCall = ts.isNewExpression(call) || ts.isCallExpression(call);
      const at = isCall ? call.arguments.indexOf(node) : -1;
      const message = isCall ? textOf(call.arguments[at === 0 ? 1 : at - 1]) : "";
      note(node.text, {
        class: isCall ? classOf(call, path, source) : classOf({ expression: node }, path, source),
        says: [message],
        hint: isCall ? hintIn(call) : "",
      });
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
}

/** As src/execute/run-shards.ts translates what the addon throws. */
function nativeClass(code) {
  if (code.startsWith("E_SOURCE")) return "CheckpointError";
  return code === "E_DISK_FULL" || code.startsWith("E_OUTPUT") ? "OutputError" : "KernelError";
}

function readCpp(path) {
  const text = readFileSync(join(ROOT, path), "utf8");
  for (const [, code, says] of text.matchAll(/"(E_[A-Z0-9_]+)"(?:,\s*"([^"]*)")?/g)) {
    note(code, { class: nativeClass(code), says: [says ? `${says} …` : ""], hint: "" });
  }
}

for (const path of filesBelow("src", /\.ts$/)) readTypeScript(relative(".", path));
for (const path of filesBelow("cpp", /\.(cpp|h|cu)$/)) readCpp(path);

const cell = (text) =>
  text
    .replaceAll(/\s*\n\s*/g, " ")
    .replaceAll("|", "\\|")
    .trim();

function section([name, exit, meaning]) {
  const rows = [...found].filter(([, facts]) => facts.class === name).sort(([a], [b]) => (a < b ? -1 : 1));
  const lines = rows.map(([code, { says, hint }]) => {
    const said = says
      .filter((text) => text !== "…")
      .slice(0, 2)
      .map(cell)
      .join("; or: ");
    return `| \`${code}\` | ${MEANINGS[code] ?? (said || "the message says what")} | ${cell(hint ?? "")} |`;
  });
  return [
    `## ${name}: exit code ${exit}`,
    "",
    `Here ${meaning}.`,
    "",
    "| code | cause | hint |",
    "| --- | --- | --- |",
    ...lines,
  ];
}

const text = [
  "# Errors",
  "",
  "Written by `npm run docs:errors` from the source; a test compares them.",
  "",
  "Every error has a class, which decides the exit code, and a stable code for programs (`--json` prints both).",
  "The message says what was expected, what was found, and where. A cause below that quotes the message has an",
  "ellipsis for what is only known when it happens. Exit code 0 means done and sound; 1 that `verify` found faults,",
  "or a defect of this program; 130 that the run was interrupted.",
  "",
  "Nothing that failed leaves a folder that looks finished: the result grows in `<output>.mlc-convert-partial` and is",
  "renamed when it is complete. Running the same command again takes up what is durable there.",
  "",
  "## Lists",
  "",
  "All problems of one kind are told together: the first ten in full, then a count.",
  "",
  ...CLASSES.flatMap((one) => [...section(one), ""]),
].join("\n");

if (process.argv.includes("--check")) {
  const same = readFileSync(PAGE, "utf8") === text;
  if (!same) console.error("docs/errors.md is not what the source says: run npm run docs:errors");
  process.exitCode = same ? 0 : 1;
} else {
  writeFileSync(PAGE, text);
  console.log(`docs/errors.md: ${found.size} codes`);
}
