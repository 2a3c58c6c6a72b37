// Prints one list of cpp/sources.json for binding.gyp: `node scripts/gyp-sources.cjs isa.avx2.files`.
// An instruction set of another architecture than the target's has no files.
const sources = require("../cpp/sources.json");

const [path, targetArch] = process.argv.slice(2);
const isa = /^isa\.(\w+)\./.exec(path)?.[1];
const foreign = isa && !["any", targetArch].includes(sources.isa[isa].arch);
const list = path.split(".").reduce((value, key) => value[key], sources);
const prefix = path.includes("flags") ? "" : "cpp/";
console.log(foreign ? "" : list.map((item) => prefix + item).join(" "));
