// Shows what a conversion would make, without reading a weight:
//   node examples/inspect-plan.mjs ./Llama-3.2-1B-Instruct q4f16_1
import { planConversion, planReport } from "mlc-convert";

const [model, quantization = "q4f16_1"] = process.argv.slice(2);
if (!model) throw new Error("usage: inspect-plan.mjs <model> [quantization]");

const report = planReport(await planConversion({ model, quantization }));
const largest = report.tensors.toSorted((a, b) => b.nbytes - a.nbytes).slice(0, 5);
for (const { name, shape, dtype, nbytes } of largest) {
  console.log(`${name} [${shape.join(", ")}] ${dtype}: ${nbytes} bytes`);
}
console.log(
  `${report.totals.tensors} tensors, ${report.totals.nbytes} bytes in ${report.totals.shards} shards`,
);
