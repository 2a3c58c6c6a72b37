import { execFile } from "node:child_process";
import { promisify } from "node:util";

/** The GPU with the most memory, as its driver's own tool names it. */
export interface GpuMemory {
  readonly name: string;
  /** In bytes. */
  readonly nbytes: number;
}

const QUERY = ["--query-gpu=name,memory.total", "--format=csv,noheader,nounits"];
const TIMEOUT_MS = 5000;
const MIB = 2 ** 20;

/** Asks `nvidia-smi`; `undefined` where there is no such program or no such GPU. */
export async function gpuMemory(): Promise<GpuMemory | undefined> {
  const answer = await promisify(execFile)("nvidia-smi", QUERY, { timeout: TIMEOUT_MS }).catch(
    () => undefined,
  );
  const gpus = (answer?.stdout ?? "").split("\n").flatMap((line) => {
    const match = /^(.*), *(\d+)$/.exec(line.trim());
    return match ? [{ name: match[1] ?? "", nbytes: Number(match[2]) * MIB }] : [];
  });
  return gpus.sort((a, b) => b.nbytes - a.nbytes)[0];
}
