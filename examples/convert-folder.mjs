// Converts a checkpoint folder and verifies the result:
//   node examples/convert-folder.mjs ./Llama-3.2-1B-Instruct ./out q4f16_1
import { convert, MlcConvertError, verify } from "mlc-convert";

const [model, output, quantization = "q4f16_1"] = process.argv.slice(2);
if (!model || !output) throw new Error("usage: convert-folder.mjs <model> <output> [quantization]");

const controller = new AbortController();
process.once("SIGINT", () => controller.abort());

try {
  const report = await convert(
    { model, output, quantization },
    {
      signal: controller.signal,
      onEvent: (event) => {
        if (event.type === "shard") console.log(`${event.path}: ${event.nbytes} bytes, MD5 ${event.md5}`);
        if (event.type === "notice") console.log(`note: ${event.message}`);
      },
    },
  );
  const { faults } = await verify(output);
  console.log(`${report.tensors} tensors in ${report.shards} shards, ${faults.length} faults`);
} catch (error) {
  if (!(error instanceof MlcConvertError)) throw error;
  console.error(`${error.code}: ${error.message}`);
  if (error.hint) console.error(`hint: ${error.hint}`);
  process.exitCode = 1;
}
